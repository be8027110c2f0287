"""Parity of artifacts that choose the best themselves: ids and scores of a few, where others give the scores of all candidates.

An artifact is right when each score is its id's, and each rank's score is the reference's at that rank: both within the tolerance. Ids then
are the reference's but where the reference's own scores are nearer to each other than what the artifact may be off by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed
from chordkit.export.parity.compare import (
    Ids,
    ParityReport,
    Runner,
    Scores,
    ScoresFn,
    Vectors,
    report_of,
    rows_of,
    spread,
)
from chordkit.export.parity.measures import kendall_tau
from chordkit.export.parity.tolerance import Tolerance
from chordkit.progress import Progress

_ROWS = 256
_DEPTH = 10
_STATED = (10, 100)  # for the best so many of so many candidates tolerances are stated


class Best(NamedTuple):
    """The best of the candidates, best first, of equal scores the earlier candidate first.

    Attributes:
        ids: int32 ``[k]``, of a batch or of several calls ``[n, k]``.
        scores: float32, of the same shape.
    """

    ids: Ids
    scores: Scores


@dataclass(frozen=True)
class Expected:
    """What an artifact chooses from, and how the reference scores it.

    Attributes:
        candidates: int32 ``[n, m]``, no id twice in a row.
        scores: the reference's, float ``[n, m]``.
        catalogue: whether it chooses from all items, of which these are the reference's best, in its order: whatever else there is scores
            no more than the last of them.
        spread: the unit of errors.
    """

    candidates: Ids
    scores: NDArray[np.floating]
    catalogue: bool
    spread: float

    def columns(self, ids: Ids) -> NDArray[np.intp]:
        """Where each of ``ids [n, k]`` stands among the candidates; -1 = nowhere."""
        found = np.full(ids.shape, -1, np.intp)
        for start in range(0, len(ids), _ROWS):
            rows = slice(start, start + _ROWS)
            same = ids[rows, :, None] == self.candidates[rows, None, :]
            found[rows] = np.where(same.any(2), same.argmax(2), -1)
        return found

    def best(self, k: int) -> NDArray[np.intp]:
        """Columns of the reference's own choice ``[n, k]``."""
        return np.argsort(-self.scores, axis=1, kind="stable")[:, :k]


def depth_for(top: int, items: int) -> int:
    """How many of the reference's best are kept to judge the ``top`` best: some more, to tell what stands just behind them."""
    return min(items, top + max(_DEPTH, top))


