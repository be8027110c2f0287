"""Lists of items, as a table has them, and what a profile is made from."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chordkit.errors import InputError

_UNKNOWN = -1


@dataclass(frozen=True)
class Histories:
    """The known items of users.

    Attributes:
        flat: int32, in 1..items, of all users one after the other, oldest first.
        ends: int64 ``[users]``, where in ``flat`` each user's end.
        unknown: int32 ``[users]``, how many items each had that the catalogue does not.
    """

    flat: NDArray[np.int32]
    ends: NDArray[np.int64]
    unknown: NDArray[np.int32]

    def padded(self, users: NDArray[np.bool_], length: int) -> NDArray[np.int32]:
        """The last ``length`` items of the users that a mask ``[all users]`` takes, left-padded with 0: int32 ``[taken, length]``."""
        counts = np.diff(self.ends, prepend=0)
        flat = self.flat
        if not users.all() or counts.max(initial=0) > length:
            from_end = np.repeat(self.ends, counts) - np.arange(len(flat))
            flat = flat[(from_end <= length) & np.repeat(users, counts)]
            counts = np.minimum(counts[users], length)
        found = np.zeros((len(counts), length), np.int32)
        # Row by row, so that the items fall into place in their order.
        found[np.arange(length) >= length - counts[:, None]] = flat
        return found


class Catalogue:
    """Which items there are, and under which numbers.

    Args:
        items: how many.
        ids: the owner's ids of items 1, 2, ...; None = histories hold these numbers themselves.
    """

    def __init__(self, items: int, ids: list[str] | None) -> None:
        self._items = items
        self._numbers = None if ids is None else {item: number for number, item in enumerate(ids, 1)}

    def require_type(self, column: str, kind: pa.DataType) -> None:
        """Hold that a column of this type can be read.

        Raises:
            InputError: it holds no lists of items.
        """
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise InputError(f"column {column!r} is {kind}, not a list of items a user")
        held = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
        if not (is_text(held) or pa.types.is_integer(held)):
            raise InputError(f"column {column!r} holds lists of {held}; item ids are text or whole numbers")
        if is_text(held) and self._numbers is None:
            raise InputError(f"column {column!r} holds ids as text; say with `items` which number each has, or give numbers")

    def histories(self, lists: pa.Array) -> Histories:
        """What is known of the lists of a column that :meth:`require_type` took. No list is an empty one; 0 is an empty slot where
        histories hold numbers."""
        counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        numbers = self._of(lists.flatten())
        ends = np.cumsum(counts)
        known = numbers > 0
        if known.all():
            return Histories(numbers, ends, np.zeros(len(counts), np.int32))
        known_before, unknown_before = (np.concatenate([[0], np.cumsum(each)]) for each in (known, numbers == _UNKNOWN))
        unknown = np.diff(unknown_before[ends], prepend=0)
        return Histories(numbers[known], known_before[ends], unknown.astype(np.int32))

    def _of(self, values: pa.Array) -> NDArray[np.int32]:
        """The number of each value: 1..items, 0 for an empty slot, -1 where there is none."""
        if self._numbers is None:
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            found = pc.fill_null(values.cast(pa.int64(), safe=False), _UNKNOWN).to_numpy(zero_copy_only=False)
            return np.where((found >= 0) & (found <= self._items), found, _UNKNOWN).astype(np.int32)
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        # Each id is looked up once a batch; an integer's id is its digits.
        look_up = [self._numbers.get(str(each), _UNKNOWN) for each in values.dictionary.to_pylist()]
        places = pc.fill_null(values.indices.cast(pa.int32()), len(look_up)).to_numpy(zero_copy_only=False)
        return np.array([*look_up, _UNKNOWN], np.int32)[places]


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
