"""ExecuTorch's own graph with libchord's linear layers: every marked layer becomes one ``chord::linear`` node.

Weights of 2, 4 and 8 bits stand in one layer, which XNNPACK cannot have, so no channel is reordered and nothing is concatenated. Inputs
are quantised to 8 bits per row, as the native engine does. What lies between the layers is left to XNNPACK; each operator cuts its
delegate in two, so this form is for graphs that the engine does not know (``chord::rerank`` runs SASRec and Caser far faster).
"""

import copy

import torch
from torch import Tensor

from chordkit.errors import CapabilityError
from chordkit.export.targets.executorch import lower as executorch
from chordkit.export.targets.executorch.graph import XnnpackGraph

_RELU = torch.ops.aten.relu.default


class ChordLinearGraph(XnnpackGraph):
    """An exported program as a module that runs (and traces) with ``chord::linear``.

    A ReLU that only a marked layer feeds becomes part of it.

    Args:
        program: from ``export_program`` with a master; it is left as it is.
        top: as for :class:`XnnpackGraph`.

    Raises:
        CapabilityError: an operator has no form here, or no layer is marked.
    """

    def __init__(self, program: torch.export.ExportedProgram, top: int | None = None) -> None:
        import chordkit.kernels.executorch.torch_ops  # noqa: F401  (registers chord::linear)

        program = copy.deepcopy(program)
        marked = torch.ops.chord.channel_linear.default
        nodes = [node for node in program.graph.nodes if node.target is marked]
        if not nodes:
            raise CapabilityError("executorch-chord-linear: the program has no quantised layer; export it from master weights")
        self._relu_inside: dict[str, bool] = {}
        for node in nodes:
            users = list(node.users)
            inside = len(users) == 1 and users[0].target is _RELU
            self._relu_inside[node.name] = inside
            if inside:
                users[0].replace_all_uses_with(node)
                program.graph.erase_node(users[0])
        self._digests: dict[str, int] = {}
        super().__init__(program, top)

    def _add_groups(self, node: torch.fx.Node) -> None:
        from chordkit.kernels.executorch.torch_ops import layer_digest

        _, codes, scales, widths, bias = (self._constants.get(getattr(argument, "name", "")) for argument in node.args)
        assert codes is not None and scales is not None and widths is not None
        for name, tensor in (("codes", codes), ("scales", scales), ("widths", widths), ("bias", bias)):
            if tensor is not None:
                self._keep(f"{node.name}_{name}", tensor)
        self._digests[node.name] = layer_digest(codes, scales, widths, bias)

    def _grouped_linear(self, name: str, x: Tensor) -> Tensor:
        codes, scales, widths = (self.get_buffer(f"{name}_{part}") for part in ("codes", "scales", "widths"))
        bias = self._buffers.get(f"{name}_bias")
        return torch.ops.chord.linear(x, codes, scales, widths, bias, self._relu_inside[name], self._digests[name])


def lower(program: torch.export.ExportedProgram, items: int, top: int | None = None) -> bytes:
    """Lower a program exported from a master to a ``.pte`` with ``chord::linear`` nodes; arguments and errors as
    :func:`chordkit.export.targets.executorch.lower.lower`."""
    return executorch.lower(program, items, ChordLinearGraph, top)
