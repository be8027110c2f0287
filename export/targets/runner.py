"""Artifacts on their real runtimes, behind one interface: a history, candidates and perhaps a user vector in, scores out.

Ids and shapes are checked here, at the edge: some runtimes read out of bounds without a word.
"""

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import InputError
from chordkit.inputs import Ids, checked_candidates, checked_history

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
            history: item ids, oldest first, left-padded with 0 (:mod:`chordkit.inputs` has the rules).
            candidates: ids in 1..items.
            user: the user's vector, float32 ``[dim]`` (``UserVector.values``), for an artifact that takes one; None = zeros, nobody's.

        Raises:
            InputError: a wrong shape or type, an id out of range, a history with an empty slot that is not in front, or a vector for
                an artifact that takes none.
        """
        return self._run(
            *self._ids(history, candidates),
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

    def _ids(self, history: ArrayLike, candidates: ArrayLike) -> tuple[Ids, Ids]:
        """The ids of a call, checked."""
        return checked_history(history, self.items, self.length), checked_candidates(candidates, self.items, self.candidates)

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
