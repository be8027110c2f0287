"""From two files to the difference between them: what is aligned is coded in the ways there are, and the shortest is kept."""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from chordkit.errors import BundleError, CheckFailed
from chordkit.export.bundle.container import MAX_BYTES
from chordkit.export.bundle.delta.alignment import align
from chordkit.export.bundle.delta.anchors import Piece
from chordkit.export.bundle.delta.applier import apply_difference, mapped
from chordkit.export.bundle.delta.coding import encode
from chordkit.export.bundle.delta.format import BLOCK, MOST_SEGMENTS, Coding, Difference, Kind, Segment, read_difference
from chordkit.files import write_bytes

_COPIED = 256
"""A stretch of so many equal bytes is told as a copy; a shorter one costs less as differences of zero."""
_TRIED = 4096
"""Bytes of which nothing is known are coded this many at a time, each in the way that suits it."""
_CHANGE = 8
"""Bytes that another coding must save to be worth a segment of its own."""
_LEVEL = 6
_PATIENT = 1 << 23
"""A longer stream is compressed once."""


def difference(base: bytes | memoryview, result: bytes | memoryview) -> bytes:
    """The difference (CHRX) that makes ``result`` of ``base``; both should be bundles, and may be any bytes.

    Raises:
        BundleError: one of them is larger than a bundle can be.
    """
    for each in (base, result):
        if len(each) > MAX_BYTES:
            raise BundleError(f"difference: a file of {len(each):,} bytes is no bundle, which has at most {MAX_BYTES:,}")
    old, new = (np.frombuffer(each, np.uint8) for each in (base, result))
    segments = list(_joined(segment for ways in align(old, new) if ways for segment in _best(old, new, ways)))
    if len(segments) > MOST_SEGMENTS:
        segments = [Segment(Kind.LITERAL, len(new))]
    coded = [(segment.coding, _coded(old, new, start, segment)) for start, segment in _placed(segments) if segment.kind.is_coded]
    digests = (hashlib.sha256(each).digest() for each in (base, result))
    data = Difference(next(digests), len(base), next(digests), len(result), segments, _deflate(coded)).to_bytes()
    apply_difference(base, data)
    return data


def difference_files(base: str | os.PathLike[str], result: str | os.PathLike[str], out: str | os.PathLike[str]) -> Difference:
    """Likewise of files into a file, if that is smaller than the result itself.

    Raises:
        CheckFailed: it is not; nothing is written.
        InputError: a file cannot be read.
    """
    old, new = mapped(base), mapped(result)
    data = difference(old, new)
    if len(data) >= len(new):
        raise CheckFailed(f"{out}: the difference would have {len(data):,} bytes, and the bundle has {len(new):,}: ship {result} whole")
    write_bytes(out, data)
    return read_difference(data)


# --- segments ------------------------------------------------------------------------------------------------------


def _best(old: np.ndarray, new: np.ndarray, ways: Sequence[Sequence[Piece]]) -> list[Segment]:
    """The segments of the way that takes the fewest bytes."""
    tried = [list(_joined(segment for piece in pieces for segment in _drafted(old, new, piece))) for pieces in ways]
    if len(tried) == 1:
        return tried[0]
    begin = ways[0][0].start
    return min(tried, key=lambda segments: _cost(old, new, begin, segments))


def _cost(old: np.ndarray, new: np.ndarray, begin: int, segments: Sequence[Segment]) -> int:
    coded = b"".join(_coded(old, new, begin + start, segment) for start, segment in _placed(segments) if segment.kind.is_coded)
    return len(zlib.compress(coded, _LEVEL)) + 7 * len(segments)


def _drafted(old: np.ndarray, new: np.ndarray, piece: Piece) -> Iterator[Segment]:
    """Copies of what is equal, and the rest coded."""
    if piece.again and piece.base is not None:
        yield Segment(Kind.AGAIN, piece.length, piece.base)
        return
    done = piece.start
    for start, stop in _equal(old, new, piece):
        yield from _changed(old, new, piece, done, start)
        assert piece.base is not None  # without a base nothing is equal
        yield Segment(Kind.COPY, stop - start, piece.base + start - piece.start)
        done = stop
    yield from _changed(old, new, piece, done, piece.start + piece.length)


