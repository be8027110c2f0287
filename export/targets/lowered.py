"""What targets share that run a model between its lowering and its file (:meth:`Target.lowered`)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chordkit.export.parity import Ids, ScoresFn
from chordkit.export.targets.runner import Vector

Row = Callable[[Ids, Vector | None, Ids], NDArray[np.floating]]
"""A history ``[1, length]``, perhaps a user vector ``[1, dim]``, candidates ``[1, candidates]`` -> scores ``[1, candidates]``."""


def row_by_row(score: Row) -> ScoresFn:
    """The scores function of what takes one row at a time, as files do."""

    def scores(histories: Ids, candidates: Ids, users: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        vectors = [None] * len(histories) if users is None else list(users[:, None])
        rows = zip(histories[:, None], vectors, candidates[:, None], strict=True)
        return np.concatenate([np.asarray(score(*row), np.float32).reshape(1, -1) for row in rows])

    return scores


def named_inputs(history: Ids, user: Vector | None, candidates: Ids) -> dict[str, NDArray]:
    """The inputs of a row by the names that they have in graphs."""
    return {"history": history, **({} if user is None else {"user": user}), "candidates": candidates}
