"""The ways of benchmarks/coda.py to learn from one's own clicks and other people's, and what each does to one phone."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from coda_cloud import Phone

from chordkit.coda.adapter import Adapter, encode_adapter
from chordkit.coda.classifier import inner
from chordkit.coda.gate import Adopted, Verdict, first_examined, judge, review, weigh
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps
from chordkit.coda.personal import PersonalOptions, fit_adapter

WAYS = {
    "local": "its own samples alone",
    "random": "and 200 random samples",
    "coarse": "and 200 random ones of 400 matched",
    "classifier": "and the inner 200 of 400 matched",
    "worst": "and the outer 200 of 400 matched",
    "nearest": "and the nearest 200",
    "users": "and those of the 8 nearest users that help",
    "knn": "kNN over the nearest 200, no training",
}
FRESH = {
    "learned": "and the nearest 200 of what the model has learned from",
    "everyone": "1,000 random new samples alone, one adapter for all",
}
SENT = {
    "random": "random", "coarse": "matched", "classifier": "matched", "worst": "matched", "nearest": "nearest", "knn": "nearest",
    "learned": "nearest_learned",
}  # fmt: skip
PAIRS = [
    ("coarse", "local"), ("coarse", "random"), ("nearest", "random"), ("classifier", "coarse"), ("classifier", "worst"),
    ("classifier", "random"), ("nearest", "learned"), ("nearest", "everyone"),
]  # fmt: skip
PARTS = (("affine",), ("affine", "bias"), ("affine", "lowrank", "bias"))
GRID = [
    PersonalOptions(Steps(count=10, rate=rate, parts=parts), weight=weight)
    for parts in PARTS
    for rate in (0.003, 0.01, 0.03, 0.1)
    for weight in (0.3, 1.0)
]
KNN_GRID = [(share, temperature) for share in (0.05, 0.1, 0.3) for temperature in (0.05, 0.2)]


@dataclass(frozen=True)
class Outcome:
    """What one user got in one way: NDCG@10 and mean log likelihood on the test items, without and with the gate.

    Attributes:
        adopted: whether the gate opened.
        milliseconds: of this reference, gate included.
        sent: bytes that came from the cloud.
        size: bytes of the adapter.
    """

    ndcg: float
    likelihood: float
    gated_ndcg: float
    gated_likelihood: float
    adopted: bool
    milliseconds: float
    sent: int
    size: int


def grid_of(way: str) -> Sequence[Any]:
    """The settings that a way is tried with."""
    if way == "knn":
        return KNN_GRID
    # Without a second kind of samples their weight changes nothing.
    return [each for each in GRID if each.weight == GRID[0].weight] if way in ("local", "everyone") else GRID


def samples_of(way: str, phone: Phone, local: Lessons, setting: PersonalOptions) -> Lessons:
    """The outside samples of a way; whatever chooses among them sees no lessons of the user's but ``local``."""
    if way == "local":
        return local.take(np.zeros(0, np.int64))
    if way == "users":
        return helpful_users(phone, local, setting)
    if way == "coarse":
        return phone.matched.take(phone.half)
    if way in ("classifier", "worst"):
        inside = phone.inside(local, setting.border)
        return phone.matched.take(inner(inside if way == "classifier" else -inside, 0.5))
    return getattr(phone, SENT[way]).lessons


def helpful_users(phone: Phone, local: Lessons, setting: PersonalOptions) -> Lessons:
    """Samples of the users that, one after the other, make the newest third of the local lessons more likely (after MPDA)."""
    head, count = phone.cloud.head, 2 * len(local) // 3
    kept, learned, held = local.take(np.zeros(0, np.int64)), local.take(np.arange(count)), local.take(np.arange(count, len(local)))
    exam = Exam(head, held, Candidates.choose(local.targets, head.items, setting.others))
    best = exam.likelihoods(fit_adapter(head, learned, kept, setting)).mean()
    for source in phone.users:
        more = kept.join(source.lessons)
        after = exam.likelihoods(fit_adapter(head, learned, more, setting)).mean()
        if after > best:
            best, kept = after, more
    return kept


def bytes_of(way: str, phone: Phone) -> int:
    """What the cloud sends for a way."""
    if way == "users":
        return sum(each.size for each in phone.users)
    if way in ("local", "everyone"):
        return 0
    return int(getattr(phone, SENT[way]).size)


# --- marks ------------------------------------------------------------------------------------------------------------


