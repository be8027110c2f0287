"""Embedding tables, quantised per row, outside the strategy."""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import ScalePolicy, derive_codes
from chordkit.quantization.scales import checked_weights, derive_scale, quantize_int8, row_chunks


@dataclass(frozen=True, eq=False)
class QuantizedTable:
    """An embedding table.

    Attributes:
        codes: int8 ``[rows, dim]`` in the range of ``bits``.
        scales: float32 ``[rows]``, positive.
        bits: 8 or 4.
    """

    codes: np.ndarray
    scales: np.ndarray
    bits: int = 8


def quantize_table(table: np.ndarray, bits: int = 8, *, name: str = "") -> QuantizedTable:
    """Quantise ``table [rows, dim]`` per row, on the grid of a layer's channels: int8 scale = absmax / 127, int4 of least error.

    Args:
        table: float ``[rows, dim]``.
        bits: 8 or 4.
        name: of the table, for error messages.

    Raises:
        MasterError: wrong shape or bits; NaN, infinity or numbers that are too large.
    """
    if bits not in (4, 8):
        raise MasterError(f"embedding table '{name}': {bits} bits are not supported; use 8 or 4")
    table = checked_weights(table, f"embedding table '{name}'" if name else "an embedding table")
    codes, scales = np.empty(table.shape, np.int8), np.empty(len(table), np.float32)
    for part in row_chunks(table):
        codes[part], scales[part] = quantize_int8(table[part])
        if bits == 4:
            ratio, scales[part] = derive_scale(table[part], codes[part], bits, ScalePolicy.MSE)
            codes[part] = derive_codes(codes[part], np.stack([ratio, ratio]), bits)
    return QuantizedTable(codes, scales, bits)


def dequantize_table(table: QuantizedTable) -> np.ndarray:
    """float32 ``[rows, dim]``."""
    return table.codes.astype(np.float32) * table.scales[:, None]


def is_int4_table(codes: np.ndarray) -> bool:
    """Whether int8 codes ``[rows, dim]`` of a table are all on the int4 grid, and two to a byte fill whole bytes."""
    return codes.shape[1] % 2 == 0 and int(np.abs(codes.astype(np.int16)).max(initial=0)) <= 7