def best_of_catalogue(references: Mapping[str, ScoresFn], histories: Ids, users: Vectors | None, depth: int) -> dict[str, Best]:
    """The ``depth`` best of the whole catalogue by each reference."""
    found: dict[str, Best] = {}
    for name, reference in references.items():
        parts = []
        for start in range(0, len(histories), _ROWS):
            rows = slice(start, start + _ROWS)
            scores = np.asarray(reference(histories[rows], None, *(() if users is None else (users[rows],))), np.float32)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
            parts.append((order.astype(np.int32) + 1, np.take_along_axis(scores, order, 1)))
        found[name] = Best(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return found


def run_best(
    runner: Runner, top: int, histories: Ids, candidates: Ids | None, users: Vectors | None = None, *, progress: Progress | None = None
) -> Best:
    """What ``runner`` chooses for every history; ``candidates`` None = of the whole catalogue.

    Raises:
        CheckFailed: the runner answers with another shape than it was asked for.
    """
    n = len(histories)
    result = Best(np.empty((n, top), np.int32), np.empty((n, top), np.float32))
    for rows in rows_of(n, getattr(runner, "batch", 1)):
        given = [None if each is None else each[rows] for each in (candidates, users)]
        answer = runner.best(histories[rows], *given)  # type: ignore[attr-defined]
        for mine, part in zip(result, answer, strict=True):
            part = np.asarray(part)
            if part.shape != mine[rows].shape:
                raise CheckFailed(f"the artifact answers with an array {list(part.shape)} where {list(mine[rows].shape)} was asked for")
            mine[rows] = part
        done = int(np.max(rows)) + 1
        if progress is not None and (done % 50 == 0 or done == n):
            progress("parity", done, n)
    return result


def compare_best(
    given: Best,
    expected: Expected,
    tolerance: Tolerance,
    *,
    candidates: int,
    target_ids: Ids | None = None,
    emulated: NDArray[np.floating] | None = None,
    inputs: int = 64,
    recurrent: bool = False,
) -> ParityReport:
    """Compare what an artifact chose with the reference's choice, row by row.

    Args:
        given: the artifact's.
        expected: what it chose from.
        tolerance: what may differ, as it is stated for the scores of 100 candidates.
        candidates: how many it chose from, for the report.
        target_ids: int32 ``[n]``, the relevant item of each row.
        emulated: of the first rows, scores of ``given.ids`` by the reference with emulated activations.
        inputs, recurrent: as for :func:`chordkit.export.parity.compare`.

    Returns:
        A report over the k best: its errors are those of the scores given, its tau that of their order, its overlap that of the first ten.
    """
    n, top = given.ids.shape
    k, order, columns = min(10, top), expected.best(top), expected.columns(given.ids)
    reference = np.take_along_axis(expected.scores, order, 1).astype(np.float64)
    lowest = expected.scores.min(1, keepdims=True)
    known = np.where(columns < 0, lowest, np.take_along_axis(expected.scores, columns.clip(0), 1)).astype(np.float64)
    broken = ~np.isfinite(given.scores)
    scores = np.where(broken, 0.0, given.scores.astype(np.float64))
    # Of an id that is not among the reference's best all that is known is that it scores no more than the last of them.
    error = np.where((columns < 0) & (scores <= known), 0.0, np.abs(scores - known))
    at_rank = np.abs(scores - reference)
    chosen = np.take_along_axis(expected.candidates, order, 1)
    hits = (given.ids[:, :k, None] == chosen[:, None, :k]).sum((1, 2)) / k
    tau = kendall_tau(scores, known) if top > 1 else np.ones(n)
    ndcg, ndcg_reference = (1.0, 1.0) if target_ids is None else (_ndcg(ids[:, :k], target_ids) for ids in (given.ids, chosen))
    return report_of(
        error,
        _for_best(tolerance, n, k, candidates, reference, expected.spread),
        expected.spread,
        worst=float(max(error.max(), at_rank.max())),
        tau=tau,
        overlap=hits,
        ndcg=(ndcg, ndcg_reference),
        broken=broken,
        emulation_error=None if emulated is None else scores[: len(emulated)] - emulated,
        candidates=candidates,
        k=k,
        inputs=inputs,
        recurrent=recurrent,
        reasons=_order_reasons(given, given.ids if expected.catalogue else columns, candidates),
    )


def expected_of(candidates: Ids, scores: NDArray[np.floating]) -> Expected:
    """What is chosen from candidates that are all scored."""
    return Expected(candidates, scores, False, spread(scores.astype(np.float64)))


def _order_reasons(given: Best, places: NDArray[np.integer], candidates: int) -> tuple[str, ...]:
    """What no choice of the best can be: another order, an id twice, an id from nowhere; ``places`` are those of the ids, -1 = nowhere."""
    falling = np.diff(given.scores, axis=1)
    wrong = {
        "scores do not fall": falling > 0,
        "of two equal scores the later candidate comes first": (falling == 0) & (np.diff(places, axis=1) < 0),
        "an id comes twice": np.diff(np.sort(given.ids, axis=1), axis=1) == 0,
        "an id is no candidate": (places < 0) | (given.ids < 1) | (places > candidates),
    }
    rows = {what: int(found.any(1).sum()) for what, found in wrong.items()}
    return tuple(f"in {count} of {len(falling)} answers {what}" for what, count in rows.items() if count)


def _ndcg(ids: Ids, targets: Ids) -> float:
    """Mean NDCG of one relevant id a row."""
    return float(((ids == targets[:, None]) @ (1 / np.log2(2 + np.arange(ids.shape[1])))).mean())


def _for_best(tolerance: Tolerance, n: int, k: int, candidates: int, reference: NDArray[np.float64], unit: float) -> Tolerance:
    """The tolerance for the best of so many: they lie nearer to each other than candidates do, and more of them at the border.

    Tau is lost in proportion to the noise over the spread of what is ordered: of the best, not of all. The overlap is lost in proportion
    to the scores per standard deviation at the border, in places of the list: ``C phi(z) / k``, ``z`` the border's quantile.
    """
    own = spread(reference) if reference.shape[1] > 1 and np.ptp(reference) > 0 else unit
    missing = (1 - tolerance.top10_overlap) * max(1.0, _crowd(k, candidates) / _crowd(*_STATED))
    stated = tolerance.model_copy(
        update={"kendall_tau": 1 - (1 - tolerance.kendall_tau) * max(1.0, unit / own), "top10_overlap": 1 - missing}
    )
    return stated.for_few(n, max(reference.shape[1], 2))


def _crowd(k: int, candidates: int) -> float:
    """Scores per standard deviation at the border of the k best, in places of the list; 0 where all are chosen."""
    if k >= candidates:
        return 0.0
    normal = NormalDist()
    return candidates * normal.pdf(normal.inv_cdf(1 - k / candidates)) / k
