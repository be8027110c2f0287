"""An adapter's bytes: what goes in comes out, and nothing else is accepted."""

import struct
import zlib

import numpy as np
import pytest

from chordkit.coda.adapter import RANK, Adapter, decode_adapter, encode_adapter, projection
from chordkit.errors import AdapterError

IDENTITY = {"fingerprint": b"backbone", "strategy": b"strategy", "dim": 8, "items": 50}


@pytest.fixture
def adapter() -> Adapter:
    zero = Adapter.zero(8, np.array([2, 7, 50]), b"backbone", b"strategy")
    return zero.with_values(np.random.default_rng(0).normal(size=len(zero.values)).astype(np.float32))


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def test_an_adapter_comes_back_as_it_was(adapter: Adapter) -> None:
    data = encode_adapter(adapter)
    assert len(data) == 32 + 4 * (2 * 8 + RANK * 8 + 2 * 3) + 4
    back = decode_adapter(data, **IDENTITY)
    assert back.values.tobytes() == adapter.values.tobytes() and back.items.tolist() == [2, 7, 50]
    assert (back.fingerprint, back.strategy, back.dim) == (b"backbone", b"strategy", 8)
    assert back.biases(np.array([[2, 3], [50, 51]])).tolist() == [[back.bias[0], 0], [back.bias[2], 0]]


def test_any_flipped_bit_and_any_cut_are_refused(adapter: Adapter) -> None:
    data = encode_adapter(adapter)
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << (place % 8)
        with pytest.raises(AdapterError):
            decode_adapter(bytes(broken), **IDENTITY)
        with pytest.raises(AdapterError):
            decode_adapter(data[:place], **IDENTITY)


@pytest.mark.parametrize(
    ("offset", "patch", "field"),
    [
        (0, b"X", "magic"), (4, b"\2", "version"), (5, b"\7", "rank"), (6, b"\1", "reserved"), (8, b"x", "fingerprint"),
        (16, b"x", "strategy"), (24, b"\7", "dim"), (28, b"\xff\xff\xff\xff", "items"),
        (28, b"\2", "length"), (32, b"\7\0\0\0", "items"), (32, b"\0", "items"),
        (40, b"\x33", "items"), (44, struct.pack("<f", np.nan), "values"), (44, struct.pack("<f", 1e5), "values"),
    ],
)  # fmt: skip
def test_each_check_names_its_field(adapter: Adapter, offset: int, patch: bytes, field: str) -> None:
    body = bytearray(encode_adapter(adapter)[:-4])
    body[offset : offset + len(patch)] = patch
    with pytest.raises(AdapterError, match=f"adapter: {field}: "):
        decode_adapter(sealed(bytes(body)), **IDENTITY)


def test_an_adapter_of_another_backbone_or_strategy_is_refused(adapter: Adapter) -> None:
    for field, other in (("fingerprint", b"another!"), ("strategy", bytes(8)), ("dim", 16)):
        with pytest.raises(AdapterError, match=f"adapter: {field}: "):
            decode_adapter(encode_adapter(adapter), **{**IDENTITY, field: other})


def test_the_projection_is_what_its_words_say() -> None:
    def finalizer(word: int) -> int:
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            word = ((word ^ (word >> shift)) * factor) & 0xFFFFFFFF
        return word ^ (word >> 16)

    wanted = [[(-1) ** (finalizer(k * 64 + j + 1) & 1) / 8 for j in range(64)] for k in range(RANK)]
    found = projection(64)
    assert found.tolist() == wanted
    # Rows of nearly independent signs: no two alike.
    assert np.abs(found @ found.T - np.eye(RANK)).max() < 0.5
