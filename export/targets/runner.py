"""Artifacts on their real runtimes, behind one interface: a history, candidates and perhaps a user vector in, scores out.

Ids and shapes are checked here, at the edge: some runtimes read out of bounds without a word.
"""

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import InputError

Ids = NDArray[np.int32]
Vector = NDArray[np.float32]
Scores = NDArray[np.float32]


class Runner(abc.ABC):
    """One loaded artifact.

    Attributes:
        length: items in a history; candidates: ids scored per call.
        items: the largest id; None when the artifact does not tell.
        dim: numbers in a user vector; None when the artifact takes none.
        vector_needed: whether a call without a vector is one with zeros, as for a graph with an input for it.
    """

    length: int
    candidates: int
    items: int | None
    dim: int | None = None
    vector_needed: bool = True

    def scores(self, history: ArrayLike, candidates: ArrayLike, user: ArrayLike | None = None) -> Scores:
        """Scores float32 ``[candidates]`` of the ids ``candidates [candidates]`` after ``history [length]``.

        Args:
            history: ids in 0..items, left-padded with 0.
            candidates: ids in 1..items.
            user: the user's vector, float32 ``[dim]`` (``UserVector.values``), for an artifact that takes one; None = zeros, nobody's.

        Raises:
            InputError: a wrong shape or type, an id out of range, or a vector for an artifact that takes none.
        """
        return self._run(
            checked_ids(history, self.length, "history", 0, self.items),
            checked_ids(candidates, self.candidates, "candidates", 1, self.items),
            None if user is None and not (self.vector_needed and self.dim) else checked_vector(user, self.dim),
        )

    def for_user(self, user: ArrayLike) -> "Runner":
        """This artifact for one user, whose vector float32 ``[dim]`` every call then has.

        Raises:
            InputError: it is no such vector, or the artifact takes none.
        """
        return _UserRunner(self, checked_vector(user, self.dim))

    def adopt(self) -> bool:
        """Adopt the strategy once more, as when a new one has come; False where it is part of the artifact."""
        return False

    @abc.abstractmethod
    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        """Scores of checked, contiguous arrays; ``user`` is None where the artifact takes none."""


class _UserRunner(Runner):
    """A runner with a user vector as one without: see :meth:`Runner.for_user`."""

    def __init__(self, runner: Runner, user: Vector) -> None:
        self._runner, self._user = runner, user
        self.length, self.candidates, self.items = runner.length, runner.candidates, runner.items

    def adopt(self) -> bool:
        return self._runner.adopt()

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        return self._runner._run(history, candidates, self._user)


def checked_ids(values: ArrayLike, size: int, what: str, lowest: int, highest: int | None) -> Ids:
    """``values`` as contiguous int32 ``[size]``, every id in ``lowest..highest`` (None: as int32 allows).

    Raises:
        InputError: they are not; the sentence begins with ``what``.
    """
    array = np.asarray(values)
    if array.shape != (size,):
        raise InputError(f"{what}: {list(array.shape)} ids were given where the artifact takes [{size}]")
    if array.dtype != np.int32:
        if array.dtype.kind not in "iu":
            raise InputError(f"{what}: ids of type {array.dtype} were given; use int32")
        if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
            raise InputError(f"{what}: an id is negative or larger than int32 can hold")
        array = array.astype(np.int32)
    array = np.ascontiguousarray(array)
    # Ids below the lowest wrap around to huge numbers: one comparison checks both ends.
    last = np.iinfo(np.int32).max if highest is None else highest
    shifted = array.view(np.uint32) if lowest == 0 else (array - np.int32(lowest)).view(np.uint32)
    if int(shifted.max()) > last - lowest:
        wrong = int(array[shifted > last - lowest][0])
        raise InputError(f"{what}: the id {wrong} is not an item; ids lie in {lowest}..{'' if highest is None else highest}")
    return array


def checked_vector(values: ArrayLike | None, dim: int | None) -> Vector:
    """``values`` as a float32 ``[dim]`` user vector of its own, which nobody else changes; None = zeros.

    Raises:
        InputError: they are no such vector, or ``dim`` is None.
    """
    if dim is None:
        raise InputError("user: a vector was given to an artifact that takes none; leave it out, or export with a user vector")
    if values is None:
        return np.zeros(dim, np.float32)
    array = np.asarray(values)
    if array.dtype.kind != "f" or array.shape != (dim,):
        raise InputError(f"user: {array.dtype} of shape {list(array.shape)} was given where the artifact takes float32 [{dim}]")
    if not np.isfinite(array).all():
        raise InputError("user: a number of the vector is not finite; use the values of a UserVector")
    return np.array(array, np.float32)


def first_line(error: Exception) -> str:
    """What a runtime says, without the trace that some of them append."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
