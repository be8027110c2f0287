"""ExecuTorch: a ``.pte`` file for the XNNPACK backend (``docs/targets/executorch.md``)."""

import functools
import re
from typing import TYPE_CHECKING

import numpy as np

from chordkit.export.artifact import ArtifactSpec
from chordkit.export.parity import ScoresFn, reranker_scores
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.executorch.silence import quiet
from chordkit.export.targets.filetype import problem_with_flatbuffer
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.target import ALL_PRECISIONS, Capability, Source, Target
from chordkit.quantization import MasterWeights

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from chordkit.export.targets.executorch.graph import XnnpackGraph

__all__ = ["RUNTIME", "TARGET", "ExecutorchTarget", "quiet"]

_OPERATOR = re.compile(rb"chord::[a-z_]+")
RUNTIME = ("executorch", "1.5.1")
"""What runs every ``.pte``, ours with operators of libchord included, and what they are tested with."""


class ExecutorchTarget(Target):
    """PyTorch's own runtime with XNNPACK's weight-only kernels."""

    name = "executorch"
    capability = Capability(
        runtime=RUNTIME,
        extra="executorch",
        suffix=".pte",
        precisions=ALL_PRECISIONS,
        stored_bits={0: 4, 2: 4, 4: 4, 8: 8},
        activations=("fp32",),
        user_vector=True,
        top=True,
        batch=True,
        layouts=("size", "speed"),
        leaves_out=True,
        refusals={"int8": "its XNNPACK files keep float32 activations, which reproduce the reference exactly"},
        computing={"fp32": "XNNPACK's kernels widen int8 and int4 weights to float32 as they multiply"},
        note="XNNPACK has no 2-bit weights: int2 channels take 4 bits",
    )
    imports = ("torch", "executorch.extension.pybindings._C", "executorch.kernels.quantized")
    lowered_form = "the graph as it is handed to XNNPACK, run in torch"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.program import item_count
        from chordkit.export.targets.executorch.lower import lower

        return lower(self._program(spec, source), item_count(source), functools.partial(self._graph, spec), top=spec.top)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn | None:
        with quiet():
            import executorch.exir  # noqa: F401  (registers embedding_byte for torch)

            return reranker_scores(self._graph(spec, self._program(spec, source)).eval())

    def _graph(self, spec: ArtifactSpec, program: "ExportedProgram", top: int | None = None) -> "XnnpackGraph":
        """The program as XNNPACK takes it, with channels in the groups that the layout has."""
        from chordkit.export.targets.executorch.graph import XnnpackGraph, groups_in_file, one_group

        return XnnpackGraph(program, top, one_group if spec.layout == "speed" else groups_in_file)

    def _program(self, spec: ArtifactSpec, source: Source) -> "ExportedProgram":
        """The program, in the layout ``size`` with the channels of a strategy in groups of one width, and without those that are off."""
        from chordkit.export.program import export_program, regroup, without_off_channels
        from chordkit.export.targets.executorch.graph import storage_groups

        user_order = None
        if isinstance(source, tuple) and spec.layout != "speed":
            master, widths, user_order = regroup(*source, storage_groups)
            source = master, widths
        program = export_program(source, spec.given, user_vector=spec.user_vector, batch=spec.batch, user_order=user_order)
        return program if spec.layout == "speed" else without_off_channels(program)

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.executorch.runner import ExecutorchRunner

        return ExecutorchRunner(bytes(data), threads)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        from chordkit.export.program import kept_channels, regroup
        from chordkit.export.targets.executorch.graph import storage_groups

        ordered, moved, _ = regroup(master, widths, storage_groups)
        return missing_constants(data, ordered, moved, kept=kept_channels(ordered, moved))

    def problem_with_file(self, data: memoryview) -> str | None:
        # Operators stand in a program by their names, without the overload.
        content, wanted = bytes(data), {name.partition(".")[0] for name in self.capability.operators}
        found = {name.decode() for name in _OPERATOR.findall(content)}
        if problem := problem_with_flatbuffer(data, "ET12"):
            return problem
        if (wanted and not wanted & found) or found - wanted:
            calls, others = (", ".join(sorted(each)) or "none" for each in (found, wanted))
            return f"the program calls these operators of libchord: {calls}; one of {self} calls: {others}"
        return None

    def account(self, data: memoryview, ledger: Ledger) -> None:
        from chordkit.export.targets.executorch.account import account

        account(data, ledger)


TARGET = ExecutorchTarget()
