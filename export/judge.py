"""The one judgement of an artifact: making a bundle, ``bundle verify --run`` and ``validate`` all ask here."""

from collections import Counter

import numpy as np

from chordkit.errors import InputError
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
        vectors: inputs, with the scores of ``artifact.reference``; with user vectors for an artifact that takes one, and only then.
        progress: called with (phase, done, total).

    Raises:
        CapabilityError: the target is unknown.
        CheckFailed: the artifact answers with a wrong shape, or the reference is not finite.
        InputError: the vectors are for artifacts of the other kind.
    """
    target = find_target(artifact.target)
    if artifact.user_vector is not (vectors.users is not None):
        takes, have = ("a", "none") if artifact.user_vector else ("no", "some")
        raise InputError(f"artifact {artifact.name} takes {takes} user vector and the test vectors have {have}; give it inputs of its kind")
    emulated = target.emulate(artifact.activations, master, widths, vectors)
    scores = run_all(runner, *vectors.inputs, progress=progress)
    tolerance = target.tolerance(artifact.activations).for_few(*scores.shape)
    reference = np.asarray(vectors.scores[artifact.reference])
    inputs = min(layer.rows.codes.shape[1] for layer in master.layers.values())
    recurrent = emulated is not None and _runs_a_layer_again(master)
    return compare(scores, reference, tolerance, targets=vectors.targets, emulated=emulated, inputs=inputs, recurrent=recurrent)


def _runs_a_layer_again(master: MasterWeights) -> bool:
    """Whether a layer of the strategy runs more than once for a history, whatever the weights are."""
    import torch

    from chordkit.backbones import build, config_from_dict

    backbone = build(config_from_dict(master.config)).eval()
    calls: Counter[str] = Counter()
    for name, layer in backbone.channel_layers().items():
        layer.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
    with torch.no_grad():
        backbone.encode(torch.ones((1, backbone.config.max_length), dtype=torch.int32))
    return max(calls.values(), default=0) > 1
