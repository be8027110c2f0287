"""Budgets: how many bits a strategy may spend, counted over weights."""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable, packed_row_bytes
from chordkit.strategy.wire import Strategy

TOLERANCE = 0.005
"""A strategy meets its budget when its average bits lie within this share of it."""


@dataclass(frozen=True)
class Budget:
    """What a strategy may spend.

    Attributes:
        average_bits: sum(bits x in_features) / sum(in_features) over all channels, in [2, 8] ([0, 8] when channels may be off).
        shares: shares of the channels at (2, 4, 8) bits, or None to let the allocation choose them. They must sum to 1; where all
            layers have the same in_features they must give ``average_bits``.
    """

    average_bits: float
    shares: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.average_bits <= 8:
            raise StrategyError(f"budget: {self.average_bits} average bits are impossible; 2 to 8 can be had (0 to 8 with channels off)")
        if self.shares is not None and (min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6):
            raise StrategyError(f"budget: shares {self.shares} are not three shares that sum to 1")


def average_bits(widths: np.ndarray, table: ChannelTable) -> np.ndarray | float:
    """Bits per weight: sum(bits x in_features) / sum(in_features), channels that are off included.

    Args:
        widths: ``[..., channels]``.
        table: the channel table.

    Returns:
        ``[...]``, a float for one strategy.
    """
    weights = table.in_features.astype(np.float64)
    average = np.asarray(widths, np.float64) @ weights / weights.sum()
    return float(average) if average.ndim == 0 else average


def uniform(table: ChannelTable, width: int, fingerprint: bytes) -> Strategy:
    """Every channel at one width."""
    return Strategy(np.full(table.channels, width, np.uint8), fingerprint)


def packed_weight_bytes(widths: np.ndarray, table: ChannelTable) -> int:
    """Bytes of the packed codes of all channels, each padded to a whole byte."""
    return sum(packed_row_bytes(int(features), int(width)) for features, width in zip(table.in_features, widths, strict=True) if width)
