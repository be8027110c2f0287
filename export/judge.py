"""The one judgement of an artifact: making a bundle, ``bundle verify --run`` and ``validate`` all ask here."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, InputError
from chordkit.export.artifact import Artifact, Precision
from chordkit.export.parity import (
    Expected,
    ParityReport,
    Runner,
    Tolerance,
    VectorSet,
    compare,
    compare_best,
    expected_of,
    run_all,
    run_best,
)
from chordkit.export.targets import find_target
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights


@dataclass(frozen=True)
class Expectation:
    """What an artifact is held to; made once, it judges the scores of any number of runtimes.

    Attributes:
        vectors: inputs, with the scores of the artifact's reference.
        reference: those scores.
        tolerance: what may differ.
        emulated: scores of the reference with emulated 8-bit activations; None for float activations.
        inputs: of the model's shallowest quantised layer.
        recurrent: whether a quantised layer runs more than once for a history.
    """

    vectors: VectorSet
    reference: NDArray[np.floating]
    tolerance: Tolerance
    emulated: NDArray[np.floating] | None
    inputs: int
    recurrent: bool

    def judge(self, scores: NDArray[np.floating]) -> ParityReport:
        """The comparison of ``scores [n, candidates]`` with what is expected.

        Raises:
            CheckFailed: the shapes differ, or the reference cannot be compared with.
        """
        return compare(
            scores,
            self.reference,
            self.tolerance,
            targets=self.vectors.targets,
            emulated=self.emulated,
            inputs=self.inputs,
            recurrent=self.recurrent,
        )


def expectation(artifact: Artifact, master: MasterWeights, widths: np.ndarray | None, vectors: VectorSet) -> Expectation:
    """What ``artifact`` is held to; the arguments are those of :func:`judge`.

    Raises:
        CapabilityError: the target is unknown.
        InputError: the vectors are for artifacts of the other kind.
    """
    _require_inputs(artifact, vectors)
    target = find_target(artifact.target)
    emulated = target.emulate(artifact.activations, master, widths, vectors, artifact.layout)
    reference = np.asarray(vectors.scores[artifact.reference])
    tolerance = target.tolerance(artifact.activations).for_few(*reference.shape)
    return Expectation(vectors, reference, tolerance, emulated, _inputs(master), emulated is not None and _runs_a_layer_again(master))


def judge(
    artifact: Artifact,
    runner: Runner,
    master: MasterWeights,
    widths: np.ndarray | None,
    vectors: VectorSet,
    progress: Progress | None = None,
    data: bytes | memoryview | None = None,
) -> ParityReport:
    """Compare a loaded artifact with its reference under its target's tolerance.

    Args:
        artifact: what it is.
        runner: the artifact on its runtime.
        master: the master weights that it was made from.
        widths: of its strategy; None = int8 everywhere.
        vectors: inputs, with the scores of ``artifact.reference``; with user vectors for an artifact that takes one, and only then.
        progress: called with (phase, done, total).
        data: the artifact's file; with it, its constants are held against the master's as well, which the scores may be too coarse to tell.

    Raises:
        CapabilityError: the target is unknown.
        CheckFailed: the artifact answers with a wrong shape, or the reference is not finite.
        InputError: the vectors are for artifacts of the other kind.
    """
    shape = tuple(getattr(runner, name, usual) for name, usual in (("top", None), ("batch", 1), ("catalogue", False)))
    if shape != (artifact.top, artifact.batch, artifact.catalogue):
        raise CheckFailed(
            f"artifact {artifact.name}: its file takes and gives (top, batch, catalogue) {shape}, and it is listed with "
            f"{(artifact.top, artifact.batch, artifact.catalogue)}; export it again"
        )
    if artifact.top is not None:
        report = _judge_best(artifact, artifact.top, runner, master, widths, vectors, progress)
    else:
        report = expectation(artifact, master, widths, vectors).judge(run_all(runner, *vectors.inputs, progress=progress))
    return report if data is None else _with_constants(report, artifact, bytes(data), master, widths)


def _with_constants(
    report: ParityReport, artifact: Artifact, data: bytes, master: MasterWeights, widths: np.ndarray | None
) -> ParityReport:
    """The report with what the file lacks of the master's numbers; a float artifact has none of them."""
    if artifact.precision == Precision.FP32:
        return report
    used = np.full(master.channel_table.channels, 8, np.uint8) if widths is None else np.asarray(widths)
    problem = find_target(artifact.target).problem_with_constants(data, master, used)
    return report if problem is None else report.model_copy(update={"passed": False, "reasons": (*report.reasons, problem)})


def _judge_best(
    artifact: Artifact,
    top: int,
    runner: Runner,
    master: MasterWeights,
    widths: np.ndarray | None,
    vectors: VectorSet,
    progress: Progress | None,
) -> ParityReport:
    """:func:`judge` for an artifact that chooses the best itself."""
    _require_inputs(artifact, vectors)
    target = find_target(artifact.target)
    scored = expected_of(vectors.candidates, np.asarray(vectors.scores[artifact.reference]))
    expected, candidates = scored, None if artifact.catalogue else vectors.candidates
    if artifact.catalogue:
        best = vectors.best.get(artifact.reference)
        if best is None or best.ids.shape[1] < top:
            raise InputError(
                f"artifact {artifact.name} chooses the {top} best of the whole catalogue, and the test vectors do not have as many of "
                f"{artifact.reference}; draw them with the reference's best"
            )
        expected = Expected(best.ids, best.scores, True, scored.spread)
        every = np.arange(1, master.items + 1, dtype=np.int32)
        vectors = replace(vectors, candidates=np.broadcast_to(every, (len(vectors.histories), len(every))), scores={}, best={})
    given = run_best(runner, top, vectors.histories, candidates, vectors.users, progress=progress)
    emulated = target.emulate(artifact.activations, master, widths, vectors, artifact.layout)
    if emulated is not None:
        few = len(emulated)
        columns = given.ids[:few] - 1 if artifact.catalogue else expected.columns(given.ids)[:few]
        emulated = np.take_along_axis(emulated, columns.clip(0, emulated.shape[1] - 1), 1)
    return compare_best(
        given,
        expected,
        target.tolerance(artifact.activations),
        candidates=artifact.candidates,
        target_ids=np.take_along_axis(scored.candidates, vectors.targets[:, None], 1)[:, 0],
        emulated=emulated,
        inputs=_inputs(master),
        recurrent=emulated is not None and _runs_a_layer_again(master),
    )


def _require_inputs(artifact: Artifact, vectors: VectorSet) -> None:
    if artifact.user_vector is not (vectors.users is not None):
        takes, have = ("a", "none") if artifact.user_vector else ("no", "some")
        raise InputError(f"artifact {artifact.name} takes {takes} user vector and the test vectors have {have}; give it inputs of its kind")


def _inputs(master: MasterWeights) -> int:
    """Of the shallowest quantised layer."""
    return min(layer.rows.codes.shape[1] for layer in master.layers.values())


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
