"""Samples on the wire: round trips, and everything that must be refused."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.coda.samples import MOST_BYTES, MOST_ITEMS, Segments, decode_samples, encode_samples
from chordkit.errors import SampleError

FINGERPRINT = b"\x01\x23\x45\x67\x89\xab\xcd\xef"
ITEMS = 300


def _segments(*rows: tuple[list[int], list[int]]) -> Segments:
    """Of (items, places of the samples)."""
    marks = [np.isin(np.arange(len(items)), places) for items, places in rows]
    return Segments([np.array(items, np.int32) for items, _ in rows], marks)


SMALL = _segments(([7, 300, 7], [2]), ([5, 9], [1]))
# Lengths 3 and 2; samples are items 2 and 4; four ids, 5, 7, 9 and 300, by their steps; which stands where, low bytes, high bytes.
PAYLOAD = bytes([3, 2, 0b10100, 4, 5, 2, 2, 0xA3, 0x02, 1, 3, 1, 0, 2, 0, 0, 0, 0, 0])


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def _stored(payload: bytes) -> bytes:
    """A deflate stream of one block that is not compressed."""
    return b"\x01" + struct.pack("<HH", len(payload), len(payload) ^ 0xFFFF) + payload


def _built(payload: bytes, segments: int = 2, samples: int = 2, items: int = 5, deflated: bytes | None = None) -> bytes:
    header = struct.pack("<4sBBH8sHHI", b"CHRS", 1, 0, 0, FINGERPRINT, segments, samples, items)
    return _sealed(header + (_stored(payload) if deflated is None else deflated))


def _decode(data: bytes, items: int = ITEMS) -> Segments:
    return decode_samples(data, fingerprint=FINGERPRINT, items=items)


def _rows(segments: Segments) -> list[tuple[list[int], list[bool]]]:
    return [(history.tolist(), marks.tolist()) for history, marks in zip(segments.histories, segments.targets, strict=True)]


@st.composite
def _any_segments(draw: st.DrawFn) -> Segments:
    ids = st.integers(1, draw(st.sampled_from([3, 127, 128, 300, 70_000, (1 << 30) - 1])))
    rows = []
    for items in draw(st.lists(st.lists(ids, min_size=2, max_size=40), max_size=20)):
        rows.append((items, draw(st.lists(st.integers(1, len(items) - 1), min_size=1))))
    return _segments(*rows)


@given(_any_segments(), st.binary(min_size=8, max_size=8))
def test_samples_come_back_as_they_went(segments: Segments, fingerprint: bytes) -> None:
    back = decode_samples(encode_samples(segments, fingerprint), fingerprint=fingerprint, items=(1 << 30) - 1)
    assert _rows(back) == _rows(segments)
    assert all(history.dtype == np.int32 for history in back.histories) and all(marks.dtype == np.bool_ for marks in back.targets)


def test_the_layout_is_that_of_the_page() -> None:
    data = encode_samples(SMALL, FINGERPRINT)
    assert data[:24] == b"CHRS" + bytes([1, 0, 0, 0]) + FINGERPRINT + bytes([2, 0, 2, 0, 5, 0, 0, 0])
    assert zlib.decompress(data[24:-4], wbits=-15) == PAYLOAD
    assert data[-4:] == zlib.crc32(data[:-4]).to_bytes(4, "little")
    assert _rows(_decode(_built(PAYLOAD))) == _rows(SMALL)


def test_windows_ask_for_every_sample_after_what_stands_before_it() -> None:
    histories, targets = _segments(([1, 2, 3, 4], [1, 3]), ([8, 9], [1])).windows(2)
    assert (histories.tolist(), targets.tolist()) == ([[0, 1], [2, 3], [0, 8]], [2, 4, 9])
    assert histories.dtype == targets.dtype == np.int32
    assert Segments([], []).windows(3)[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("items", "places"),
    [([1], [0]), ([1, 2], [0]), ([1, 2], []), ([0, 2], [1]), ([1, -3], [1]), ([1, 1 << 30], [1]), ([], [])],
)
def test_pieces_without_a_question_are_none(items: list[int], places: list[int]) -> None:
    with pytest.raises(SampleError, match=r"^samples: segment 0: "):
        _segments((items, places))


def test_more_than_a_reader_takes_is_not_written() -> None:
    row = (list(range(1, 9)), [7])
    with pytest.raises(SampleError, match="ask for fewer"):
        encode_samples(_segments(*[row] * (MOST_ITEMS // 8 + 1)), FINGERPRINT)
    assert _decode(encode_samples(_segments(*[row] * (MOST_ITEMS // 8)), FINGERPRINT)).items == MOST_ITEMS
    with pytest.raises(SampleError, match="7 bytes instead of 8"):
        encode_samples(SMALL, FINGERPRINT[:7])


def test_every_single_bit_flip_and_every_truncation_is_refused() -> None:
    data = encode_samples(SMALL, FINGERPRINT)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SampleError):
            _decode(bytes(flipped))
    for length in range(len(data)):
        with pytest.raises(SampleError):
            _decode(data[:length])


def test_every_bit_of_header_and_payload_is_checked_even_with_a_fitting_checksum() -> None:
    body = _built(PAYLOAD)[:-4]
    taken = []
    for bit in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            taken.append((bit, _rows(_decode(_sealed(bytes(flipped))))))
        except SampleError:
            continue
    # The five pad bits behind the header of a stored block mean nothing; ids and places that are as good as others are other samples.
    others = [rows for _, rows in taken if rows != _rows(SMALL)]
    assert {bit for bit, rows in taken if rows == _rows(SMALL)} == {8 * 24 + 3 + pad for pad in range(5)}
    assert len(others) == len({str(rows) for rows in others}) == 9


def _with(place: int, *values: int) -> bytes:
    return PAYLOAD[:place] + bytes(values) + PAYLOAD[place + len(values) :]


@pytest.mark.parametrize(
    ("check", "data"),
    [
        ("length", b"CHRS"),
        ("length", bytes(MOST_BYTES + 1)),
        ("magic", _sealed(b"CHRD" + _built(PAYLOAD)[4:-4])),
        ("version", _sealed(b"CHRS\2" + _built(PAYLOAD)[5:-4])),
        ("reserved", _sealed(b"CHRS\1\1" + _built(PAYLOAD)[6:-4])),
        ("reserved", _sealed(b"CHRS\1\0\0\1" + _built(PAYLOAD)[8:-4])),
        ("fingerprint", _sealed(_built(PAYLOAD)[:8] + b"otherone" + _built(PAYLOAD)[16:-4])),
        ("counts", _built(PAYLOAD, items=MOST_ITEMS + 1)),
        ("counts", _built(PAYLOAD, items=3)),
        ("counts", _built(PAYLOAD, samples=1)),
        ("counts", _built(PAYLOAD, samples=4)),
        ("counts", _built(b"", segments=0, samples=1, items=1)),
        ("CRC", _built(PAYLOAD)[:-1] + b"\0"),
        ("deflate", _built(b"", deflated=b"\xff" * 20)),
        ("deflate", _built(b"", deflated=_stored(PAYLOAD)[:-1])),
        ("deflate", _built(b"", deflated=_stored(PAYLOAD) + b"\0")),
        ("deflate", _built(b"", deflated=b"")),
        ("segments", _built(_with(0, 2))),
        ("segments", _built(_with(0, 4, 1))),
        ("segments", _built(b"\x80\x80\x80\x80\x80" + PAYLOAD)),
        ("segments", _built(b"\x83\x00" + PAYLOAD[1:])),
        ("marks", _built(_with(2, 0b10101))),
        ("marks", _built(_with(2, 0b11000))),
        ("marks", _built(_with(2, 0b00110))),
        ("marks", _built(_with(2, 0b110100))),
        ("marks", _built(_with(2, 0b10101), samples=3)),
        ("marks", _built(_with(2, 0b110100), samples=3)),
        ("marks", _built(PAYLOAD[:2])),
        ("table", _built(_with(3, 6))),
        ("table", _built(_with(5, 0))),
        ("table", _built(_with(4, 6))),
        ("table", _built(_with(7, 0x81, 0x80, 0x80, 0x80, 0x04))),
        ("items", _built(_with(9, 4))),
        ("items", _built(_with(14, 1))),
        ("items", _built(_with(13, 0))),
        ("items", _built(PAYLOAD[:-1])),
        ("items", _built(PAYLOAD + b"\0")),
    ],
)
def test_what_is_no_version_1_is_refused_by_the_check_named(check: str, data: bytes) -> None:
    with pytest.raises(SampleError, match=f"^samples: {check}: "):
        _decode(data)


def test_items_that_a_smaller_catalogue_lacks_are_refused() -> None:
    data = encode_samples(SMALL, FINGERPRINT)
    _decode(data, items=300)
    with pytest.raises(SampleError, match=r"within 1\.\.299, those of the catalogue"):
        _decode(data, items=299)


def test_a_bomb_is_not_inflated() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = _built(b"", deflated=deflate.compress(bytes(50_000_000)) + deflate.flush())
    assert len(bomb) < MOST_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(SampleError, match=r"^samples: deflate: "):
            _decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=50)
@given(st.binary(max_size=100), st.booleans())
def test_random_bytes_raise_nothing_but_sample_errors(data: bytes, headed: bool) -> None:
    if headed:
        data = _built(b"", deflated=data)
    with pytest.raises(SampleError):
        _decode(data)