def _equal(old: np.ndarray, new: np.ndarray, piece: Piece) -> list[tuple[int, int]]:
    """Stretches of the result that are worth a copy; whole words lie between them."""
    if piece.base is None:
        return []
    different = np.flatnonzero(new[piece.start : piece.start + piece.length] != old[piece.base : piece.base + piece.length])
    before = np.concatenate([[-1], different]) + 1
    after = np.concatenate([different, [piece.length]])
    before, after = -(-before // 4) * 4, np.where(after == piece.length, after, after // 4 * 4)
    long = after - before >= min(_COPIED, piece.length)
    return [
        (piece.start + int(start), piece.start + int(stop)) for start, stop in zip(before[long], after[long], strict=True) if start < stop
    ]


def _changed(old: np.ndarray, new: np.ndarray, piece: Piece, start: int, stop: int) -> Iterator[Segment]:
    size, kept = (_TRIED, None) if piece.word == 0 else (max(stop - start, 1), None)
    for begin in range(start, stop, size):
        length = min(size, stop - begin)
        under = None if piece.base is None else piece.base + begin - piece.start
        kept = _shortest(old, new, begin, length, under, _codings(piece.word, under is not None), kept)
        yield Segment(kept[0], length, 0 if kept[0] is Kind.LITERAL or under is None else under, kept[1])


_Way = tuple[Kind, Coding]


def _codings(word: int, added: bool) -> list[_Way]:
    """The ways in which words of ``word`` bytes are tried."""
    words = (1, 4) if word == 0 else (word,)
    ways = [(Kind.ADD, Coding(each, bits)) for each in words for bits in (8, 4, 2)] if added else []
    return [
        *ways,
        *((Kind.LITERAL, Coding(each, bits)) for each in words for bits in (8, 2) if (each, bits) != (1, 2)),
        (Kind.LITERAL, Coding()),
    ]


def _shortest(
    old: np.ndarray, new: np.ndarray, start: int, length: int, under: int | None, ways: Iterable[_Way], kept: _Way | None
) -> _Way:
    found: tuple[int, _Way] | None = None
    for kind, coding in ways:
        if length % coding.word:
            continue
        segment = Segment(kind, length, under or 0, coding)
        size = len(zlib.compress(_coded(old, new, start, segment), _LEVEL)) + (0 if kept in (None, (kind, coding)) else _CHANGE)
        if found is None or size < found[0]:
            found = size, (kind, coding)
    return found[1] if found else (Kind.LITERAL, Coding())


def _joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Neighbours that go on where the other ended, as one."""
    last: Segment | None = None
    for segment in segments:
        if last is not None and _goes_on(last, segment):
            last = Segment(last.kind, last.length + segment.length, last.base, last.coding)
            continue
        if last is not None:
            yield last
        last = segment
    if last is not None:
        yield last


def _goes_on(last: Segment, segment: Segment) -> bool:
    if (last.kind, last.coding) != (segment.kind, segment.coding) or last.kind is Kind.AGAIN:
        return False
    return segment.kind is Kind.LITERAL or last.base + last.length == segment.base


def _placed(segments: Iterable[Segment]) -> Iterator[tuple[int, Segment]]:
    start = 0
    for segment in segments:
        yield start, segment
        start += segment.length


def _coded(old: np.ndarray, new: np.ndarray, start: int, segment: Segment) -> bytes:
    under = None if segment.kind is Kind.LITERAL else old[segment.base : segment.base + segment.length]
    return encode(new[start : start + segment.length], under, segment.coding)


# --- the stream ----------------------------------------------------------------------------------------------------


def _deflate(coded: Sequence[tuple[Coding, bytes]]) -> bytes:
    """The shortest of a few streams: they differ in the strategy, and in where a block of its own begins for another coding."""
    short = sum(len(data) for _, data in coded) <= _PATIENT
    tried = [(strategy, own) for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED) for own in (0, BLOCK // 4, BLOCK)]
    return min((_stream(coded, *each) for each in (tried if short else tried[:1])), key=len)


def _stream(coded: Sequence[tuple[Coding, bytes]], strategy: int, own: int) -> bytes:
    stream, found, pending = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy), [], 0
    for number, (coding, data) in enumerate(coded):
        if own and number and coding != coded[number - 1][0] and min(pending, len(data)) >= own:
            found.append(stream.flush(zlib.Z_BLOCK))
            pending = 0
        found.append(stream.compress(data))
        pending += len(data)
    return b"".join([*found, stream.flush()])
