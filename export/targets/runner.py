"""Artifacts on their real runtimes, behind one interface: a history and candidates in, scores out.

Ids and shapes are checked here, at the edge: some runtimes read out of bounds without a word.
"""

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import InputError

Ids = NDArray[np.int32]
Scores = NDArray[np.float32]


class Runner(abc.ABC):
    """One loaded artifact.

    Attributes:
        length: items in a history; candidates: ids scored per call.
        items: the largest id; None when the artifact does not tell.
    """

    length: int
    candidates: int
    items: int | None

    def scores(self, history: ArrayLike, candidates: ArrayLike) -> Scores:
        """Scores float32 ``[candidates]`` of the ids ``candidates [candidates]`` after ``history [length]``.

        Args:
            history: ids in 0..items, left-padded with 0.
            candidates: ids in 1..items.

        Raises:
            InputError: a wrong shape or type, or an id out of range.
        """
        return self._run(
            checked_ids(history, self.length, "history", 0, self.items),
            checked_ids(candidates, self.candidates, "candidates", 1, self.items),
        )

    @abc.abstractmethod
    def _run(self, history: Ids, candidates: Ids) -> Scores:
        """Scores of checked, contiguous ids."""


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


def first_line(error: Exception) -> str:
    """What a runtime says, without the trace that some of them append."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
