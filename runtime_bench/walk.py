"""The inputs in the order in which they are asked, so that no history follows itself.

A session of the native engine keeps its last history and does not encode it again (docs/kernels.md, "Further pages"). A bundle with one
test vector, or with the same history twice in a row, would measure that memory and call it a rerank.
"""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import InputError
from chordkit.export.parity import Ids


@dataclass(frozen=True)
class Walk:
    """What is asked, from the first row to the last and then from the first again.

    Attributes:
        histories: int32 ``[n, length]``; candidates: int32 ``[n, candidates]``.
        step: 1, or 2 where every second row is a variation; scores of ``[::step]`` are those of the inputs that were given.
    """

    histories: Ids
    candidates: Ids
    step: int = 1


def walk_of(histories: Ids, candidates: Ids) -> Walk:
    """The inputs as they are, or, if a history follows itself, each followed by a variation: the same with another newest item.

    The item is one of those that the inputs name, the same in every run, so that the variation is as long and as valid.

    Raises:
        InputError: the inputs name fewer items than that takes.
    """
    following = np.roll(histories, -1, axis=0)
    if not (histories == following).all(axis=1).any():
        return Walk(histories, candidates)
    known = np.unique(np.concatenate([histories, candidates], axis=1))
    known = known[known > 0]
    varied = histories.copy()
    for row, (own, after) in enumerate(zip(histories[:, -1], following[:, -1], strict=True)):
        others = known[(known != own) & (known != after)]
        if not others.size:
            raise InputError("the test vectors name too few items for a history that differs from the one before; bundle more histories")
        varied[row, -1] = others[row % others.size]
    both = np.stack([histories, varied], axis=1).reshape(-1, histories.shape[1])
    return Walk(both, np.repeat(candidates, 2, axis=0), 2)
