"""What a re-ranker is asked, in one place: the rules for a history and for candidates, and the function that pads (docs/targets/inputs.md).

A history holds at least one item, the newest in its last slot; zeros, the empty slots, stand only in front of the items. Ids are whole
numbers: items are 1..items, and a candidate is always an item. Every runner and whoever else takes ids from outside asks here; an exported
file cannot: it answers anything with finite scores.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import InputError

Ids = NDArray[np.int32]

_LARGEST = int(np.iinfo(np.int32).max)
_MEND = "zeros stand only in front and the newest item last, as chordkit.pad_history makes it"


def checked_history(values: ArrayLike, items: int | None, slots: int | None = None, batch: int = 1) -> Ids:
    """A history that may be asked about, or a batch of them.

    Args:
        values: ids ``[slots]``, oldest first, left-padded with 0; without ``slots`` also ``[..., slots]``.
        items: the largest id; None = not known.
        slots: how many the one history must have; None = any number.
        batch: with ``slots``: how many histories there must be, ``[batch, slots]``; of one, ``[slots]``.

    Returns:
        The same as contiguous int32; the array itself where it is that already.

    Raises:
        InputError: another shape or type, an id outside 0..items, no item in the last slot, or an empty slot behind an item.
    """
    ids = _checked_ids(values, "history", 0, items, slots, batch)
    if ids.shape[-1] == 0:
        raise InputError("history: it has no slot; give at least one item")
    # Most histories are full; where there are zeros, all that is behind the last of them must be all that is there.
    count = np.count_nonzero(ids)
    if count == ids.size or (ids.ndim == 1 and count and ids[-count:].all()):
        return ids
    filled = ids != 0
    if not filled.any(-1).all():
        raise InputError("history: it holds no item, and a score after nothing means nothing; give at least one item")
    if not filled[..., -1].all():
        raise InputError(f"history: its last slot is empty; {_MEND}")
    if (filled[..., :-1] & ~filled[..., 1:]).any():
        raise InputError(f"history: an empty slot (0) stands behind an item; {_MEND}")
    return ids


def checked_candidates(values: ArrayLike, items: int | None, count: int | None = None, batch: int = 1) -> Ids:
    """Candidates that may be scored: ids ``[count]`` in 1..items as contiguous int32; arguments as in :func:`checked_history`.

    Of a batch they are ``[batch, count]``, or ``[count]`` where all histories have the same.

    Raises:
        InputError: another shape or type, or an id outside 1..items.
    """
    if batch > 1 and np.ndim(values) == 1:
        return np.tile(_checked_ids(values, "candidates", 1, items, count), (batch, 1))
    return _checked_ids(values, "candidates", 1, items, count, batch)


def pad_history(history: ArrayLike, length: int) -> Ids:
    """The input of a re-ranker, int32 ``[length]``: the newest ``length`` items in the last slots, zeros in front.

    Args:
        history: item ids, oldest first, one or more; zeros in front are taken for padding.
        length: slots of the re-ranker, its ``max_length``.

    Raises:
        InputError: an id is no whole number, negative or beyond int32, a zero stands behind an item, or there is no item or no slot.
    """
    if length < 1:
        raise InputError(f"history: {length} slots cannot hold one; give the max_length of the backbone")
    ids = np.asarray(history)
    if ids.ndim != 1:
        raise InputError(f"history: item ids [count] are padded, not an array {list(ids.shape)}; give one history")
    if not ids.size:
        raise InputError("history: it holds no item, and a score after nothing means nothing; give at least one item")
    return left_pad([checked_history(ids, None)], length)[0]


def left_pad(sequences: Sequence[NDArray[np.integer]], max_length: int) -> Ids:
    """int32 [len(sequences), max_length]: the last ``max_length`` items of every sequence, left padded with 0. Nothing is checked."""
    padded = np.zeros((len(sequences), max_length), np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        recent = np.asarray(sequence)[-max_length:]
        row[max_length - len(recent) :] = recent
    return padded


def _checked_ids(values: ArrayLike, what: str, lowest: int, highest: int | None, size: int | None, batch: int = 1) -> Ids:
    """``values`` as contiguous int32, ``[size]`` or ``[batch, size]`` where it is given, every id in ``lowest..highest`` (None: as int32
    allows)."""
    array = np.asarray(values)
    if array.ndim == 0 or (size is not None and array.shape != ((size,) if batch == 1 else (batch, size))):
        expected = "an array of them" if size is None else f"[{size}]" if batch == 1 else f"[{batch}, {size}]"
        raise InputError(f"{what}: {list(array.shape)} ids were given where the artifact takes {expected}")
    if array.dtype != np.int32:
        if array.dtype.kind not in "iu":
            raise InputError(f"{what}: ids of type {array.dtype} were given; use int32")
        if array.size and (array.min() < 0 or array.max() > _LARGEST):
            raise InputError(f"{what}: an id is negative or larger than int32 can hold")
        array = array.astype(np.int32)
    array = np.ascontiguousarray(array)
    if not array.size:
        return array
    # Ids below the lowest wrap around to huge numbers: one comparison checks both ends.
    last = _LARGEST if highest is None else highest
    shifted = array.view(np.uint32) if lowest == 0 else (array - np.int32(lowest)).view(np.uint32)
    if int(shifted.max()) > last - lowest:
        wrong = int(array[shifted > last - lowest][0])
        raise InputError(f"{what}: the id {wrong} is not an item; ids lie in {lowest}..{'' if highest is None else highest}")
    return array
