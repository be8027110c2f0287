"""Parity: does an artifact score and rank as the PyTorch reference does, in numbers with stated tolerances?

The gate that every artifact passes before it is shipped, and the only defence against runtimes that are silently wrong
(docs/parity.md has the derivations, the cases it has caught, and what it cannot see). The reference is the model of
DESIGN.md, contract 1: dequantised float32 weights, float32 activations.

No runtime is imported here: an artifact comes as a runner, the reference as a function.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chordkit.errors import CheckFailed
from chordkit.export.parity.measures import kendall_tau, ndcg_of_ranks, ndcg_of_target, top_k_overlap
from chordkit.export.parity.tolerance import FP32_TOLERANCE, Tolerance, emulation_limits
from chordkit.progress import Progress

Ids = NDArray[np.int32]
Scores = NDArray[np.float32]
Vectors = NDArray[np.float32]
ScoresFn = Callable[..., NDArray[np.floating]]
"""Histories ``[n, length]``, candidates ``[n, candidates]`` and perhaps user vectors ``[n, dim]`` to scores ``[n, candidates]``; without
candidates (None) a reference gives those of all items, ``[n, items]``."""

_WIDEST = 512
"""Rows of so many inputs have a rounding flip in three histories of five; of much longer ones none may be left without."""
_UNIT_IN_THE_LAST_PLACE = 2.0**-23
"""Of a float32 score, relative to it: scores that differ by less are equal up to their own rounding."""


class Runner(Protocol):
    """One loaded artifact: scores of one history's candidates."""

    def scores(self, history: Ids, candidates: Ids, user: Vectors | None = None) -> NDArray[np.floating]:
        """Scores ``[candidates]`` of ``candidates [candidates]`` after ``history [length]``, for the user of the vector ``user [dim]``."""
        ...


_OF_RANKS = ("kendall_tau", "top10_overlap")


