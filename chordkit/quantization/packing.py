"""Sub-byte packing: lowest bits first, row-major, each channel padded to a whole byte (DESIGN.md, contract 1)."""

import numpy as np

from chordkit.errors import MasterError


def packed_row_bytes(in_features: int, width: int) -> int:
    """Bytes of one packed channel."""
    return (in_features * width + 7) // 8


def pack_codes(codes: np.ndarray, width: int) -> np.ndarray:
    """Pack int8 codes ``[out, in]`` of a width into uint8 ``[out, ceil(in * width / 8)]``, two's complement, pad bits zero.

    Raises:
        MasterError: a code does not fit the width.
    """
    if width not in (2, 4, 8):
        raise MasterError(f"width {width} cannot be packed; 2, 4 and 8 can")
    if codes.size and not (-(1 << (width - 1)) <= int(codes.min()) and int(codes.max()) < 1 << (width - 1)):
        raise MasterError(f"a code does not fit {width} bits")
    per_byte = 8 // width
    rows, columns = codes.shape
    padded = np.zeros((rows, packed_row_bytes(columns, width) * per_byte), np.uint8)
    padded[:, :columns] = codes.view(np.uint8) & ((1 << width) - 1)
    lanes = padded.reshape(rows, -1, per_byte)
    packed = np.zeros(lanes.shape[:2], np.uint8)
    for lane in range(per_byte):
        packed |= lanes[:, :, lane] << (lane * width)
    return packed


def unpack_codes(packed: np.ndarray, width: int, in_features: int) -> np.ndarray:
    """The inverse of :func:`pack_codes`: int8 ``[out, in_features]``.

    Raises:
        MasterError: the row length does not fit, or a pad bit is not zero.
    """
    if width not in (2, 4, 8):
        raise MasterError(f"width {width} cannot be unpacked; 2, 4 and 8 can")
    if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] != packed_row_bytes(in_features, width):
        raise MasterError(f"packed codes of shape {packed.shape} do not fit {in_features} codes of {width} bits a row")
    per_byte = 8 // width
    lanes = np.stack([(packed >> (lane * width)) & ((1 << width) - 1) for lane in range(per_byte)], axis=-1)
    flat = lanes.reshape(len(packed), -1).astype(np.uint8)
    if flat[:, in_features:].any():
        raise MasterError("a pad bit of packed codes is not zero")
    sign = np.uint8(1 << (width - 1))
    extended = (flat[:, :in_features] ^ sign).astype(np.int16) - np.int16(sign)
    return extended.astype(np.int8)
