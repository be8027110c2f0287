"""What stands around an item in histories."""

import numpy as np

from chordkit.data import Dataset

REACH = 5
"""Places on either side of a click that count as its neighbourhood."""


def neighbour_means(dataset: Dataset, table: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each of some items the mean row of the other known items around its clicks, each weighed by one over its distance in places.

    Args:
        dataset: the histories.
        table: float32 [known items + 1, dim], rows of the known items; row 0 is the padding's.
        items: int64 [n], ids, known or new.

    Returns:
        float32 [n, dim], zero where an item has no such neighbour, and the sums of the weights, float64 [n].
    """
    known = len(table) - 1
    place = np.full(dataset.items + 1, -1)
    place[items] = np.arange(len(items))
    sums, weights = np.zeros((len(items), table.shape[1])), np.zeros(len(items))
    flat, user = dataset.flat, np.repeat(np.arange(dataset.users, dtype=np.int32), dataset.lengths)
    for distance in range(1, REACH + 1):
        first = np.flatnonzero(user[distance:] == user[:-distance])
        for here, there in ((first, first + distance), (first + distance, first)):
            of, beside = place[flat[here]], flat[there]
            counts = (of >= 0) & (beside <= known) & (beside != flat[here])
            np.add.at(sums, of[counts], table[beside[counts]] / distance)
            np.add.at(weights, of[counts], 1.0 / distance)
    return (sums / np.maximum(weights, 1e-12)[:, None]).astype(np.float32), weights
