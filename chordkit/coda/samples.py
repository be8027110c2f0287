"""Samples of other people on the wire, "CHRS": pieces of histories, and which of their items are to be learned (docs/formats.md)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from chordkit.errors import SampleError
from chordkit.inputs import left_pad
from chordkit.strategy.record import Record

MAGIC = b"CHRS"
VERSION = 1
MOST_ITEMS = 16_384
"""Items of all segments together; 200 samples need some 1,300."""
MOST_BYTES = 65_536
_RECORD = Record("samples", MAGIC, VERSION, struct.Struct("<4sBBH8sHHI"), SampleError, "match again", "fetch them again")
_LARGEST_ITEM = (1 << 30) - 1
_MOST_VARINT = 5


@dataclass(frozen=True, eq=False)
class Segments:
    """Pieces of histories, some of whose items are samples: to be predicted from what stands before them in their piece.

    Attributes:
        histories: int32 item ids of each piece, oldest first, two or more.
        targets: bool of each item: whether it is a sample. A piece has at least one, and its first item is none: nothing stands before it.

    Raises:
        SampleError: anything else.
    """

    histories: list[np.ndarray]
    targets: list[np.ndarray]

    def __post_init__(self) -> None:
        if len(self.histories) != len(self.targets):
            raise SampleError(f"samples: {len(self.histories)} segments have {len(self.targets)} rows of marks; give one for each")
        for number, (history, marks) in enumerate(zip(self.histories, self.targets, strict=True)):
            problem = _problem(np.asarray(history), np.asarray(marks))
            if problem:
                raise SampleError(f"samples: segment {number}: {problem}; match again")

    @property
    def samples(self) -> int:
        """How many items are samples."""
        return sum(int(marks.sum()) for marks in self.targets)

    @property
    def items(self) -> int:
        """How many items there are in all pieces."""
        return sum(map(len, self.histories))

    def windows(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Every sample as a question: int32 histories ``[samples, length]``, left-padded with 0, and int32 targets ``[samples]``."""
        asked = [
            (history[:place], history[place])
            for history, marks in zip(self.histories, self.targets, strict=True)
            for place in np.flatnonzero(marks)
        ]
        return left_pad([before for before, _ in asked], length), np.array([target for _, target in asked], np.int32)


def _problem(history: np.ndarray, marks: np.ndarray) -> str:
    if history.dtype != np.int32 or history.ndim != 1 or marks.dtype != np.bool_ or marks.shape != history.shape:
        return "it is no int32 [items] with bool [items] beside it"
    if len(history) < 2 or marks[0] or not marks.any():
        return "it has no sample with an item before it, or its first item is one"
    if history.min() < 1 or history.max() > _LARGEST_ITEM:
        return f"its items do not lie in 1..{_LARGEST_ITEM}"
    return ""


def encode_samples(segments: Segments, fingerprint: bytes) -> bytes:
    """The wire bytes, version 1, of samples for the backbone with this fingerprint.

    Raises:
        SampleError: more than 16,384 items or 65,536 bytes, or a fingerprint that is not 8 bytes.
    """
    _RECORD.check_fingerprint(fingerprint)
    if segments.items > MOST_ITEMS:
        raise SampleError(f"samples: {segments.items:,} items in all segments are more than {MOST_ITEMS:,}; ask for fewer samples")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    payload = deflate.compress(_pack(segments)) + deflate.flush()
    if _RECORD.size(len(payload)) > MOST_BYTES:
        raise SampleError(f"samples: {_RECORD.size(len(payload)):,} bytes are more than {MOST_BYTES:,}; ask for fewer samples")
    return _RECORD.seal(0, 0, fingerprint, len(segments.histories), segments.samples, segments.items, payload=payload)


def decode_samples(data: bytes | bytearray | memoryview, *, fingerprint: bytes, items: int) -> Segments:
    """Read samples that are meant for one backbone.

    The checks run in this order, and the message names the first that fails: length, magic, version, reserved bytes, fingerprint, counts,
    CRC, deflate, segments, marks, table, items. No more is inflated than the counts allow, 157,701 bytes at most.

    Args:
        data: the wire bytes, no more and no less.
        fingerprint: of the master weights in use.
        items: of the master weights in use; ids lie in 1..items.

    Raises:
        SampleError: one of the checks failed.
    """
    if len(data) > MOST_BYTES:
        raise SampleError(f"samples: length: {len(data):,} bytes are more than {MOST_BYTES:,}, which none have; fetch them again")
    data = bytes(data)
    first, second, theirs, segments, samples, count = _RECORD.fields(data)
    _RECORD.check_reserved(first, second)
    _RECORD.check_backbone(theirs, fingerprint)
    if count > MOST_ITEMS or bool(count) != bool(segments) or not segments <= samples <= count - segments:
        raise SampleError(
            f"samples: counts: {segments} segments, {samples} samples and {count} items do not go together, or are too many; match again"
        )
    return _unpack(_inflate(_RECORD.payload(data), _most_payload(segments, count)), segments, samples, count, items)


