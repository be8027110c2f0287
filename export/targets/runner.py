"""Artifacts on their real runtimes, behind one interface: a history, candidates and perhaps a user vector in, scores or the best out.

Ids and shapes are checked here, at the edge: some runtimes read out of bounds without a word.
"""

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import InputError
from chordkit.export.parity import Best
from chordkit.inputs import Ids, checked_candidates, checked_history

Vector = NDArray[np.float32]
Scores = NDArray[np.float32]
_BEST = 10  # of an artifact that gives scores of all, where nobody says how many


class Runner(abc.ABC):
    """One loaded artifact.

    Attributes:
        length: items in a history; candidates: ids scored per call.
        items: the largest id; None when the artifact does not tell.
        dim: numbers in a user vector; None when the artifact takes none.
        top: how many it gives, the best of the candidates, instead of scores for all; None = it gives all scores.
        batch: histories in a call; with more than one each array of a call has them as its first axis.
        catalogue: whether the candidates are all items, and no input.
        vector_needed: whether a call without a vector is one with zeros, as for a graph with an input for it.
    """

    length: int
    candidates: int
    items: int | None
    dim: int | None = None
    top: int | None = None
    batch: int = 1
    catalogue: bool = False
    vector_needed: bool = True

    def scores(self, history: ArrayLike, candidates: ArrayLike, user: ArrayLike | None = None) -> Scores:
        """Scores float32 ``[candidates]`` of the ids ``candidates [candidates]`` after ``history [length]``.

        Args:
            history: item ids, oldest first, left-padded with 0 (:mod:`chordkit.inputs` has the rules). Of a batch ``[batch, length]``.
            candidates: ids in 1..items. Of a batch ``[batch, candidates]``, or ``[candidates]`` for all histories alike.
            user: the user's vector, float32 ``[dim]`` (``UserVector.values``), for an artifact that takes one; None = zeros, nobody's.
                Of a batch ``[batch, dim]``, or ``[dim]`` for all alike.

        Returns:
            Of a batch ``[batch, candidates]``.

        Raises:
            InputError: a wrong shape or type, an id out of range, a history with an empty slot that is not in front, a vector for
                an artifact that takes none, or the artifact gives the best alone.
        """
        if self.top is not None:
            raise InputError(f"scores: the artifact gives the {self.top} best alone; ask for best(), or export without top")
        return self._run(*self._ids(history, candidates), self._vector(user))

    def best(self, history: ArrayLike, candidates: ArrayLike | None = None, user: ArrayLike | None = None, k: int | None = None) -> Best:
        """The best of the candidates after a history, by an artifact that chooses them itself, or here from the scores of all.

        Args:
            history: as for :meth:`scores`.
            candidates: as for :meth:`scores`; None for an artifact over the whole catalogue, and only there.
            user: as for :meth:`scores`.
            k: how many; None = as many as the artifact gives, 10 of one that gives all scores.

        Raises:
            InputError: as for :meth:`scores`, or ``k`` is more than the artifact gives.
        """
        most = self.candidates if self.top is None else self.top
        k = (min(_BEST, most) if self.top is None else most) if k is None else k
        if not 1 <= k <= most:
            raise InputError(f"k = {k}: the artifact gives 1 to {most}; ask for no more, or export with a larger top")
        if not self.catalogue:
            if candidates is None:
                raise InputError("candidates: the artifact chooses among candidates that it is given; give them")
            return self._best(*self._ids(history, candidates), self._vector(user), k)
        if candidates is not None:
            raise InputError("candidates: the artifact chooses among all items and takes no candidates; leave them out")
        return self._best(checked_history(history, self.items, self.length, self.batch), None, self._vector(user), k)

    def for_user(self, user: ArrayLike) -> "Runner":
        """This artifact for one user, whose vector float32 ``[dim]`` every call then has.

        Raises:
            InputError: it is no such vector, or the artifact takes none.
        """
        return _UserRunner(self, checked_vector(user, self.dim, self.batch))

    def adopt(self) -> bool:
        """Adopt the strategy once more, as when a new one has come; False where it is part of the artifact."""
        return False

    def _ids(self, history: ArrayLike, candidates: ArrayLike) -> tuple[Ids, Ids]:
        """The ids of a call, checked."""
        return (
            checked_history(history, self.items, self.length, self.batch),
            checked_candidates(candidates, self.items, self.candidates, self.batch),
        )

    def _vector(self, user: ArrayLike | None) -> Vector | None:
        """The vector of a call, checked; None where the artifact takes none."""
        return None if user is None and not (self.vector_needed and self.dim) else checked_vector(user, self.dim, self.batch)

    @abc.abstractmethod
    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        """Scores of checked, contiguous arrays; ``user`` is None where the artifact takes none."""

    def _best(self, history: Ids, candidates: Ids | None, user: Vector | None, k: int) -> Best:
        """The best by checked, contiguous arrays; ``candidates`` is None for the whole catalogue."""
        assert candidates is not None, "only a file knows the catalogue"
        scores = self._run(history, candidates, user)
        order = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
        return Best(np.take_along_axis(candidates, order, -1), np.take_along_axis(scores, order, -1))


