"""The one judgement of an artifact: making a bundle, ``bundle verify --run`` and ``validate`` all ask here."""

import numpy as np

from chordkit.export.artifact import Artifact
from chordkit.export.parity import ParityReport, Runner, VectorSet, compare, run_all
from chordkit.export.targets import find_target
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights


def judge(
    artifact: Artifact,
    runner: Runner,
    master: MasterWeights,
    widths: np.ndarray | None,
    vectors: VectorSet,
    progress: Progress | None = None,
) -> ParityReport:
    """Compare a loaded artifact with its reference under its target's tolerance.

    Args:
        artifact: what it is.
        runner: the artifact on its runtime.
        master: the master weights that it was made from.
        widths: of its strategy; None = int8 everywhere.
        vectors: inputs, with the scores of ``artifact.reference``.
        progress: called with (phase, done, total).

    Raises:
        CapabilityError: the target is unknown.
        CheckFailed: the artifact answers with a wrong shape, or the reference is not finite.
    """
    target = find_target(artifact.target)
    emulated = target.emulate(artifact.activations, master, widths, vectors)
    scores = run_all(runner, vectors.histories, vectors.candidates, progress)
    tolerance = target.tolerance(artifact.activations).for_few(len(scores))
    reference = np.asarray(vectors.scores[artifact.reference])
    inputs = min(layer.rows.codes.shape[1] for layer in master.layers.values())
    return compare(scores, reference, tolerance, targets=vectors.targets, emulated=emulated, inputs=inputs)
