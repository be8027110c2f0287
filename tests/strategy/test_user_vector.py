"""The user vector on the wire: round trips, and everything that must be refused."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import UserVectorError
from chordkit.strategy import (
    UserVector,
    decode_user_vector,
    encode_user_vector,
    encode_user_vectors,
    quantize_user_vector,
    quantize_user_vectors,
    user_vector_bytes,
)

FINGERPRINT = b"\x01\x23\x45\x67\x89\xab\xcd\xef"
DIM = 16
SCALES = st.floats(2.0**-149, 100.0, width=32)


def _vector(dim: int = DIM, seed: int = 0) -> UserVector:
    rng = np.random.default_rng(seed)
    return UserVector(rng.integers(-127, 128, dim).astype(np.int8), float(rng.uniform(1e-3, 1.0)), FINGERPRINT)


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def _with(offset: int, value: bytes) -> bytes:
    body = encode_user_vector(_vector())[:-4]
    return _sealed(body[:offset] + value + body[offset + len(value) :])


def _decode(data: bytes | bytearray, dim: int = DIM) -> UserVector:
    return decode_user_vector(data, fingerprint=FINGERPRINT, dim=dim)


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=70), SCALES, st.binary(min_size=8, max_size=8))
def test_a_user_vector_comes_back_as_it_went(codes: list[int], scale: float, fingerprint: bytes) -> None:
    vector = UserVector(np.array(codes, np.int8), scale, fingerprint)
    data = encode_user_vector(vector)
    assert len(data) == user_vector_bytes(len(codes)) == 28 + len(codes)
    back = decode_user_vector(data, fingerprint=fingerprint, dim=len(codes))
    assert back == vector and hash(back) == hash(vector) and back.scale == scale
    np.testing.assert_array_equal(back.values, np.array(codes, np.float32) * np.float32(scale))


@given(st.lists(st.floats(-12_000, 12_000, width=32), min_size=1, max_size=70))
def test_quantised_values_are_within_half_a_step(values: list[float]) -> None:
    given_values = np.array(values, np.float32)
    vector = quantize_user_vector(given_values, FINGERPRINT)
    # Half a step, and what float32 rounds off: of the scale, of the quotient (up to 127 in units of 2^-17), of the product.
    tolerance = vector.scale * (0.5 + 127 * 2.0**-22) if vector.codes.any() else 2.0**-100
    assert (np.abs(vector.values.astype(np.float64) - given_values) <= tolerance).all()
    assert vector.codes.any() or vector.scale == 1.0


def test_the_layout_is_that_of_the_page() -> None:
    data = encode_user_vector(UserVector(np.array([1, -1, 127], np.int8), 0.5, FINGERPRINT))
    assert data[:-4] == b"CHRU" + bytes([1, 0, 0, 0]) + FINGERPRINT + bytes([3, 0, 0, 0]) + struct.pack("<f", 0.5) + bytes([1, 255, 127])
    assert data[-4:] == zlib.crc32(data[:-4]).to_bytes(4, "little")
    assert user_vector_bytes(64) == 92


def test_every_single_bit_flip_is_refused() -> None:
    data = encode_user_vector(_vector())
    _decode(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserVectorError):
            _decode(flipped)


def test_every_bit_of_the_header_is_checked_even_with_a_fitting_checksum() -> None:
    body = encode_user_vector(_vector())[:-4]
    for bit in range(8 * 20):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserVectorError):
            _decode(_sealed(bytes(flipped)))


def test_every_truncation_and_every_extension_is_refused() -> None:
    data = encode_user_vector(_vector())
    for length in range(len(data)):
        with pytest.raises(UserVectorError, match="length"):
            _decode(data[:length])
    for extra in (b"\0", b"\0\0\0\0", data):
        with pytest.raises(UserVectorError, match="length"):
            _decode(data + extra)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_with(0, b"CHRD"), "magic: the data does not begin with CHRU"),
        (_with(4, b"\2"), "version: 2 is not 1; update chordkit"),
        (_with(5, b"\1"), "reserved: not all are zero"),
        (_with(6, b"\1"), "reserved: not all are zero"),
        (_with(8, b"otherone"), "fingerprint: it is for backbone 6f746865726f6e65"),
        (_with(16, b"\x11"), "dim: 17 numbers instead of the backbone's 16"),
        (_with(20, struct.pack("<f", 0)), "scale: 0.0 is not"),
        (_with(20, struct.pack("<f", -0.0)), "scale: -0.0 is not"),
        (_with(20, struct.pack("<f", -1)), "scale: -1.0 is not"),
        (_with(20, struct.pack("<I", 0x42C80001)), "scale: 100.0000076"),
        (_with(20, struct.pack("<f", float("inf"))), "scale: inf is not"),
        (_with(20, struct.pack("<f", float("nan"))), "scale: nan is not"),
        (_with(24 + 3, b"\x80"), "code: number 3 is -128, which is outside the grid"),
    ],
)
def test_what_is_wrong_is_named_even_with_a_fitting_checksum(data: bytes, says: str) -> None:
    with pytest.raises(UserVectorError, match=f"^user vector: {says}"):
        _decode(data)


def test_of_two_faults_the_first_of_the_page_is_named() -> None:
    """Each of these breaks one check and everything that is checked after it."""
    body = bytearray(encode_user_vector(_vector())[:-4])
    body[24] = 0x80
    says = ["code"]
    for offset, value, name in ((20, bytes(4), "scale"), (16, b"\x11", "dim"), (8, b"x", "fingerprint"), (7, b"\1", "reserved"),
                                (4, b"\2", "version"), (0, b"x", "magic")):  # fmt: skip
        with pytest.raises(UserVectorError, match=f"^user vector: {says[-1]}: "):
            _decode(_sealed(bytes(body)))
        body[offset : offset + len(value)] = value
        says.append(name)
    with pytest.raises(UserVectorError, match=r"^user vector: magic: "):
        _decode(bytes(body) + bytes(4))


@pytest.mark.parametrize(
    ("codes", "scale", "fingerprint", "says"),
    [
        (np.zeros(0, np.int8), 1.0, FINGERPRINT, "shape"),
        (np.zeros((2, 2), np.int8), 1.0, FINGERPRINT, "shape"),
        (np.zeros(3, np.int16), 1.0, FINGERPRINT, "int16"),
        (np.zeros(3, np.float32), 1.0, FINGERPRINT, "float32"),
        (np.array([0, -128], np.int8), 1.0, FINGERPRINT, "number 1 is -128"),
        (np.zeros(3, np.int8), 0.0, FINGERPRINT, "scale"),
        (np.zeros(3, np.int8), 1e-60, FINGERPRINT, "scale"),
        (np.zeros(3, np.int8), 100.1, FINGERPRINT, "scale"),
        (np.zeros(3, np.int8), 1e300, FINGERPRINT, "scale"),
        (np.zeros(3, np.int8), float("nan"), FINGERPRINT, "scale"),
        (np.zeros(3, np.int8), 1.0, b"short", "fingerprint has 5 bytes"),
    ],
)
def test_what_is_no_user_vector_cannot_be_made(codes: np.ndarray, scale: float, fingerprint: bytes, says: str) -> None:
    with pytest.raises(UserVectorError, match=says):
        UserVector(codes, scale, fingerprint)


@pytest.mark.parametrize("values", [[np.nan], [np.inf, 0.0], [[1.0]], [2e4]])
def test_values_that_no_user_vector_can_hold_are_refused(values: list) -> None:
    with pytest.raises(UserVectorError):
        quantize_user_vector(np.array(values, np.float32), FINGERPRINT)


def test_a_user_vector_does_not_change_with_the_array_it_came_from() -> None:
    codes = np.arange(8, dtype=np.int8)
    vector = UserVector(codes, 1.0, FINGERPRINT)
    before = hash(vector)
    codes[:] = 0
    assert hash(vector) == before and vector.codes[7] == 7
    with pytest.raises(ValueError, match="read-only"):
        vector.codes[0] = 2
    assert vector != "something else"


@settings(max_examples=300)
@given(st.binary(max_size=100), st.booleans())
def test_random_bytes_raise_nothing_but_user_vector_errors(data: bytes, headed: bool) -> None:
    if headed:
        data = b"CHRU\x01\x00\x00\x00" + FINGERPRINT + data
    with pytest.raises(UserVectorError):
        _decode(data)


def test_mutated_user_vectors_are_refused_or_well_formed() -> None:
    rng = np.random.default_rng(20260)
    accepted = 0
    for seed in range(10_000):
        dim = int(rng.integers(1, 20))
        data = bytearray(encode_user_vector(_vector(dim, seed)))
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        if rng.integers(4):
            data = bytearray(_sealed(bytes(data[:-4])))
        try:
            vector = _decode(data, dim)
        except UserVectorError:
            continue
        accepted += 1
        # Accepted = exactly what the encoder writes for it.
        assert bytes(data) == encode_user_vector(vector)
    assert 0 < accepted < 10_000


def test_many_at_once_are_encoded_as_one_by_one() -> None:
    values = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    values[4] = 0
    codes, scales = quantize_user_vectors(values)
    rows = encode_user_vectors(codes, scales, FINGERPRINT)
    assert [row.tobytes() for row in rows] == [encode_user_vector(quantize_user_vector(each, FINGERPRINT)) for each in values]
    for wrong in (np.nan, np.inf, 101.0):
        scales[3] = wrong
        with pytest.raises(UserVectorError, match="of user 3 is not a number up to 100"):
            encode_user_vectors(codes, scales, FINGERPRINT)
