"""Orders and numbers of many integers: values sorted with their places beside them, and tables where values are dense."""

import numpy as np

_BITS = 63
_ROOM = 1 << 16
"""A table of so many values is made whatever the rows are."""


def stable_order(*keys: np.ndarray) -> np.ndarray:
    """int64 [rows]: the rows by the first of ``keys`` [rows], where they tie by the next, and at last as they stand.

    What ``np.lexsort`` gives of the same keys from last to first.
    """
    *before, last = keys
    order = _order(last)
    for key in reversed(before):
        order = order[_order(key[order])]
    return order


def numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int32 [rows] and int64 [distinct]: the place of each of int64 ``values`` [rows] among the distinct ones, and these, ascending."""
    least, largest = int(values.min(initial=0)), int(values.max(initial=0))
    if largest - least >= max(_ROOM, 4 * len(values)):
        order = stable_order(values)
        ordered = values[order]
        first = np.ones(len(ordered), bool)
        first[1:] = ordered[1:] != ordered[:-1]
        places = np.empty(len(values), np.int32)
        places[order] = np.cumsum(first, dtype=np.int32) - 1
        return places, ordered[first]
    offsets = values - least if least else values
    there = np.zeros(largest - least + 1, bool)
    there[offsets] = True
    places = np.cumsum(there, dtype=np.int32) - 1
    return places[offsets], np.flatnonzero(there) + least


def _order(key: np.ndarray) -> np.ndarray:
    """``np.argsort(key, kind="stable")``."""
    rows = len(key)
    if not rows or (key[1:] >= key[:-1]).all():
        return np.arange(rows)
    bits = max(1, (rows - 1).bit_length())
    if key.dtype.kind != "i" or (int(key.max()) - int(key.min())).bit_length() + bits > _BITS:
        return np.argsort(key, kind="stable")
    # Sorted by value, which is several times as fast as sorting places; a value carries its place in its lowest bits.
    packed = key.astype(np.int64)
    packed -= int(key.min())
    packed <<= bits
    packed |= np.arange(rows)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed
