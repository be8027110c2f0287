"""The one judgement of an artifact: making a bundle, ``bundle verify --run`` and ``validate`` all ask here."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chordkit.backbones import from_master
from chordkit.export.parity.activations import emulated_scores
from chordkit.export.parity.compare import Activations, ParityReport, Runner, compare, run_all, tolerance_for
from chordkit.export.parity.vectors import VectorSet
from chordkit.export.targets.target import Target
from chordkit.kernels.reference import ReferenceEngine
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights

_EMULATED_EXACTLY = 24
"""Vectors over which the engine's arithmetic is repeated in numpy, which takes tens of milliseconds each."""


class Described(Protocol):
    """What must be known of an artifact to judge it; a manifest's entry and an artifact about to be bundled both say it."""

    @property
    def target(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def activations(self) -> str: ...
    @property
    def reference(self) -> str: ...


def judge(
    artifact: Described,
    runner: Runner,
    master: MasterWeights,
    widths: np.ndarray | None,
    vectors: VectorSet,
    progress: Progress | None = None,
) -> ParityReport:
    """Compare a loaded artifact with its reference under its own tolerance.

    Args:
        artifact: what it is.
        runner: the artifact on its runtime.
        master: the master weights that it was made from.
        widths: of its strategy; None = int8 everywhere.
        vectors: inputs, with the scores of ``artifact.reference``.
        progress: called with (phase, done, total).

    Raises:
        CheckFailed: the artifact answers with a wrong shape, or the reference is not finite.
    """
    activations: Activations = "int8" if artifact.activations == "int8" else "fp32"
    emulated = emulation(artifact.target, activations, master, widths, vectors)
    scores = run_all(runner, vectors.histories, vectors.candidates, progress)
    tolerance = tolerance_for(artifact.target, artifact.precision, activations).for_few(len(scores))
    reference = np.asarray(vectors.scores[artifact.reference])
    return compare(scores, reference, tolerance, targets=vectors.targets, emulated=emulated)


def emulation(
    target: str, activations: Activations, master: MasterWeights, widths: np.ndarray | None, vectors: VectorSet
) -> NDArray[np.floating] | None:
    """What an artifact with 8-bit activations should compute: scores of the first vectors, or None for float activations.

    libchord's whole model (native, or as an ExecuTorch operator) is held against its own arithmetic in numpy; other targets against
    the reference with emulated quantisation: symmetric where libchord's linear layers do it, else asymmetric
    (``parity_activations``).
    """
    if activations != "int8":
        return None
    if target in (Target.NATIVE, Target.EXECUTORCH_CHORD):
        engine = ReferenceEngine(master, widths)
        few = vectors.head(_EMULATED_EXACTLY)
        return np.stack([engine.scores(history, candidates) for history, candidates in zip(few.histories, few.candidates, strict=True)])
    symmetric = target == Target.EXECUTORCH_CHORD_LINEAR
    return emulated_scores(from_master(master, widths), symmetric)(vectors.histories, vectors.candidates)