def log_probabilities(head: Head, lessons: Lessons, adapter: Adapter | None = None) -> np.ndarray:
    """Of the whole catalogue after each lesson, [n, items + 1]; -inf for what was seen."""
    states = lessons.states if adapter is None else adapter.states(lessons.states)
    scores = (states @ head.table.T).astype(np.float64)
    if head.bias is not None:
        scores += head.bias
    if adapter is not None:
        scores += adapter.biases(np.arange(head.items + 1))
    barred = np.zeros(scores.shape, bool)
    np.put_along_axis(barred, lessons.seen.astype(np.int64), True, axis=1)
    barred[np.arange(len(barred)), lessons.targets] = False
    barred[:, 0] = True
    scores[barred] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def neighbours(head: Head, lessons: Lessons, samples: Lessons, share: float, temperature: float) -> np.ndarray:
    """:func:`log_probabilities` mixed with what came after the samples whose states are nearest (kNN-LM, ICLR 2020)."""
    plain = log_probabilities(head, lessons)
    unit = [each.states / np.linalg.norm(each.states, axis=1, keepdims=True) for each in (lessons, samples)]
    weights = np.exp((unit[0] @ unit[1].T - 1.0).astype(np.float64) / temperature)
    votes = np.zeros_like(plain)
    np.add.at(votes.T, samples.targets, weights.T)
    votes[plain == -np.inf] = 0.0
    total = votes.sum(axis=1, keepdims=True)
    mixed = (1 - share) * np.exp(plain) + share * votes / np.maximum(total, 1e-300)
    with np.errstate(divide="ignore"):
        return np.where(total > 0, np.log(mixed), plain)


def marks(found: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """NDCG@10 and mean log likelihood; a tie counts against the target."""
    own = found[np.arange(len(found)), targets][:, None]
    ranks = (~(found < own)).sum(axis=1)
    return float(np.mean((ranks <= 10) / np.log2(ranks + 1.0))), float(own.mean())


# --- one phone --------------------------------------------------------------------------------------------------------


def learn(way: str, phone: Phone, local: Lessons, setting: PersonalOptions) -> Adapter:
    """The adapter of a way, not judged."""
    if way == "everyone":
        return phone.samples.everyones(setting)
    return fit_adapter(phone.cloud.head, local, samples_of(way, phone, local, setting), setting)


def try_way(way: str, phone: Phone, setting: Any, *, gate: bool = True) -> Outcome:
    """One user in one way; ``setting`` is of :func:`grid_of`."""
    head = phone.cloud.head
    plain = marks(log_probabilities(head, phone.test), phone.test.targets)
    sent = bytes_of(way, phone)
    begun, size = time.perf_counter(), 0
    verdict = Verdict(0, 0.0, 0.0, -math.inf)
    if way == "knn":
        samples = phone.nearest.lessons
        found = neighbours(head, phone.test, samples, *setting)
        held = phone.local.take(np.arange(first_examined(len(phone.local)), len(phone.local)))
        if gate and len(held):
            rows = (np.arange(len(held)), held.targets)
            verdict = weigh(log_probabilities(head, held)[rows], neighbours(head, held, samples, *setting)[rows])
    else:
        if gate:
            verdict = judge(head, phone.local, lambda some: learn(way, phone, some, setting), folds=setting.folds, others=setting.others)
        adapter = learn(way, phone, phone.local, setting)
        size = len(encode_adapter(adapter))
        found = log_probabilities(head, phone.test, adapter)
    spent = 1e3 * (time.perf_counter() - begun)
    trained = marks(found, phone.test.targets)
    return Outcome(*trained, *(trained if verdict.adopt else plain), verdict.adopt, spent, sent or (size if way == "everyone" else 0), size)


def later(way: str, phone: Phone, setting: PersonalOptions) -> dict[str, tuple[float, float]] | None:
    """Marks of an adapter that was adopted some clicks ago, as it was and judged again by them; None where none was adopted."""
    head, adopted = phone.cloud.head, Adopted()
    verdict = judge(head, phone.local, lambda some: learn(way, phone, some, setting), folds=setting.folds, others=setting.others)
    adapter = learn(way, phone, phone.local, setting)
    if not adopted.offer(adapter, verdict):
        return None
    adopted.review(head, phone.newer, others=setting.others)
    found = {"cloud": None, "as it was": adapter, "judged again": adopted.current}
    if not review(head, adapter, phone.newer, others=setting.others).adopt:
        adapter = None
    found["proven again"] = adapter
    return {name: marks(log_probabilities(head, phone.test, each), phone.test.targets) for name, each in found.items()}
