"""How a contender is called: a history a call or several, for the scores of all candidates or for the best of them."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from chordkit.export.parity import Ids, Runner, rows_of

Inputs = Sequence[tuple[Ids, Ids]]


def histories_of(runner: Runner) -> int:
    """How many histories a call has."""
    return getattr(runner, "batch", 1)


def calls_of(runner: Runner, inputs: Inputs) -> list[Callable[[], object]]:
    """A call for every history, or for as many of them at once as the runner takes; the last is filled up with the last history."""
    return [partial(_method(runner), *arguments) for _, arguments in _arguments(runner, inputs)]


def answers_of(runner: Runner, inputs: Inputs) -> NDArray[np.floating]:
    """What is answered to every input: scores ``[n, candidates]``, or of the best their ids and scores, ``[n, 2, top]``."""
    found: list[NDArray[np.floating]] = []
    for rows, arguments in _arguments(runner, inputs):
        answer = _method(runner)(*arguments)
        whole = np.stack([np.asarray(part, np.float64) for part in answer], axis=-2) if _chooses(runner) else np.asarray(answer)
        found += [whole] if histories_of(runner) == 1 else list(whole[: len(set(rows))])
    return np.stack(found)


def _chooses(runner: Runner) -> bool:
    return getattr(runner, "top", None) is not None


def _method(runner: Runner) -> Callable[..., NDArray]:
    return runner.best if _chooses(runner) else runner.scores  # type: ignore[attr-defined]


def _arguments(runner: Runner, inputs: Inputs) -> list[tuple[list[int], tuple[Ids, ...]]]:
    """The rows and the arguments of each call."""
    calls = []
    for chosen in rows_of(len(inputs), histories_of(runner)):
        rows = np.atleast_1d(chosen).tolist()
        arrays = [np.stack([inputs[row][part] for row in rows]) for part in (0, 1)]
        if histories_of(runner) == 1:
            arrays = [np.ascontiguousarray(array[0]) for array in arrays]
        calls.append((rows, tuple(arrays[:1] if getattr(runner, "catalogue", False) else arrays)))
    return calls