# --- what is deflated: lengths of the segments, marks, the ids that occur, and which of them stands where ------------------------------


def _most_payload(segments: int, items: int) -> int:
    return segments * _MOST_VARINT + (items + 7) // 8 + _MOST_VARINT + items * (_MOST_VARINT + 2)


def _inflate(deflated: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(-15)
    try:
        payload = stream.decompress(deflated, most + 1)
    except zlib.error as error:
        raise SampleError(f"samples: deflate: the payload cannot be inflated ({error}); match again") from None
    if len(payload) > most or not stream.eof or stream.unused_data:
        raise SampleError("samples: deflate: the payload is longer or shorter than its counts say; match again")
    return payload


def _pack(segments: Segments) -> bytes:
    flat = np.concatenate([np.zeros(0, np.int32), *segments.histories])
    marks = np.concatenate([np.zeros(0, np.bool_), *segments.targets])
    table, places = np.unique(flat, return_inverse=True)
    parts = [_varint(len(history)) for history in segments.histories]
    parts.append(np.packbits(marks, bitorder="little").tobytes())
    parts.append(_varint(len(table)))
    parts += [_varint(step) for step in np.diff(table, prepend=0).tolist()]
    # The low bytes of all places, then the high ones: deflate finds more in two rows of like bytes than in pairs.
    parts += [(places & 255).astype(np.uint8).tobytes(), (places >> 8).astype(np.uint8).tobytes()]
    return b"".join(parts)


def _unpack(payload: bytes, segments: int, samples: int, count: int, items: int) -> Segments:
    reader = _Reader(payload)
    lengths = [reader.varint("segments") for _ in range(segments)]
    if sum(lengths) != count or min(lengths, default=2) < 2:
        raise SampleError(f"samples: segments: their lengths do not make {count} items, or one has fewer than two; match again")
    bits = np.unpackbits(reader.bytes((count + 7) // 8, "marks"), bitorder="little").astype(np.bool_)
    bounds = np.cumsum([0, *lengths])
    marks = np.split(bits[:count], bounds[1:-1]) if segments else []
    if bits[count:].any() or int(bits.sum()) != samples or any(row[0] or not row.any() for row in marks):
        raise SampleError(
            f"samples: marks: they are not {samples}, a segment has none or one on its first item, or one is behind the last; match again"
        )
    known = reader.varint("table")
    if known > count:
        raise SampleError(f"samples: table: {known} items for {count} places; match again")
    steps = [reader.varint("table") for _ in range(known)]
    if not all(steps) or sum(steps) > items:
        raise SampleError(f"samples: table: its items do not rise within 1..{items}, those of the catalogue; match again")
    places = reader.bytes(count, "items") + 256 * reader.bytes(count, "items").astype(np.int32)
    if reader.left or not np.array_equal(np.unique(places), np.arange(known)):
        raise SampleError("samples: items: they are not those of the table, each at least once, or something follows; match again")
    flat = np.cumsum(steps, dtype=np.int32)[places] if count else np.zeros(0, np.int32)
    return Segments(np.split(flat, bounds[1:-1]) if segments else [], marks)


class _Reader:
    """A payload from its beginning on."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self._at = payload, 0

    @property
    def left(self) -> int:
        return len(self._payload) - self._at

    def bytes(self, size: int, check: str) -> np.ndarray:
        if self.left < size:
            raise SampleError(f"samples: {check}: the payload ends before they do; match again")
        self._at += size
        return np.frombuffer(self._payload, np.uint8, size, self._at - size)

    def varint(self, check: str) -> int:
        """Seven bits a byte, the lowest first, the top bit on all but the last; in as few bytes as it can be, and below 2^30."""
        value = 0
        for index in range(_MOST_VARINT):
            byte = int(self.bytes(1, check)[0])
            value |= (byte & 127) << 7 * index
            if byte < 128:
                if value > _LARGEST_ITEM or (byte == 0 and index):
                    break
                return value
        raise SampleError(f"samples: {check}: a number is too large, or has more bytes than it needs; match again")


def _varint(value: int) -> bytes:
    rest = []
    while value > 127:
        rest.append(value & 127 | 128)
        value >>= 7
    return bytes([*rest, value])
