"""The no-harm gate: a new adapter is adopted only if held-out local likelihood improves by more than its own uncertainty."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from chordkit.coda.adapter import Adapter
from chordkit.coda.learning import Candidates, Exam, Head, Lessons

LEVEL = 0.05
"""An adapter that improves nothing is adopted at most so often."""
UNJUDGED = 5
"""One in so many of a user's lessons, the oldest, is only learned from; all newer ones judge."""
FEWEST = 10
"""Lessons below which nothing can be said."""

Learn = Callable[[Lessons], Adapter]


@dataclass(frozen=True)
class Verdict:
    """What held-out local lessons say.

    Attributes:
        lessons: how many were held out, each once; 0 where they are too few.
        before: their mean log likelihood, nats, under the frozen model.
        after: under adapters that learned without them.
        low: lower bound of the mean improvement, one-sided, at 1 - :data:`LEVEL`; -inf where nothing can be said.
    """

    lessons: int
    before: float
    after: float
    low: float

    @property
    def helps(self) -> bool:
        """Whether they became more likely, by however little."""
        return self.after > self.before

    @property
    def adopt(self) -> bool:
        """Whether the improvement exceeds its uncertainty."""
        return self.low > 0.0


def first_examined(count: int) -> int:
    """The number of the first of ``count`` lessons, in the order of time, that the gate holds out."""
    return -(-count // UNJUDGED)


def blocks(count: int, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(learned, held out) numbers of ``count`` lessons in the order of time: ``folds`` runs of the newest, each with all that is older."""
    first = first_examined(count)
    edges = first + np.arange(folds + 1) * (count - first) // folds
    for start, stop in itertools.pairwise(edges.tolist()):
        yield np.arange(start), np.arange(start, stop)


def judge(head: Head, local: Lessons, learn: Learn, *, folds: int = 3, others: int = 256) -> Verdict:
    """Judge a way to learn on a user's own lessons, in the order of time, each by an adapter that learned from older ones alone.

    Args:
        head: the frozen model.
        local: lessons of the user alone.
        learn: makes an adapter of local lessons. It must choose outside samples by these alone too: whoever chooses them by the lessons
            that are held out has seen the exam. So has a cloud that was asked with more than what is older than the exam's first target
            (:func:`first_examined`).
        folds: blocks; at least 2.
        others: items that compete besides the targets.
    """
    if len(local) - first_examined(len(local)) < max(FEWEST, folds):
        return Verdict(0, 0.0, 0.0, -math.inf)
    candidates = Candidates.choose(local.targets, head.items, others)
    zero = Adapter.zero(head.dim, np.zeros(0, np.int32))
    pairs = []
    for learned, held in blocks(len(local), folds):
        exam = Exam(head, local.take(held), candidates)
        pairs.append([exam.likelihoods(zero), exam.likelihoods(learn(local.take(learned)))])
    before, after = np.concatenate(pairs, axis=1).astype(np.float64)
    return weigh(before, after)


def review(head: Head, adapter: Adapter, newer: Lessons, *, others: int = 256) -> Verdict:
    """The verdict on an adapter over lessons that it did not learn from: clicks that came after it was trained."""
    if not len(newer):
        return Verdict(0, 0.0, 0.0, -math.inf)
    exam = Exam(head, newer, Candidates.choose(newer.targets, head.items, others))
    zero = Adapter.zero(head.dim, np.zeros(0, np.int32))
    return weigh(*(exam.likelihoods(each).astype(np.float64) for each in (zero, adapter)))


def weigh(before: np.ndarray, after: np.ndarray) -> Verdict:
    """The verdict over paired log likelihoods [n] of held-out lessons, by the lower bound of Student's paired t interval."""
    gains = after - before
    count = len(gains)
    if count < FEWEST or not np.isfinite(gains).all():
        return Verdict(count, float(np.mean(before)), float(np.mean(after)), -math.inf)
    error = float(gains.std(ddof=1)) / math.sqrt(count)
    low = float(gains.mean()) - student_quantile(1.0 - LEVEL, count - 1) * error
    return Verdict(count, float(before.mean()), float(after.mean()), low if gains.any() else -math.inf)


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t, by the Cornish-Fisher expansion: within 0.1 % for 9 degrees of freedom or more at 95 %."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + first + second + third


class Adopted:
    """The adapter in use, and the one before it; None = the frozen model as it is."""

    def __init__(self) -> None:
        self.current: Adapter | None = None
        self.previous: Adapter | None = None

    def offer(self, adapter: Adapter, verdict: Verdict) -> bool:
        """Adopt ``adapter`` if its verdict says so, and keep the one it replaces; otherwise leave everything as it is."""
        if verdict.adopt:
            self.previous, self.current = self.current, adapter
        return verdict.adopt

    def review(self, head: Head, newer: Lessons, *, others: int = 256) -> Verdict:
        """Judge the adapter in use again, by clicks that came after it was trained; where ten or more of them did not become more likely
        with it, it goes, and the one before is judged by the same clicks.

        To stay is asked less of it than to come: it has proven itself once, and what took its place would have to prove itself anew.

        Returns:
            The verdict on what is in use afterwards; of no lessons where that is the frozen model.
        """
        while self.current is not None:
            verdict = review(head, self.current, newer, others=others)
            if verdict.lessons < FEWEST or verdict.helps:
                return verdict
            self.undo()
        return Verdict(0, 0.0, 0.0, -math.inf)

    def undo(self) -> None:
        """Go back to the one before; from there, to the frozen model."""
        self.current, self.previous = self.previous, None

    def forget(self) -> None:
        """Back to the frozen model at once."""
        self.current = self.previous = None
