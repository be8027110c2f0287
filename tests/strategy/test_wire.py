"""The strategy on the wire: round trips, and everything that must be refused."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import StrategyError
from chordkit.strategy import Strategy, decode, encode, encode_each, to_wire, wire_bytes

FINGERPRINT = b"\x01\x23\x45\x67\x89\xab\xcd\xef"


def _widths(channels: int, choices: tuple[int, ...] = (2, 4, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(choices, np.uint8), channels)


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(st.lists(st.sampled_from([0, 2, 4, 8]), min_size=1, max_size=70), st.binary(min_size=8, max_size=8))
def test_a_strategy_comes_back_as_it_went(widths: list[int], fingerprint: bytes) -> None:
    strategy = Strategy(np.array(widths, np.uint8), fingerprint)
    data = encode(strategy, allow_off=True)
    assert len(data) == wire_bytes(len(widths)) == 24 + -(-len(widths) // 4)
    assert decode(data, fingerprint=fingerprint, channels=len(widths)) == strategy


def test_the_layout_is_that_of_the_contract() -> None:
    data = encode(Strategy(np.array([2, 4, 8, 2, 8], np.uint8), FINGERPRINT))
    # Codes 1 2 3 1 -> 0b01_11_10_01, then 3 with six pad bits.
    assert data[:-4] == b"CHRD" + bytes([1, 0, 0, 0]) + FINGERPRINT + bytes([5, 0, 0, 0]) + bytes([0b01111001, 0b00000011])
    assert data[-4:] == zlib.crc32(data[:-4]).to_bytes(4, "little")
    assert wire_bytes(768) == 216


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 768])
def test_many_at_once_are_the_same_as_one_by_one(channels: int) -> None:
    generator = np.random.default_rng(channels)
    widths = generator.choice(np.array([0, 2, 4, 8], np.uint8), (20, channels))
    widths[10:][widths[10:] == 0] = 2  # no channel is off, so neither is the flag set
    assert encode_each(widths, b"backbone") == [to_wire(Strategy(row, b"backbone")) for row in widths]
    for wrong, fingerprint in ((np.full((2, channels), 3, np.uint8), b"backbone"), (widths, b"short"), (widths[:, :0], b"backbone")):
        with pytest.raises(StrategyError):
            encode_each(wrong, fingerprint)


@pytest.mark.parametrize("allow_off", [False, True])
def test_every_single_bit_flip_is_refused(allow_off: bool) -> None:
    choices = (0, 2, 4, 8) if allow_off else (2, 4, 8)
    data = encode(Strategy(_widths(768, choices), FINGERPRINT), allow_off=allow_off)
    decode(data, fingerprint=FINGERPRINT, channels=768)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StrategyError):
            decode(flipped, fingerprint=FINGERPRINT, channels=768)


@pytest.mark.parametrize("channels", [765, 766, 767])
def test_header_and_pad_bits_are_refused_even_with_a_fitting_checksum(channels: int) -> None:
    body = encode(Strategy(_widths(channels, (0, 2, 4, 8)), FINGERPRINT), allow_off=True)[:-4]
    header = [bit for bit in range(8 * 20) if bit != 8 * 6]  # bit 0 of the flags is the one that may differ
    pads = range(8 * 20 + 2 * channels, 8 * len(body))
    assert len(pads) == 2 * (-channels % 4)
    for bit in [*header, *pads]:
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StrategyError):
            decode(_sealed(bytes(flipped)), fingerprint=FINGERPRINT, channels=channels)


def test_every_truncation_and_every_extension_is_refused() -> None:
    data = encode(Strategy(_widths(768), FINGERPRINT))
    for length in range(len(data)):
        with pytest.raises(StrategyError):
            decode(data[:length], fingerprint=FINGERPRINT, channels=768)
    for extra in (b"\0", b"\0\0\0\0", data):
        with pytest.raises(StrategyError, match="length"):
            decode(data + extra, fingerprint=FINGERPRINT, channels=768)


def test_a_strategy_of_another_backbone_is_refused() -> None:
    data = encode(Strategy(_widths(768), FINGERPRINT))
    with pytest.raises(StrategyError, match="fingerprint"):
        decode(data, fingerprint=b"otherone", channels=768)
    with pytest.raises(StrategyError, match="channel count"):
        decode(data, fingerprint=FINGERPRINT, channels=767)


def test_a_channel_that_is_off_needs_the_flag_on_both_sides() -> None:
    strategy = Strategy(np.array([2, 0, 8], np.uint8), FINGERPRINT)
    with pytest.raises(StrategyError, match="channel 1 is off"):
        encode(strategy)
    data = encode(strategy, allow_off=True)
    with pytest.raises(StrategyError, match="flags"):
        decode(data, fingerprint=FINGERPRINT, channels=3, allow_off=False)
    body = bytearray(data[:-4])
    body[6] = 0
    with pytest.raises(StrategyError, match="code: channel 1"):
        decode(_sealed(bytes(body)), fingerprint=FINGERPRINT, channels=3)


@pytest.mark.parametrize("encoding", [1, 2, 255])
def test_an_unknown_encoding_is_named(encoding: int) -> None:
    body = bytearray(encode(Strategy(_widths(8), FINGERPRINT))[:-4])
    body[5] = encoding
    with pytest.raises(StrategyError, match=f"encoding: {encoding} is unknown"):
        decode(_sealed(bytes(body)), fingerprint=FINGERPRINT, channels=8)


@pytest.mark.parametrize(
    ("widths", "fingerprint"),
    [
        ([3], FINGERPRINT),
        ([16], FINGERPRINT),
        ([258], FINGERPRINT),
        ([-2], FINGERPRINT),
        ([2.0], FINGERPRINT),
        ([], FINGERPRINT),
        ([2], b"short"),
    ],
)
def test_what_is_no_strategy_cannot_be_made(widths: list, fingerprint: bytes) -> None:
    with pytest.raises(StrategyError):
        Strategy(np.array(widths), fingerprint)


def test_a_strategy_does_not_change_with_the_array_it_came_from() -> None:
    widths = _widths(8)
    strategy = Strategy(widths, FINGERPRINT)
    before = hash(strategy)
    widths[:] = 0
    assert hash(strategy) == before and strategy.widths.all()
    with pytest.raises(ValueError, match="read-only"):
        strategy.widths[0] = 2


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_raise_nothing_but_strategy_errors(data: bytes, headed: bool) -> None:
    if headed:
        data = b"CHRD\x01\x00\x00\x00" + FINGERPRINT + data
    with pytest.raises(StrategyError):
        decode(data, fingerprint=FINGERPRINT, channels=768)


def test_mutated_strategies_are_refused_or_well_formed() -> None:
    rng = np.random.default_rng(20260)
    accepted = 0
    for _ in range(20_000):
        channels = int(rng.integers(1, 40))
        data = bytearray(encode(Strategy(_widths(channels, (0, 2, 4, 8), int(rng.integers(1 << 30))), FINGERPRINT), allow_off=True))
        for _ in range(int(rng.integers(1, 4))):
            position, kind = int(rng.integers(len(data) or 1)), int(rng.integers(4))
            if kind == 0 and data:
                data[position] = int(rng.integers(256))
            elif kind == 1:
                del data[position : position + int(rng.integers(1, 9))]
            elif kind == 2:
                data[position:position] = rng.bytes(int(rng.integers(1, 9)))
            elif data:
                data[position] ^= 1 << int(rng.integers(8))
        if rng.integers(2) and len(data) >= 4:
            data = bytearray(_sealed(bytes(data[:-4])))
        try:
            strategy = decode(data, fingerprint=FINGERPRINT, channels=channels)
        except StrategyError:
            continue
        accepted += 1
        # Accepted = exactly what the encoder writes for it.
        assert bytes(data) in (encode(strategy, allow_off=True), encode(strategy, allow_off=False) if strategy.widths.all() else b"")
    assert 0 < accepted < 20_000