class GraphRunner(Runner):
    """A file with a graph: inputs ``history``, perhaps ``user``, perhaps ``candidates``, outputs ``scores`` or ``ids`` and ``scores``."""

    @abc.abstractmethod
    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        """The outputs ``[batch, ...]`` in their order, of inputs ``[batch, ...]`` in theirs."""

    def first_call(self) -> None:
        """Call it once, with ids that every artifact knows."""
        lead = (self.batch,) if self.batch > 1 else ()
        history, candidates = (np.ones((*lead, size), np.int32) for size in (self.length, self.candidates))
        if self.top is None:
            self._run(history, candidates, self._vector(None))
        else:
            self._best(history, None if self.catalogue else candidates, self._vector(None), 1)

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        return self._outputs(history, candidates, user)[0]

    def _best(self, history: Ids, candidates: Ids | None, user: Vector | None, k: int) -> Best:
        if self.top is None:
            return super()._best(history, candidates, user, k)
        ids, scores = self._outputs(history, candidates, user)
        return Best(ids[..., :k], scores[..., :k])

    def _outputs(self, history: Ids, candidates: Ids | None, user: Vector | None) -> list[NDArray]:
        """The outputs; a batch of one is no axis of them, nor of the inputs."""
        named = {"history": history, "user": user, "candidates": candidates}
        given = {name: each for name, each in named.items() if each is not None}
        if self.batch > 1:
            return self._call(given)
        return [output[0] for output in self._call({name: each.reshape(1, -1) for name, each in given.items()})]


class _UserRunner(Runner):
    """A runner with a user vector as one without: see :meth:`Runner.for_user`."""

    def __init__(self, runner: Runner, user: Vector) -> None:
        self._runner, self._user = runner, user
        self.length, self.candidates, self.items = runner.length, runner.candidates, runner.items
        self.top, self.batch, self.catalogue = runner.top, runner.batch, runner.catalogue

    def adopt(self) -> bool:
        return self._runner.adopt()

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        return self._runner._run(history, candidates, self._user)

    def _best(self, history: Ids, candidates: Ids | None, user: Vector | None, k: int) -> Best:
        return self._runner._best(history, candidates, self._user, k)


def checked_vector(values: ArrayLike | None, dim: int | None, batch: int = 1) -> Vector:
    """``values`` as a float32 ``[dim]`` user vector of its own, which nobody else changes; None = zeros.

    Of a batch ``[batch, dim]``; one vector ``[dim]`` is then everybody's.

    Raises:
        InputError: they are no such vector, or ``dim`` is None.
    """
    if dim is None:
        raise InputError("user: a vector was given to an artifact that takes none; leave it out, or export with a user vector")
    shape = (dim,) if batch == 1 else (batch, dim)
    if values is None:
        return np.zeros(shape, np.float32)
    array = np.asarray(values)
    if array.dtype.kind != "f" or array.shape not in ((dim,), shape):
        raise InputError(f"user: {array.dtype} of shape {list(array.shape)} was given where the artifact takes float32 {list(shape)}")
    if not np.isfinite(array).all():
        raise InputError("user: a number of the vector is not finite; use the values of a UserVector")
    return np.array(np.broadcast_to(array, shape), np.float32)


def first_line(error: Exception) -> str:
    """What a runtime says, without the trace that some of them append."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
