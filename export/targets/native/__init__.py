"""chordkit's own engine: no file, but the master weights and a strategy, used where they lie (``docs/kernels.md``)."""

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Activations, ArtifactSpec, Layout
from chordkit.export.parity import ScoresFn, VectorSet, engine_scores, exact_engine_scores
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.target import QUANTISED, Capability, Source, Target
from chordkit.kernels.engine import native
from chordkit.quantization import ENGINE_ARCHITECTURES, MasterWeights

ENGINE_REFUSALS = {
    "fp32": "it computes with 8-bit activations",
    "precision fp32": "it runs from the int8 master weights",
    "backbone": "the native engine does not know it",
    "top": "it scores the candidates that it is given, and there is no graph to choose in (the engine's own `chord_top_k` does, in C)",
    "batch": "it takes one history a call",
}


class NativeTarget(Target):
    """libchord on the bundle's int8 master; a strategy is adopted in microseconds."""

    name = "native"
    capability = Capability(
        runtime=None,
        extra=None,
        suffix=None,
        backbones=ENGINE_ARCHITECTURES,
        precisions=QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        user_vector=True,
        refusals=ENGINE_REFUSALS,
        computing={"int8": "libchord expands codes into int8 panels when a strategy is adopted"},
        note="no file of its own: it maps the bundle's int8 master weights and adopts a strategy in microseconds",
    )
    traced = False
    lowered_form = "the engine's arithmetic in numpy"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        """Never possible: there is no file."""
        raise CapabilityError(f"{self}: there is nothing to export: it runs from the master weights and a strategy")

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        assert isinstance(source, tuple)  # the capability row has no fp32
        return exact_engine_scores(*source)

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.native.runner import NativeRunner

        return NativeRunner(data, strategy, candidates)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        return None if data == master.to_bytes() else "it runs from other master weights"

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

    def prepare(self) -> None:
        """See :meth:`Target.prepare`."""
        native()

    def account(self, data: memoryview, ledger: Ledger) -> None:
        from chordkit.export.targets.native.account import account

        account(data, ledger)


TARGET = NativeTarget()
