"""Which parts of histories enough users share to be shown to others: k-anonymity of neighbours, and what it is not (docs/coda.md)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from chordkit.progress import Progress


def shared_runs(sequences: Sequence[np.ndarray], k: int, progress: Progress | None = None) -> list[list[tuple[int, int]]]:
    """The pieces of every history of which each two neighbours stand in the histories of at least ``k`` users, this one among them.

    Where they stand there, in which order and how far apart, does not matter. A history is cut wherever two neighbours fall short, so an
    item that fewer than ``k`` users have is in no piece. Pieces of a single item are left out.

    Args:
        sequences: item ids of each user, oldest first.
        k: how many users; 1 cuts nothing.
        progress: called with (phase, done, total).

    Returns:
        For each user (start, stop) of the pieces, in their order.
    """
    users_of: dict[int, set[int]] = {}
    for user, sequence in enumerate(sequences):
        for item in set(sequence.tolist()):
            users_of.setdefault(item, set()).add(user)
    enough: dict[tuple[int, int], bool] = {}

    def is_shared(one: int, other: int) -> bool:
        pair = (min(one, other), max(one, other))
        if pair not in enough:
            enough[pair] = len(users_of[one] & users_of[other]) >= k
        return enough[pair]

    found = []
    for user, sequence in enumerate(sequences):
        cuts = [place for place, pair in enumerate(pairwise(sequence.tolist()), 1) if not is_shared(*pair)]
        found.append([(start, stop) for start, stop in pairwise([0, *cuts, len(sequence)]) if stop - start > 1])
        if progress is not None:
            progress("neighbours", user + 1, len(sequences))
    return found
