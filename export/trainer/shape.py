"""What goes into a trainer: lessons and candidates of any number up to its own, padded with what has no influence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.coda.adapter import RANK, Adapter
from chordkit.coda.learning import Candidates, Head, Lessons
from chordkit.errors import InputError

MOST = 4096
"""Of each of a trainer's sizes: at 4,096 lessons and candidates their scores alone take 64 MB."""
PARAMETERS = ("gain", "shift", "up", "bias")


@dataclass(frozen=True)
class TrainerShape:
    """The sizes that are fixed in a trainer's file.

    Attributes:
        dim: of a hidden state.
        lessons: at most so many; a phone has 100 of its own and 200 from outside.
        candidates: at most so many items compete: all targets and 256 others.

    Raises:
        InputError: a size is not in 1..4,096, or there are fewer than 16 candidates.
    """

    dim: int
    lessons: int = 300
    candidates: int = 556

    def __post_init__(self) -> None:
        for name, size, least in (("dim", self.dim, 1), ("lessons", self.lessons, 1), ("candidates", self.candidates, 16)):
            if not least <= size <= MOST:
                raise InputError(f"trainer: {size} {name} are not {least} to {MOST:,}; choose another size")

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in the order of the file. A bias for every candidate: those that an adapter has none for never move."""
        return {"gain": (self.dim,), "shift": (self.dim,), "up": (self.dim, RANK), "bias": (self.candidates,)}

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a :class:`Batch` by name, in the order of the graph."""
        n, c = self.lessons, self.candidates
        return {"states": (n, self.dim), "targets": (n,), "weights": (n,), "frozen": (n, c), "rows": (c, self.dim), "biased": (c,)}


@dataclass(frozen=True, eq=False)
class Batch:
    """The inputs of a trainer, in their order, and where the biases of an adapter stand among its own.

    Attributes:
        states: float32 [lessons, dim]; zeros in a padded row.
        targets: int64 [lessons], places among the candidates.
        weights: float32 [lessons]; 0 in a padded row.
        frozen: float32 [lessons, candidates], added to the product of state and row: the candidate's offset and the head's bias; -inf where
            it does not compete.
        rows: float32 [candidates, dim], of the item table.
        biased: float32 [candidates], 1 where the adapter has a bias, else 0.
        places: int64 [k], of the adapter's items among the candidates.
    """

    states: NDArray[np.float32]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    frozen: NDArray[np.float32]
    rows: NDArray[np.float32]
    biased: NDArray[np.float32]
    places: NDArray[np.int64]

    @classmethod
    def of(
        cls, shape: TrainerShape, head: Head, lessons: Lessons, candidates: Candidates, weights: np.ndarray, adapter: Adapter
    ) -> "Batch":
        """Lessons of which lesson i counts ``weights[i]``, padded to the trainer's sizes.

        Raises:
            InputError: they do not fit it, no lesson counts, or the adapter has a bias for an item that does not compete.
        """
        items, (n, c) = candidates.items, (len(lessons), len(candidates.items))
        for have, most, what, option in ((n, shape.lessons, "lessons", "--lessons"), (c, shape.candidates, "candidates", "--candidates")):
            if have > most:
                raise InputError(f"trainer: {have} {what} are more than its {most}; give fewer, or make one with a larger {option}")
        if head.dim != shape.dim or adapter.dim != shape.dim:
            raise InputError(f"trainer: states of {head.dim} numbers were given to one for {shape.dim}; make one for this backbone")
        if len(weights) != n or not np.isfinite(weights).all() or not weights.sum() > 0 or weights.min() < 0:
            raise InputError("trainer: weights: they are not one a lesson, 0 or more, of which one counts; correct them")
        if not (np.isin(lessons.targets, items).all() and np.isin(adapter.items, items).all()):
            raise InputError("trainer: a target, or an item with a bias, is not among the candidates; use Candidates.choose(), and start()")
        own, places = np.searchsorted(items, lessons.targets), np.searchsorted(items, adapter.items)
        frozen = np.zeros((shape.lessons, shape.candidates), np.float32)
        frozen[:, c:] = -np.inf
        frozen[:n, :c] = candidates.offsets + (0 if head.bias is None else head.bias[items])
        row, slot = np.nonzero((lessons.seen != lessons.targets[:, None]) & np.isin(lessons.seen, items))
        frozen[row, np.searchsorted(items, lessons.seen[row, slot])] = -np.inf
        biased = np.zeros(shape.candidates, np.float32)
        biased[places] = 1
        return cls(
            _padded(lessons.states, np.float32, shape.lessons, shape.dim),
            _padded(own, np.int64, shape.lessons),
            _padded(weights, np.float32, shape.lessons),
            frozen,
            _padded(head.table[items], np.float32, shape.candidates, shape.dim),
            biased,
            places.astype(np.int64),
        )

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """As the graph takes them."""
        return self.states, self.targets, self.weights, self.frozen, self.rows, self.biased

    def parameters(self, adapter: Adapter) -> dict[str, NDArray[np.float32]]:
        """An adapter's parameters as the trainer has them, by name."""
        bias = np.zeros(len(self.biased), np.float32)
        bias[self.places] = adapter.bias
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(PARAMETERS, (adapter.gain, adapter.shift, adapter.up, bias), strict=True)
        }

    def values(self, parameters: dict[str, np.ndarray]) -> NDArray[np.float32]:
        """The trainer's parameters in the order of ``Adapter.values``, a copy."""
        gain, shift, up, bias = (parameters[name] for name in PARAMETERS)
        return np.concatenate([gain, shift, up.ravel(), bias[self.places]]).astype(np.float32)


def _padded(values: np.ndarray, dtype: type, *shape: int) -> np.ndarray:
    whole: np.ndarray = np.zeros(shape, dtype)
    whole[: len(values)] = values
    return whole
