"""Packing: lowest bits first, every channel padded to a whole byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chordkit.errors import MasterError
from chordkit.quantization import pack_codes, packed_row_bytes, unpack_codes


@given(st.sampled_from([2, 4, 8]), st.integers(1, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_packing_comes_back(width: int, rows: int, columns: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-(1 << width - 1), 1 << width - 1, (rows, columns)).astype(np.int8)
    packed = pack_codes(codes, width)
    assert packed.shape == (rows, packed_row_bytes(columns, width)) == (rows, -(-columns * width // 8))
    assert np.array_equal(unpack_codes(packed, width, columns), codes)
    assert np.array_equal(pack_codes(np.asfortranarray(codes), width), packed)


def test_the_lowest_bits_come_first() -> None:
    assert pack_codes(np.array([[1, -2, 0, -1, 1]], np.int8), 2).tolist() == [[0b11_00_10_01, 0b01]]
    assert pack_codes(np.array([[7, -7, 1]], np.int8), 4).tolist() == [[0x97, 0x01]]


@pytest.mark.parametrize(("width", "columns"), [(2, 5), (4, 3)])
def test_every_pad_bit_is_checked(width: int, columns: int) -> None:
    packed = pack_codes(np.ones((2, columns), np.int8), width)
    for bit in range(columns * width % 8, 8):
        dirty = packed.copy()
        dirty[1, -1] |= 1 << bit
        with pytest.raises(MasterError, match="pad bit"):
            unpack_codes(dirty, width, columns)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MasterError, match="does not fit 4 bits"):
        pack_codes(np.array([[8]], np.int8), 4)
    with pytest.raises(MasterError, match="width 3"):
        pack_codes(np.array([[1]], np.int8), 3)
    with pytest.raises(MasterError, match="do not fit"):
        unpack_codes(np.zeros((1, 2), np.uint8), 4, 5)
