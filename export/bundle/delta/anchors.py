"""What two ranges of bytes share although it moved: windows that occur in both, and between them what changed in place."""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

_WINDOW = 16
_LEAST = 32
"""Shorter matches cost more to tell than they save."""
_DENSE = 1 << 20
"""A range of more bytes is indexed at every 16th."""
_STRETCH = 1024
"""Between two matches that moved by different distances, so many bytes go with the one or the other."""
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True)
class Piece:
    """A piece of the result, and what of the base stands against it.

    Attributes:
        start: where it begins in the result.
        length: in bytes.
        base: where its counterpart begins in the base; None = there is none.
        word: bytes of its numbers; 0 = unknown.
        again: the counterpart is not in the base: it is an earlier piece of the result, and the same.
    """

    start: int
    length: int
    base: int | None
    word: int = 0
    again: bool = False


@dataclass(frozen=True)
class Range:
    """Of bytes of a file."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.stop - self.start


def shared(base: np.ndarray, result: np.ndarray, ours: Range, theirs: Range) -> Iterator[Piece]:
    """Pieces that cover ``theirs``, told from ``ours`` where they share anything."""
    at, shift = theirs.start, ours.start - theirs.start
    end_of_last = ours.start
    for start, counterpart, length in _matches(base[ours.start : ours.stop], result[theirs.start : theirs.stop]):
        begin, there = theirs.start + start, ours.start + counterpart
        yield from _between(base, result, Range(at, begin), Range(end_of_last, there), ours, (shift, there - begin))
        yield Piece(begin, length, there)
        at, end_of_last, shift = begin + length, there + length, there - begin
    last = ours.stop - theirs.stop
    yield from _between(base, result, Range(at, theirs.stop), Range(end_of_last, ours.stop), ours, (shift, last))


def said_before(result: np.ndarray, theirs: Range, least: int) -> Iterator[Piece]:
    """Pieces of ``theirs`` of at least so many bytes that the result has before it, whole words apart from its beginning."""
    for start, counterpart, length in _matches(result[: theirs.start], result[theirs.start : theirs.stop]):
        skipped = -start % 4
        whole = (length - skipped) // 4 * 4
        if whole >= least:
            yield Piece(theirs.start + start + skipped, whole, counterpart + skipped, again=True)


def overlaid(pieces: Iterable[Piece], above: Sequence[Piece]) -> list[Piece]:
    """``pieces`` with those of ``above``, which ascend, in their place."""
    ends = [each.start + each.length for each in above]
    parts = [part for piece in pieces for part in _cut(piece, above[bisect.bisect_right(ends, piece.start) :])]
    return sorted([*above, *parts], key=lambda each: each.start)


def _cut(piece: Piece, above: Iterable[Piece]) -> Iterator[Piece]:
    """What of a piece is not below others."""
    at, stop = piece.start, piece.start + piece.length
    for over in above:
        if over.start >= stop:
            break
        if over.start > at:
            yield _part(piece, at, over.start)
        at = over.start + over.length
    if at < stop:
        yield _part(piece, at, stop)


def _part(piece: Piece, start: int, stop: int) -> Piece:
    return replace(piece, start=start, length=stop - start, base=None if piece.base is None else piece.base + start - piece.start)


def _between(base: np.ndarray, result: np.ndarray, gap: Range, there: Range, ours: Range, shifts: tuple[int, int]) -> Iterator[Piece]:
    """What lies between two matches: against what lies between them in the base, from the left or from the right."""
    if gap.size <= 0:
        return
    if there.size == gap.size:
        yield Piece(gap.start, gap.size, there.start)
        return
    if there.size < gap.size // 8:
        yield Piece(gap.start, gap.size, None)
        return
    start, chosen = gap.start, None
    for begin in range(gap.start, gap.stop, _STRETCH):
        stop = min(begin + _STRETCH, gap.stop)
        possible = [each for each in dict.fromkeys(shifts) if ours.start <= begin + each and stop + each <= ours.stop]
        best = min(possible, key=lambda each: _distance(base, result, begin, stop, each), default=None)
        if begin > gap.start and best != chosen:
            yield Piece(start, begin - start, None if chosen is None else start + chosen)
            start = begin
        chosen = best
    yield Piece(start, gap.stop - start, None if chosen is None else start + chosen)


def _distance(base: np.ndarray, result: np.ndarray, begin: int, stop: int, shift: int) -> int:
    return int(np.count_nonzero(result[begin:stop] != base[begin + shift : stop + shift]))


def _matches(base: np.ndarray, result: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Ranges of the result that are in the base too, ascending: where, where there, how long."""
    if min(len(base), len(result)) < _LEAST:
        return
    step = 1 if len(base) <= _DENSE else _WINDOW
    hashes = _hashes(base, step)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    at, shift = 0, 0
    for origin in range(0, len(result) - _WINDOW + 1, _DENSE):
        mine = _hashes(result[origin : origin + _DENSE + _WINDOW - 1])
        found = np.minimum(np.searchsorted(ordered, mine), len(ordered) - 1)
        hits = np.flatnonzero((ordered[found] == mine) & (mine != 0))
        number = 0
        while number < len(hits):
            place = origin + int(hits[number])
            candidate = int(order[found[hits[number]]]) * step
            # What moved like the match before is preferred to the first of many.
            there = place + shift if 0 <= place + shift <= len(base) - _WINDOW and _same(base, result, place + shift, place) else candidate
            if place >= at:
                back = _common(result[at:place][::-1], base[max(0, there - (place - at)) : there][::-1])
                length = back + _common(result[place:], base[there:])
                if length >= _LEAST:
                    yield place - back, there - back, length
                    at, shift = place - back + length, there - place
            number = max(number + 1, int(np.searchsorted(hits, at - origin)))


def _hashes(data: np.ndarray, step: int = 1) -> np.ndarray:
    """Of the window at every ``step``, 1 or 16; 0 for those of a single value, which are everywhere."""
    count = (len(data) - _WINDOW) // step + 1
    if step == _WINDOW:
        words = np.ascontiguousarray(data[: count * _WINDOW]).view("<u8").reshape(-1, 2)
        low, high = words[:, 0], words[:, 1]
    else:
        numbers = np.empty(count + 8, np.uint64)
        for offset in range(8):
            part = data[offset : offset + (len(numbers) - offset + 7) // 8 * 8]
            numbers[offset::8] = np.ascontiguousarray(part).view("<u8")
        low, high = numbers[:count], numbers[8:]
    mixed = (low * _MULTIPLIERS[0]) ^ ((high + np.uint64(1)) * _MULTIPLIERS[1])
    return np.where(low == high, np.uint64(0), mixed | np.uint64(1))


def _same(base: np.ndarray, result: np.ndarray, there: int, here: int) -> bool:
    return bool(np.array_equal(base[there : there + _WINDOW], result[here : here + _WINDOW]))


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """How far two rows are the same from their beginning."""
    limit, done, step = min(len(first), len(second)), 0, 64
    while done < limit:
        stop = min(done + step, limit)
        different = np.flatnonzero(first[done:stop] != second[done:stop])
        if len(different):
            return done + int(different[0])
        done, step = stop, step * 4
    return limit
