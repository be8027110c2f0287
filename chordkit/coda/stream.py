"""The stream step of a phone: clicks come in; windows, profile and lessons come out. Numpy alone, and no times are kept (docs/flow.md)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chordkit.errors import InputError
from chordkit.inputs import left_pad

_COUNT_SCALE = np.float32(0.25)
"""As :func:`chordkit.hypernetwork.profile.pooled_profile` has it."""


@dataclass(frozen=True, eq=False)
class Questions:
    """A user's own clicks as questions, oldest first: after this history, which item came?

    Attributes:
        histories: int32 [n, length], left-padded with 0.
        targets: int32 [n].
        seen: int32 [n, seen], the items before each target, which do not compete with it; left-padded with 0.
    """

    histories: np.ndarray
    targets: np.ndarray
    seen: np.ndarray


class Stream:
    """What a phone keeps of its user's clicks: the newest items in the order in which they came.

    Args:
        items: of the catalogue; ids lie in 1..items.
        capacity: how many clicks are kept; 4 bytes each, in a ring that is made once.

    Attributes:
        total: clicks ever taken in.
        unknown: clicks on items that this catalogue does not have; they are counted and not kept.

    Raises:
        InputError: no item, or a capacity below 2.
    """

    def __init__(self, items: int, capacity: int = 1024) -> None:
        if items < 1 or capacity < 2:
            raise InputError(f"stream: {items} items and room for {capacity} clicks; give at least 1 and 2")
        self.items, self.capacity = items, capacity
        self.total = self.unknown = 0
        self._ring = np.zeros(capacity, np.int32)

    def __len__(self) -> int:
        return min(self.total, self.capacity)

    def add(self, item: int) -> bool:
        """Take in a click; whether it was kept.

        Raises:
            InputError: the id is no whole number above 0.
        """
        if isinstance(item, bool) or not isinstance(item, int | np.integer) or item < 1:
            raise InputError(f"stream: {item!r} is no item; ids are whole numbers from 1 on")
        if item > self.items:
            self.unknown += 1
            return False
        self._ring[self.total % self.capacity] = item
        self.total += 1
        return True

    def extend(self, items: Iterable[int]) -> None:
        """Take in several, oldest first: what the app's own records hold when the phone starts."""
        for item in items:
            self.add(item)

    def clicks(self) -> np.ndarray:
        """int32 [kept], oldest first."""
        newest = self.total % self.capacity
        return np.concatenate([self._ring[newest:], self._ring[:newest]]) if self.total > self.capacity else self._ring[: self.total].copy()

    def window(self, length: int) -> np.ndarray:
        """The history int32 [length] that a re-ranker takes: the newest items in the last slots, zeros in front."""
        return left_pad([self.clicks()], length)[0]

    def profile(self, table: np.ndarray, pools: tuple[int, ...], without: int = 0) -> np.ndarray:
        """What the cloud is asked with, float32 [len(pools) * dim + 1]: the mean embedding of the last so many items for each pool, and
        log(1 + items) / 4; what ``pooled_profile`` makes on the cloud and ``chord_profile`` in the engine.

        Args:
            table: float32 [items + 1, dim], the item table of the bundle.
            pools: ascending.
            without: so many of the newest clicks are left out.
        """
        older = self.clicks()[: max(0, len(self) - without)]
        rows = np.ascontiguousarray(table[older[-pools[-1] :]], np.float32)
        means = [(rows[-pool:] * (np.float32(1) / np.float32(max(1, min(pool, len(rows)))))).sum(axis=0) for pool in pools]
        return np.concatenate([*means, [np.log1p(np.float32(len(rows))) * _COUNT_SCALE]]).astype(np.float32)

    def questions(self, most: int, length: int, seen: int = 200) -> Questions:
        """The newest ``most`` clicks that have one before them, with windows of ``length`` and up to ``seen`` items before each."""
        kept = self.clicks()
        places = range(max(1, len(kept) - most), len(kept))
        before = [kept[:place] for place in places]
        return Questions(left_pad(before, length), kept[places.start : places.stop].copy(), left_pad(before, seen))
