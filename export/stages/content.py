"""Which part of a model the wrong bytes of a file belong to, for every target alike.

No reader of a file format is needed. The same model is exported again with some parts changed: the bytes that change are theirs. Each
export halves the parts in question.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import ChordkitError

_GAP = 4
_LEAST = 12
"""Of a run of bytes that is searched for where a file has another length: shorter ones are anywhere."""

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Difference:
    """How a file differs from the one that the export gives.

    Attributes:
        part: the first part that other bytes stand for; None = they belong to no part, or it cannot be told.
        note: what was seen, in one sentence.
    """

    part: str | None
    note: str


def find_difference(file: bytes, fresh: bytes, parts: Sequence[str], make: Callable[[Sequence[str]], bytes]) -> Difference:
    """The first of ``parts`` whose bytes ``file`` does not have.

    Args:
        file: what is judged; it differs from ``fresh``.
        fresh: the file as the export gives it now.
        parts: of the model, in order.
        make: the file of the model with the named parts changed.
    """
    seen = _seen(file, fresh)
    content = np.frombuffer(fresh, np.uint8)

    def changed(chosen: Sequence[str]) -> Positions:
        other = np.frombuffer(make(chosen), np.uint8)
        if other.size != content.size:
            raise _MovedError
        return np.flatnonzero(other != content)

    try:
        # Digests and fingerprints change with any part; a byte of one is the same as before once in 256 times.
        places, groups = np.unique(np.concatenate([changed(parts[first::3]) for first in range(3)]), return_counts=True)
        common = places[groups > 1]
        if len(file) == len(fresh):
            own = np.setdiff1d(np.flatnonzero(np.frombuffer(file, np.uint8) != content), common)

            def touched(count: int) -> bool:
                return _any_inside(own, _runs(np.setdiff1d(changed(parts[:count]), common), 2 * _GAP))
        else:

            def touched(count: int) -> bool:
                runs = _runs(np.setdiff1d(changed(parts[:count]), common), _GAP)
                return any(stop - start >= _LEAST and fresh[start:stop] not in file for start, stop in runs)

        found = first_bad(len(parts), touched)
    except _MovedError:
        return Difference(None, f"{seen}; which part they are cannot be told, since a change of one moves others in the file")
    if found is None:
        return Difference(None, f"{seen}, which belong to no table, layer or tensor")
    return Difference(parts[found], f"{seen}, first among those of {parts[found]}")


def first_bad(count: int, bad: Callable[[int], bool]) -> int | None:
    """The number of the first of ``count`` parts with which things go bad: ``bad(n)`` is asked of the first n. None: not even all do."""
    if count == 0 or not bad(count):
        return None
    good, found = 0, count
    while found - good > 1:
        middle = (good + found) // 2
        if bad(middle):
            found = middle
        else:
            good = middle
    return found - 1


class _MovedError(ChordkitError):
    """A change of a part has changed the length of the file."""


def _seen(file: bytes, fresh: bytes) -> str:
    if len(file) != len(fresh):
        return f"the file has {len(file):,} bytes where the export gives {len(fresh):,}"
    count = int(np.count_nonzero(np.frombuffer(file, np.uint8) != np.frombuffer(fresh, np.uint8)))
    return f"{count:,} of {len(fresh):,} bytes are not those that the export gives"


def _runs(positions: Positions, gap: int) -> list[tuple[int, int]]:
    """Positions as ranges; those at most ``gap`` apart are in one."""
    if not positions.size:
        return []
    breaks = np.flatnonzero(np.diff(positions) > gap)
    starts, stops = positions[np.r_[0, breaks + 1]], positions[np.r_[breaks, positions.size - 1]] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _any_inside(positions: Positions, runs: Sequence[tuple[int, int]]) -> bool:
    if not runs or not positions.size:
        return False
    starts, stops = (np.array([run[end] for run in runs]) for end in (0, 1))
    index = np.searchsorted(starts, positions, side="right") - 1
    return bool(((index >= 0) & (positions < stops[np.maximum(index, 0)])).any())
