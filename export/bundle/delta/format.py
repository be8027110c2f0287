"""A difference as a file: header, segments, one deflate stream; docs/formats.md has it byte by byte."""

import enum
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chordkit.errors import BundleError
from chordkit.export.bundle.container import MAX_BYTES
from chordkit.strategy.record import Record

MOST_SEGMENTS = 1 << 20
BLOCK = 16_384
"""Bytes of the result that are coded together."""
RECORD = Record(
    "difference",
    b"CHRX",
    1,
    struct.Struct("<4sBBH32sI32sIIII"),
    BundleError,
    remake="fetch the whole bundle",
    fetch="fetch it again, or the whole bundle",
)
_MOST_VARINT = 5
_WORDS, _BITS = (1, 2, 4), (2, 4, 8)


class Kind(enum.IntEnum):
    """Where the bytes of a segment come from."""

    COPY = 0
    ADD = 1
    LITERAL = 2
    AGAIN = 3

    @property
    def is_coded(self) -> bool:
        """Whether the stream has something for it."""
        return self in (Kind.ADD, Kind.LITERAL)


@dataclass(frozen=True)
class Coding:
    """How differences are laid out for deflate: as words of 1, 2 or 4 bytes, in planes of 2, 4 or 8 bits."""

    word: int = 1
    bits: int = 8

    def size(self, length: int) -> int:
        """Bytes in the stream for ``length`` bytes of the result."""
        whole, rest = divmod(length, BLOCK)
        return whole * self._block(BLOCK) + self._block(rest)

    def _block(self, length: int) -> int:
        return self.planes * (-(-length // self.word * self.bits // 8))

    @property
    def planes(self) -> int:
        """Planes of a word."""
        return 8 * self.word // self.bits


@dataclass(frozen=True)
class Segment:
    """A piece of the result, which follows the one before.

    Attributes:
        kind: where it comes from.
        length: bytes of the result.
        base: where in the base it begins, or, if it says again what was said, in the result; 0 for a literal.
        coding: of an addition or a literal.
    """

    kind: Kind
    length: int
    base: int = 0
    coding: Coding = Coding()

    @property
    def coded(self) -> int:
        """Its bytes in the stream."""
        return self.coding.size(self.length) if self.kind.is_coded else 0


@dataclass(frozen=True)
class Difference:
    """What a difference says of itself, and what it holds.

    Attributes:
        base_sha256: of the file that it is applied to.
        base_size: of that file, in bytes.
        result_sha256: of the file that comes of it.
        result_size: of that file, in bytes.
        segments: the result, piece by piece.
        stream: raw deflate of what they add.
    """

    base_sha256: bytes
    base_size: int
    result_sha256: bytes
    result_size: int
    segments: Sequence[Segment]
    stream: bytes

    @property
    def coded(self) -> int:
        """Bytes that the stream inflates to."""
        return sum(segment.coded for segment in self.segments)

    def to_bytes(self) -> bytes:
        """The file."""
        table = b"".join(_packed(self.segments))
        fields = (0, 0, self.base_sha256, self.base_size, self.result_sha256, self.result_size)
        return RECORD.seal(*fields, len(self.segments), len(table), len(self.stream), payload=table + self.stream)


def read_difference(data: bytes | bytearray | memoryview, *, largest: int = MAX_BYTES) -> Difference:
    """Read a difference; nothing is inflated yet.

    The checks run in this order, and the message names the first that fails: length (of the header), magic, version, reserved bytes, sizes,
    length, CRC, segments.

    Args:
        data: the file, no more and no less.
        largest: a result of more bytes is refused.

    Raises:
        BundleError: one of the checks failed.
    """
    data = bytes(data)
    first, second, base_sha256, base_size, result_sha256, result_size, count, table, stream = RECORD.fields(data)
    RECORD.check_reserved(first, second)
    if base_size > MAX_BYTES or result_size > min(largest, MAX_BYTES):
        raise RECORD.refusal("sizes", f"{base_size:,} and {result_size:,} bytes are more than are allowed; {RECORD.remake}")
    if count > MOST_SEGMENTS:
        raise RECORD.refusal("sizes", f"{count:,} segments are more than {MOST_SEGMENTS:,}; {RECORD.remake}")
    payload = RECORD.payload(data, table + stream)
    segments = _segments(payload[:table], count, base_size, result_size)
    return Difference(base_sha256, base_size, result_sha256, result_size, segments, payload[table:])


# --- the table of segments ------------------------------------------------------------------------------------------


def _packed(segments: Sequence[Segment]) -> Iterator[bytes]:
    expected, total = 0, 0
    for segment in segments:
        form = int(segment.kind)
        if segment.kind.is_coded:
            form |= _WORDS.index(segment.coding.word) << 2 | _BITS.index(segment.coding.bits) << 4
        yield bytes([form]) + _varint(segment.length)
        if segment.kind is Kind.AGAIN:
            yield _varint(total - segment.base)
        elif segment.kind is not Kind.LITERAL:
            step = segment.base - expected
            yield _varint(2 * step if step >= 0 else -2 * step - 1)
            expected = segment.base + segment.length
        total += segment.length


def _segments(table: bytes, count: int, base_size: int, result_size: int) -> tuple[Segment, ...]:
    found, at, expected, total = [], 0, 0, 0
    for number in range(count):
        if at == len(table):
            raise _unfit(f"there are {number} and not {count}")
        form, at = table[at], at + 1
        kind, word, bits = Kind(form & 3), form >> 2 & 3, form >> 4
        if word > 2 or bits > 2 or (form > Kind.AGAIN and not kind.is_coded):
            raise _unfit(f"number {number} is of the unknown form {form}")
        length, at = _read_varint(table, at)
        base = 0
        if kind is Kind.AGAIN:
            distance, at = _read_varint(table, at)
            base = total - distance
            if not length <= distance <= total:
                raise _unfit(f"number {number} says again what was not said")
        elif kind is not Kind.LITERAL:
            step, at = _read_varint(table, at)
            base = expected + (-(step + 1 >> 1) if step & 1 else step >> 1)
            expected = base + length
            if not 0 <= base <= base_size - length:
                raise _unfit(f"number {number} is not inside of the base")
        total += length
        if length == 0 or length % _WORDS[word] or total > result_size:
            raise _unfit(f"number {number} has no length of whole words inside of the result")
        found.append(Segment(kind, length, base, Coding(_WORDS[word], _BITS[bits]) if kind.is_coded else Coding()))
    if at != len(table) or total != result_size:
        raise _unfit("they do not make the whole result, or something follows them")
    return tuple(found)


def _unfit(why: str) -> Exception:
    return RECORD.refusal("segments", f"{why}; {RECORD.remake}")


def _varint(value: int) -> bytes:
    rest = []
    while value > 127:
        rest.append(value & 127 | 128)
        value >>= 7
    return bytes([*rest, value])


def _read_varint(table: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first, the top bit on all but the last; in as few bytes as it can be."""
    value = 0
    for index in range(min(_MOST_VARINT, len(table) - at)):
        byte = table[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            if byte == 0 and index:
                break
            return value, at + index + 1
    raise _unfit("a number ends outside of their table, or has more bytes than it needs")