class ParityReport(BaseModel):
    """The comparison of one artifact with its reference.

    Attributes:
        n: histories compared; candidates: scored per history; k: depth of the overlap and of NDCG.
        score_spread: root mean square of the reference's scores around their history's mean, or, where each history has one candidate,
            around the mean of all; the unit of the relative errors. Never zero: scores that do not differ are not judged.
        max_abs_error, mean_abs_error: over all scores, in the model's own unit.
        relative_rms_error, max_relative_error: the error's root mean square and maximum over ``score_spread``.
        kendall_tau: mean tau-b over the histories; kendall_tau_min: the worst history's. 1 by construction with one candidate.
        top10_overlap: mean share of the reference's top k that are in the artifact's. 1 by construction with k candidates or fewer.
        ndcg_reference, ndcg_difference: mean NDCG@k of the reference, and the artifact's minus it.
        non_finite: scores that are NaN or infinite; they count as 0 in the errors and rank last.
        emulation_rms_error, emulation_max_error: relative distance from the reference with emulated 8-bit activations, for
            artifacts that quantise theirs: what is left is the implementation's own. None where it was not compared.
        reasons: one sentence per missed tolerance; empty when ``passed``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    candidates: int
    k: int
    score_spread: float
    max_abs_error: float
    mean_abs_error: float
    relative_rms_error: float
    max_relative_error: float
    kendall_tau: float
    kendall_tau_min: float
    top10_overlap: float
    ndcg_reference: float
    ndcg_difference: float
    non_finite: int
    emulation_rms_error: float | None = None
    emulation_max_error: float | None = None
    tolerance: Tolerance
    passed: bool
    reasons: tuple[str, ...]

    def require(self, what: str) -> "ParityReport":
        """This report, if it passed.

        Raises:
            CheckFailed: a tolerance was missed; the sentence names ``what`` and every miss.
        """
        if not self.passed:
            mend = "; the scores agree but nearly tie, as those of a model that has hardly been trained do: train it longer"
            told = mend if all(reason.startswith(_OF_RANKS) for reason in self.reasons) else ""
            raise CheckFailed(f"{what}: does not agree with the reference: {'; '.join(self.reasons)}{told}")
        return self


def run_all(runner: Runner, histories: Ids, candidates: Ids, users: Vectors | None = None, *, progress: Progress | None = None) -> Scores:
    """Scores ``[n, candidates]`` of every history, with its user vector where there are any, through ``runner``.

    Raises:
        CheckFailed: the runner answers with another shape than it was asked for.
    """
    result = np.empty(candidates.shape, np.float32)
    for rows in rows_of(len(histories), getattr(runner, "batch", 1)):
        user = () if users is None else (users[rows],)
        answer = np.asarray(runner.scores(histories[rows], candidates[rows], *user))
        asked = candidates[rows].shape
        if answer.shape != asked:
            raise CheckFailed(f"the artifact answers with scores of shape {list(answer.shape)} where {list(asked)} were asked for")
        result[rows] = answer
        done = int(np.max(rows)) + 1
        if progress is not None and (done % 50 == 0 or done == len(histories)):
            progress("parity", done, len(histories))
    return result


def rows_of(n: int, batch: int) -> Iterator[int | NDArray[np.intp]]:
    """Which of ``n`` rows each call takes: a row, or ``batch`` of them, where the last call has the last row several times."""
    if batch == 1:
        yield from range(n)
    else:
        for start in range(0, n, batch):
            yield np.minimum(np.arange(start, start + batch), n - 1)


def report_of(
    error: NDArray[np.float64],
    tolerance: Tolerance,
    unit: float,
    *,
    worst: float,
    tau: NDArray[np.floating],
    overlap: NDArray[np.floating],
    ndcg: tuple[float, float],
    broken: NDArray[np.bool_],
    emulation_error: NDArray[np.floating] | None,
    candidates: int,
    k: int,
    inputs: int,
    recurrent: bool,
    reasons: tuple[str, ...] = (),
) -> ParityReport:
    """The report of what was measured of ``n`` answers.

    Args:
        error: of each score, absolute ``[n, scores]``.
        tolerance: what may differ.
        unit: of errors.
        worst: the largest error.
        tau, overlap: of each answer.
        ndcg: means of the artifact's and of the reference's.
        broken: which scores are no numbers.
        emulation_error: of the first answers' scores, from the emulated reference; None where they are not compared.
        candidates, k, inputs, recurrent: as for :func:`compare`.
        reasons: those that are known already.
    """
    measured = {
        "relative_rms_error": float(np.sqrt(np.mean(error**2))) / unit,
        "max_relative_error": worst / unit,
        "kendall_tau": float(tau.mean()),
        "top10_overlap": float(overlap.mean()),
        "ndcg_difference": ndcg[0] - ndcg[1],
    }
    non_finite = int(broken.sum())
    reasons += _reasons(measured, tolerance, non_finite, broken.size)
    emulation: dict[str, float] = {}
    if emulation_error is not None:
        emulation = _emulation_errors(emulation_error, unit)
        reasons += _emulation_reasons(emulation, emulation_error, unit, inputs, recurrent)
    return ParityReport(
        n=len(error),
        candidates=candidates,
        k=k,
        score_spread=unit,
        max_abs_error=worst,
        mean_abs_error=float(error.mean()),
        kendall_tau_min=float(tau.min()),
        ndcg_reference=ndcg[1],
        non_finite=non_finite,
        tolerance=tolerance,
        passed=not reasons,
        reasons=reasons,
        **measured,
        **emulation,
    )


def compare(
    scores: NDArray[np.floating],
    reference: NDArray[np.floating],
    tolerance: Tolerance,
    *,
    k: int = 10,
    targets: NDArray[np.integer] | None = None,
    emulated: NDArray[np.floating] | None = None,
    inputs: int = 64,
    recurrent: bool = False,
) -> ParityReport:
    """Compare two ``[n, candidates]`` arrays of scores.

    Args:
        scores: the artifact's.
        reference: the reference's; must be finite.
        tolerance: what may differ.
        k: depth of overlap and NDCG.
        targets: column of the relevant candidate of each row (the held-out item); without it the reference's own
            ranking is what NDCG takes as relevant, and its NDCG is 1.
        emulated: scores of the reference with emulated activation quantisation (``parity_activations``), which the
            artifact must meet much more closely than ``reference``; may cover the first rows only.
        inputs: with ``emulated``: of the model's shallowest quantised layer.
        recurrent: with ``emulated``: a quantised layer runs more than once for a history. One flip then becomes many, but histories
            without any still agree to rounding, while an error of the artifact is in all of them: a tenth of them has to agree so.

    Raises:
        CheckFailed: the shapes differ, or the reference's scores are not finite, or none of them differs from another: whatever the
            artifact computes, nothing could be told from that.
    """
    if scores.shape != reference.shape or scores.ndim != 2 or scores.size == 0:
        raise CheckFailed(f"scores of shape {list(scores.shape)} cannot be compared with a reference of shape {list(reference.shape)}")
    if not np.isfinite(reference).all():
        raise CheckFailed("the reference model gives scores that are not finite; the backbone itself is broken")
    broken = ~np.isfinite(scores)
    expected = reference.astype(np.float64)
    numbers = np.where(broken, 0.0, scores.astype(np.float64))
    error = np.abs(numbers - expected)
    ranking = np.where(broken, -np.finfo(np.float32).max, scores)
    unit = spread(expected)
    tau = kendall_tau(ranking, reference)
    if targets is None:
        ndcg_reference, ndcg = 1.0, float(ndcg_of_ranks(ranking, reference, k).mean())
    else:
        ndcg_reference, ndcg = (float(ndcg_of_target(x, targets, k).mean()) for x in (reference, ranking))
    return report_of(
        error,
        tolerance,
        unit,
        worst=float(error.max()),
        tau=tau,
        overlap=top_k_overlap(reference, ranking, k),
        ndcg=(ndcg, ndcg_reference),
        broken=broken,
        emulation_error=None if emulated is None else numbers[: len(emulated)] - emulated,
        candidates=scores.shape[1],
        k=k,
        inputs=inputs,
        recurrent=recurrent,
    )


def parity(
    runner: Runner,
    reference: ScoresFn,
    histories: Ids,
    candidates: Ids,
    tolerance: Tolerance,
    k: int = 10,
    targets: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
    users: Vectors | None = None,
) -> ParityReport:
    """Run an artifact and its reference over ``histories [n, length]``, ``candidates [n, candidates]`` and ``users [n, dim]`` and compare.

    Raises:
        CheckFailed: the artifact answers with a wrong shape. A missed tolerance is no exception: see ``passed``.
    """
    inputs = (histories, candidates) if users is None else (histories, candidates, users)
    return compare(run_all(runner, *inputs, progress=progress), np.asarray(reference(*inputs)), tolerance, k=k, targets=targets)


def spread(expected: NDArray[np.float64]) -> float:
    """The unit of errors: what the scores of one history differ by, or, with one candidate each, those of different histories."""
    centre = expected.mean(1, keepdims=True) if expected.shape[1] > 1 else expected.mean()
    spread = float(np.sqrt(np.mean((expected - centre) ** 2)))
    if spread <= _UNIT_IN_THE_LAST_PLACE * float(np.abs(expected).max()):
        raise CheckFailed(
            f"the artifact cannot be judged: the reference's scores do not differ ({len(expected)} histories, {expected.shape[1]} "
            "candidates each), so that an error has nothing to be measured by; compare over more histories, or more candidates of each"
        )
    return spread


def _emulation_errors(own: NDArray[np.floating], unit: float) -> dict[str, float]:
    """The distance ``own [rows, scores]`` from the emulated reference, relative to ``unit``."""
    return {
        "emulation_rms_error": float(np.sqrt(np.mean(own**2))) / unit,
        "emulation_max_error": float(np.abs(own).max()) / unit,
    }


def _emulation_reasons(errors: dict[str, float], own: NDArray[np.floating], unit: float, inputs: int, recurrent: bool) -> tuple[str, ...]:
    """What of these distances is more than rounding flips make; arguments as for :func:`compare`."""
    limits = zip(errors.items(), emulation_limits(inputs, recurrent), strict=True)
    reasons = tuple(f"{name} {value:.3g} is above {limit:.3g}" for (name, value), limit in limits if value > limit)
    best, limit = float(np.quantile(np.sqrt(np.mean(own**2, axis=1)), 0.1)) / unit, FP32_TOLERANCE.relative_rms_error
    if (recurrent or 64 < inputs <= _WIDEST) and best > limit:
        reasons += (f"emulation_rms_error of the tenth of the histories that agree best, {best:.3g}, is above {limit:.3g}",)
    return reasons


def _reasons(measured: dict[str, float], tolerance: Tolerance, non_finite: int, size: int) -> tuple[str, ...]:
    """A sentence for each measure that misses the tolerance, and one where scores are no numbers."""
    reasons = []
    if non_finite:
        reasons.append(f"{non_finite} of {size} scores are NaN or infinite")
    for name in ("relative_rms_error", "max_relative_error"):
        if measured[name] > (limit := getattr(tolerance, name)):
            reasons.append(f"{name} {measured[name]:.3g} is above {limit:.3g}")
    for name in _OF_RANKS:
        if measured[name] < (limit := getattr(tolerance, name)):
            reasons.append(f"{name} {measured[name]:.5f} is below {limit:.5f}")
    if abs(measured["ndcg_difference"]) > tolerance.ndcg_difference:
        reasons.append(f"ndcg_difference {measured['ndcg_difference']:+.5f} is beyond {tolerance.ndcg_difference:.5f}")
    return tuple(reasons)
