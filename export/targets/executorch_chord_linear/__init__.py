"""ExecuTorch's own graph with libchord's linear layers, ``chord::linear`` (``docs/targets/executorch.md``)."""

import numpy as np
from numpy.typing import NDArray

from chordkit.export.artifact import Activations, ArtifactSpec, Layout
from chordkit.export.parity import ScoresFn, VectorSet, emulated_scores, reranker_scores
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.executorch import RUNTIME, quiet
from chordkit.export.targets.executorch_chord import ChordOperatorsTarget
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.target import QUANTISED, Capability, Source
from chordkit.quantization import MasterWeights


class ExecutorchChordLinearTarget(ChordOperatorsTarget):
    """For graphs that the engine does not know: weights of 2, 4 and 8 bits stand in one layer."""

    name = "executorch-chord-linear"
    capability = Capability(
        runtime=RUNTIME,
        extra="executorch",
        suffix=".pte",
        operators=("chord::linear.out",),
        precisions=QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        user_vector=True,
        top=True,
        batch=True,
        refusals={
            "fp32": "`chord::linear` computes with 8-bit activations",
            "precision fp32": "`chord::linear` has int8, int4 and int2 weights",
        },
        computing={"int8": "libchord packs codes at their widths when a layer is first run"},
        note="ExecuTorch's graph with `chord::linear` for the linear layers; codes are packed at their widths when first used",
    )
    covers_for = "executorch-chord"
    lowered_form = "the graph with `chord::linear`, run in torch"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.program import export_program, item_count
        from chordkit.export.targets.executorch_chord_linear.lower import lower

        program = export_program(source, spec.given, user_vector=spec.user_vector, batch=spec.batch)
        return lower(program, item_count(source), spec.top)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        from chordkit.export.program import export_program
        from chordkit.export.targets.executorch_chord_linear.lower import ChordLinearGraph

        with quiet():
            import executorch.exir  # noqa: F401  (registers embedding_byte for torch)

            return reranker_scores(ChordLinearGraph(export_program(source, spec.candidates, user_vector=spec.user_vector)).eval())

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.executorch_chord.runner import ChordOperatorsRunner

        return ChordOperatorsRunner(self.name, bytes(data), threads)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        return missing_constants(data, master, widths)

    def emulate(
        self,
        activations: Activations,
        master: MasterWeights,
        widths: np.ndarray | None,
        vectors: VectorSet,
        layout: Layout = "size",
    ) -> NDArray[np.floating] | None:
        """The reference with activations quantised per row, symmetrically, as ``chord::linear`` does it."""
        from chordkit.backbones import from_master
        from chordkit.export.program import is_spelled_out

        quantised = [name for name in master.layers if not is_spelled_out(name)]
        return emulated_scores(from_master(master, widths), symmetric=True, layers=quantised)(*vectors.inputs)


TARGET = ExecutorchChordLinearTarget()
