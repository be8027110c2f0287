"""What a ``.tflite`` with 8-bit activations should compute: the reference's program, with activations quantised where the file has them so.

Each quantised layer quantises the rows of its input. One layer of the file reads another input than the model's: the value layer of a
single query runs after the attention instead of before it (:func:`chordkit.export.program.absorbed`), on rows that are mixed already. Of an
input whose constants have gone into a bias (:func:`chordkit.export.program.without_off_channels`) the rest alone is quantised, and the
constants take no part in its range. The program comes from the reference and its master, with all its channels, not from the lowering: a
fault of the lowering has nowhere to hide.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import Interpreter, Node

from chordkit.export.parity import VectorSet, quantize_asymmetric, reranker_scores
from chordkit.export.program import Kept, export_program
from chordkit.quantization import MasterWeights

_LAYER = torch.ops.chord.channel_linear.default
_LAYOUTS = (torch.ops.aten.view.default, torch.ops.aten.reshape.default, torch.ops.aten.permute.default)
EMULATED = 128
"""Vectors that are emulated; one takes some milliseconds."""


def emulated(master: MasterWeights, widths: np.ndarray, vectors: VectorSet, kept: Mapping[str, Kept]) -> NDArray[np.floating]:
    """Scores of the first :data:`EMULATED` of ``vectors``; ``kept`` is what of each layer is left in the file, where that is not all."""
    few = vectors.head(EMULATED)
    program = export_program((master, widths), few.candidates.shape[1], user_vector=few.users is not None)
    scores = reranker_scores(_Emulator(program.module(), kept).run)
    return scores(*few.inputs)


class _Emulator(Interpreter):
    def __init__(self, module: torch.nn.Module, kept: Mapping[str, Kept]) -> None:
        super().__init__(module, garbage_collect_values=False)
        self._columns = {f"backbone.{name}.codes": torch.from_numpy(each.columns) for name, each in kept.items()}
        self._mixed_first = {node: layer for node in self.graph.nodes if (layer := _value_layer(node)) is not None}

    def run_node(self, n: Node) -> Any:
        if n.target is _LAYER:
            x, *weights = self._values(n)
            return _LAYER(self._quantised(n, x), *weights)
        if n in self._mixed_first:
            return self._mix(n, self._mixed_first[n])
        return super().run_node(n)

    def _values(self, node: Node) -> Any:
        return self.fetch_args_kwargs_from_env(node)[0]

    def _quantised(self, layer: Node, x: Tensor) -> Tensor:
        """A layer's input as the file quantises it."""
        codes = layer.args[1]
        columns = self._columns.get(str(codes.target)) if isinstance(codes, Node) else None
        if columns is None:
            return quantize_asymmetric(x)
        x = x.clone()
        x[..., columns] = quantize_asymmetric(x[..., columns])
        return x

    def _mix(self, matmul: Node, layer: Node) -> Tensor:
        probabilities, _ = self._values(matmul)
        x, *weights = self._values(layer)
        heads = probabilities.shape[1]
        each = _LAYER(self._quantised(layer, probabilities[0, :, 0] @ x[0]), *weights).view(heads, heads, -1)
        return each[range(heads), range(heads)].view(1, heads, 1, -1)


def _value_layer(node: Node) -> Node | None:
    """The layer whose output, laid out in heads and read by nobody else, the attention of a single query in ``node`` mixes."""
    if node.target is not torch.ops.aten.matmul.default:
        return None
    probabilities, value = node.args
    assert isinstance(probabilities, Node) and isinstance(value, Node)
    shape = probabilities.meta["val"].shape
    if probabilities.target is not torch.ops.aten.softmax.int or len(shape) != 4 or shape[0] != 1 or shape[2] != 1:
        return None
    while value.target in _LAYOUTS and len(value.users) == 1:
        value = value.all_input_nodes[0]
    return value if value.target is _LAYER and len(value.users) == 1 else None
