"""Embedding tables, quantised per row, outside the strategy."""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import RANGES


@dataclass(frozen=True)
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


def quantize_table(table: np.ndarray, bits: int = 8) -> QuantizedTable:
    """Quantise ``table [rows, dim]`` per row: scale = absmax / 127 (int8) or absmax / 7 (int4).

    Raises:
        MasterError: wrong shape or bits, NaN or infinity.
    """
    table = np.asarray(table, np.float32)
    if table.ndim != 2 or bits not in (4, 8):
        raise MasterError(f"an embedding table needs shape [rows, dim] and 4 or 8 bits, not {table.shape} and {bits}")
    if not np.isfinite(table).all():
        raise MasterError("an embedding table holds NaN or infinity; a model that diverged cannot be quantised")
    low, high = RANGES[bits]
    scales = np.maximum(np.abs(table).max(1) / np.float32(high), np.finfo(np.float32).tiny).astype(np.float32)
    codes = np.clip(np.rint(table / scales[:, None]), low, high).astype(np.int8)
    return QuantizedTable(codes, scales, bits)


def dequantize_table(table: QuantizedTable) -> np.ndarray:
    """float32 ``[rows, dim]``."""
    return table.codes.astype(np.float32) * table.scales[:, None]
