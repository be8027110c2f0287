"""The number grid: symmetric, per output channel, zero-point 0 (DESIGN.md, contract 1)."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from chordkit.errors import MasterError, StrategyError

WIDTHS = (2, 4, 8)
"""The widths a channel can run at, in the order of the rows of ``QuantizedRows.scales``."""

RANGES = {2: (-2, 1), 4: (-7, 7), 8: (-127, 127)}
"""Lowest and highest code of a width. The full-range codes -8 and -128 are never used: one LiteRT path gets them wrong."""


class ScalePolicy(StrEnum):
    """How a channel's int4 and int2 scales are chosen; a property of the master, not of a strategy."""

    MSE = "mse"
    """Least squared error of the channel."""
    ABSMAX = "absmax"
    """Largest magnitude on the highest code; int2 is ternary. Coarse on purpose, for frozen random backbones."""


@dataclass(frozen=True, eq=False)
class QuantizedRows:
    """One strategy layer of the master.

    Attributes:
        codes: int8 ``[out, in]`` in [-127, 127].
        scales: float32 ``[3, out]``, positive, rows for the widths 2, 4, 8.
        ratios: int16 ``[2, out]``, Q15 fixed point in [1, 32767], rows for the widths 2, 4.
    """

    codes: np.ndarray
    scales: np.ndarray
    ratios: np.ndarray

    def __post_init__(self) -> None:
        out = self.codes.shape[0]
        shapes = (self.codes.ndim == 2, self.scales.shape == (3, out), self.ratios.shape == (2, out))
        types = (self.codes.dtype == np.int8, self.scales.dtype == np.float32, self.ratios.dtype == np.int16)
        if not all(shapes) or not all(types):
            raise MasterError("a quantised layer needs int8 codes [out, in], float32 scales [3, out] and int16 ratios [2, out]")


def derive_codes(codes: np.ndarray, ratios: np.ndarray, width: int) -> np.ndarray:
    """Derive the codes of a width from the int8 codes, with integers only.

    ``clip((code * ratio + 2**14) >> 15, low, high)``: one ``pmulhrsw`` on x86 and one ``sqrdmulh`` on Arm, so that every
    implementation gets the same codes bit for bit.

    Args:
        codes: int8 ``[out, in]``.
        ratios: int16 ``[2, out]`` as in :class:`QuantizedRows`.
        width: 2, 4 or 8; 8 gives the codes themselves.

    Returns:
        int8 ``[out, in]``.
    """
    if width == 8:
        return codes
    if width not in (2, 4):
        raise StrategyError(f"width {width} is not one of {WIDTHS}")
    low, high = RANGES[width]
    product = codes.astype(np.int32) * ratios[WIDTHS.index(width)].astype(np.int32)[:, None]
    return np.clip((product + (1 << 14)) >> 15, low, high).astype(np.int8)


def narrowest(widths: np.ndarray, otherwise: int) -> int:
    """The smallest width of a channel that is on, or ``otherwise`` where all are off."""
    return int(min(widths[widths != 0], default=otherwise))


def select_codes(rows: QuantizedRows, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of a layer whose channels run at ``widths``.

    Args:
        rows: the layer.
        widths: ``[out]`` in {0, 2, 4, 8}; 0 means the channel is off.

    Returns:
        int8 codes ``[out, in]`` and float32 scales ``[out]``; a channel that is off has zero codes and scale 1.

    Raises:
        StrategyError: wrong length or an illegal width.
    """
    widths = np.asarray(widths)
    if widths.shape != (len(rows.codes),):
        raise StrategyError(f"{widths.size} widths do not fit a layer of {len(rows.codes)} channels")
    if not np.isin(widths, (0, *WIDTHS)).all():
        raise StrategyError("a width is not one of 0, 2, 4, 8")
    codes = np.zeros_like(rows.codes)
    scales = np.ones(len(widths), np.float32)
    for index, width in enumerate(WIDTHS):
        chosen = widths == width
        codes[chosen] = derive_codes(rows.codes[chosen], rows.ratios[:, chosen], width)
        scales[chosen] = rows.scales[index, chosen]
    return codes, scales


def dequantize_rows(rows: QuantizedRows, widths: np.ndarray) -> np.ndarray:
    """The weights that a layer has at ``widths``: float32 ``[out, in]``; see :func:`select_codes`."""
    codes, scales = select_codes(rows, widths)
    return codes.astype(np.float32) * scales[:, None]
