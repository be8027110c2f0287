"""ExecuTorch with the native engine as one operator, ``chord::rerank`` (``docs/targets/executorch.md``)."""

import numpy as np
from numpy.typing import NDArray

import chordkit
from chordkit.export.artifact import Activations, ArtifactSpec, Layout
from chordkit.export.parity import ScoresFn, VectorSet, engine_scores, exact_engine_scores
from chordkit.export.targets.executorch import RUNTIME, ExecutorchTarget
from chordkit.export.targets.native import ENGINE_REFUSALS
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.target import QUANTISED, Capability, Source
from chordkit.kernels.executorch import library
from chordkit.quantization import ENGINE_ARCHITECTURES, MasterWeights
from chordkit.strategy import Strategy, to_wire

OPERATOR_LIBRARY = "libchord_executorch"
"""The library that has the ``chord::`` operators; its version is chordkit's."""


class ChordOperatorsTarget(ExecutorchTarget):
    """What targets share whose programs call libchord's operators: the library must be there, and a manifest names it."""

    def requires(self) -> dict[str, str]:
        """The runtime, the library that a phone loads first, and each operator with the version of its schema."""
        loaded_first = {OPERATOR_LIBRARY: chordkit.__version__}
        return super().requires() | loaded_first | dict.fromkeys(self.capability.operators, str(library.VERSION))

    def prepare(self) -> None:
        """See :meth:`Target.prepare`; builds the library, or finds it built."""
        super().prepare()
        library.build()


class ExecutorchChordTarget(ChordOperatorsTarget):
    """The int8 master is an input of the call; so may be another strategy, and a user vector."""

    name = "executorch-chord"
    capability = Capability(
        runtime=RUNTIME,
        extra="executorch",
        suffix=".pte",
        operators=("chord::rerank.out", "chord::rerank_for.out"),
        backbones=ENGINE_ARCHITECTURES,
        precisions=QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        user_vector=True,
        master=True,
        refusals=ENGINE_REFUSALS,
        computing={"int8": "libchord expands codes into int8 panels when a strategy is adopted"},
        note="one operator, `chord::rerank`, over the int8 master, which is an input and not in the file; method `rerank_with` takes a new "
        "strategy as an input, `rerank_for` a user vector as well",
    )
    traced = False
    lowered_form = "the engine's arithmetic in numpy"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.targets.executorch_chord.lower import lower

        assert isinstance(source, tuple)  # the capability row has no fp32
        return lower(*source, spec.candidates, user_vector=spec.user_vector)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        assert isinstance(source, tuple)  # the capability row has no fp32
        return exact_engine_scores(*source)

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.executorch_chord.runner import ExecutorchChordRunner

        return ExecutorchChordRunner(self.name, bytes(data), threads, None if master is None else bytes(master))

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        strategy = to_wire(Strategy(np.asarray(widths, np.uint8), master.fingerprint))
        return None if strategy in data else "it does not hold the strategy"

    def emulate(
        self,
        activations: Activations,
        master: MasterWeights,
        widths: np.ndarray | None,
        vectors: VectorSet,
        layout: Layout = "size",
    ) -> NDArray[np.floating] | None:
        """The engine's own arithmetic, in numpy."""
        return engine_scores(master, widths, vectors)


TARGET = ExecutorchChordTarget()
