"""How an adapter learns: softmax over candidates, its gradient in closed form, and a fixed number of plain steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.coda.adapter import MOST_ITEMS, NO_STRATEGY, RANK, Adapter

PARTS = ("affine", "lowrank", "bias")


@dataclass(frozen=True, eq=False)
class Head:
    """What is frozen after the encoder: an item's score is ``table[item] . state + bias[item]``.

    Attributes:
        table: float [items + 1, dim]; row 0 is padding.
        bias: float [items + 1], or None.
        fingerprint: of the master.
        strategy: the first 8 bytes of SHA-256 over the strategy's wire bytes; zeros = none.
    """

    table: np.ndarray
    bias: np.ndarray | None = None
    fingerprint: bytes = NO_STRATEGY
    strategy: bytes = NO_STRATEGY

    @property
    def items(self) -> int:
        """Size of the catalogue, padding not counted."""
        return len(self.table) - 1

    @property
    def dim(self) -> int:
        """Of a hidden state."""
        return int(self.table.shape[1])


@dataclass(frozen=True, eq=False)
class Lessons:
    """Samples to learn from or to be judged on: after this state, that item came.

    Attributes:
        states: float [n, dim], the frozen encoder's, of the history before each target.
        targets: int32 [n], items.
        seen: int32 [n, length], the items before each target, padded with 0: they do not compete with it.
    """

    states: np.ndarray
    targets: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: np.ndarray) -> "Lessons":
        """The lessons with these numbers."""
        return Lessons(self.states[rows], self.targets[rows], self.seen[rows])

    def join(self, other: "Lessons") -> "Lessons":
        """These, then the other ones."""
        width = max(self.seen.shape[1], other.seen.shape[1])
        seen = [np.pad(each.seen, ((0, 0), (width - each.seen.shape[1], 0))) for each in (self, other)]
        return Lessons(np.concatenate([self.states, other.states]), np.concatenate([self.targets, other.targets]), np.concatenate(seen))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items that compete.

    Attributes:
        items: int32 [c], ascending.
        offsets: float64 [c], added to their scores: the logarithm of how many items each stands for.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.float64]

    @classmethod
    def choose(cls, targets: np.ndarray, items: int, others: int) -> "Candidates":
        """All of ``targets``, each for itself, and ``others`` evenly spaced ones of the rest of the items 1..items for all of the rest."""
        own = np.zeros(items + 1, bool)
        own[targets] = True
        rest = np.flatnonzero(~own[1:]) + 1
        count = min(others, len(rest))
        drawn = rest[((2 * np.arange(count) + 1) * len(rest)) // max(1, 2 * count)]
        chosen = np.sort(np.concatenate([np.flatnonzero(own), drawn])).astype(np.int32)
        share = np.log(len(rest) / count) if count else 0.0
        return cls(chosen, np.where(own[chosen], 0.0, share))


class Exam:
    """Lessons, and the scores that the frozen model gives the candidates after each of them."""

    def __init__(self, head: Head, lessons: Lessons, candidates: Candidates) -> None:
        self.lessons, self.items = lessons, candidates.items
        dtype = head.table.dtype
        self._rows = head.table[candidates.items]
        fixed = candidates.offsets.astype(dtype)
        self._fixed = fixed if head.bias is None else fixed + head.bias[candidates.items]
        place = np.full(head.items + 1, -1, np.int64)
        place[candidates.items] = np.arange(len(candidates.items))
        self._place, self._own = place, place[lessons.targets]
        columns = place[lessons.seen]
        row, slot = np.nonzero((columns >= 0) & (columns != self._own[:, None]))
        self._barred = row, columns[row, slot]

    def _logits(self, adapter: Adapter) -> tuple[np.ndarray, np.ndarray]:
        """Scores [n, c] less each row's largest, and these scores of the targets [n]."""
        logits = adapter.states(self.lessons.states) @ self._rows.T + (self._fixed + adapter.biases(self.items))
        logits[self._barred] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        return logits, logits[np.arange(len(logits)), self._own]

    def likelihoods(self, adapter: Adapter) -> np.ndarray:
        """Log probability of every target, nats, [n]."""
        logits, own = self._logits(adapter)
        return own - np.log(np.exp(logits).sum(axis=1))

    def loss(self, adapter: Adapter, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Weighted mean of the negative log probabilities, and its gradient in the order of ``Adapter.values``.

        With p the softmax and y the target's indicator, the gradient of a score is w (p - y) / sum w =: D. Then the gradient of an
        adapted state is G = D E, of the gain sum G * h, of the shift sum G, of up G' (h P'), of a bias the column sum of D.
        """
        logits, own = self._logits(adapter)
        powers = np.exp(logits)
        norms = powers.sum(axis=1)
        share = weights / weights.sum()
        loss = float((share * (np.log(norms) - own)).sum())
        slopes = powers * (share / norms)[:, None]
        slopes[np.arange(len(slopes)), self._own] -= share
        states = self.lessons.states
        by_state = slopes @ self._rows
        places = self._place[adapter.items]
        by_bias = np.where(places >= 0, slopes.sum(axis=0)[places], 0)
        parts = ((by_state * states).sum(axis=0), by_state.sum(axis=0), (by_state.T @ (states @ adapter.down.T)).ravel(), by_bias)
        return loss, np.concatenate(parts)


@dataclass(frozen=True)
class Steps:
    """How an adapter is trained: full batches, a fixed number of steps, nothing random.

    Attributes:
        count: steps.
        rate: learning rate.
        method: ``adam`` (0.9, 0.999, 1e-8), or ``sgd`` with momentum 0.9.
        parts: which parameters learn, of :data:`PARTS`.
        decay: pull towards zero: half of it times the square of the parameters is added to the loss.
    """

    count: int = 10
    rate: float = 0.01
    method: str = "adam"
    parts: tuple[str, ...] = PARTS
    decay: float = 0.0


def start(head: Head, lessons: Lessons) -> Adapter:
    """An adapter of zeros with a place for the bias of the lessons' most frequent targets, the lower number where two are as frequent."""
    counts = np.bincount(lessons.targets, minlength=head.items + 1)
    order = np.argsort(-counts, kind="stable")[:MOST_ITEMS]
    zero = Adapter.zero(head.dim, np.sort(order[counts[order] > 0]), head.fingerprint, head.strategy)
    return zero.with_values(zero.values.astype(head.table.dtype))


def train(exam: Exam, weights: np.ndarray, adapter: Adapter, steps: Steps) -> Adapter:
    """``adapter`` after ``steps`` on the exam's lessons, of which lesson i counts ``weights[i]``."""
    values = adapter.values.copy()
    learning = _learning(adapter, steps.parts).astype(values.dtype)
    first, second = np.zeros_like(values), np.zeros_like(values)
    for step in range(1, steps.count + 1):
        gradient = (exam.loss(adapter.with_values(values), weights)[1] + steps.decay * values) * learning
        if steps.method == "adam":
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient * gradient
            values = values - steps.rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        else:
            first = 0.9 * first + gradient
            values = values - steps.rate * first
        values = values.astype(adapter.values.dtype)
    return adapter.with_values(values)


def _learning(adapter: Adapter, parts: tuple[str, ...]) -> np.ndarray:
    sizes = {"affine": 2 * adapter.dim, "lowrank": adapter.dim * RANK, "bias": len(adapter.items)}
    return np.concatenate([np.full(size, part in parts) for part, size in sizes.items()])
