"""Bit budgets, and how bits and bytes are counted: over weights, channels that are off included (DESIGN.md, contract 1)."""

import math
from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy.wire import Strategy

TOLERANCE = 0.005
"""Relative error within which an allocation meets its budget."""


@dataclass(frozen=True)
class Budget:
    """What a strategy may cost.

    Attributes:
        average_bits: bits per weight, in (0, 8]; below 2 only when channels may be off. This figure always rules.
        shares: of the *channels* at 2, 4 and 8 bits; what is missing to 1 is off. None = the allocation mixes the two widths
            next to the average, which loses the least when importances differ by less than about 27 times: 2 -> 4 bits wins
            11.6 dB for 2 bits a weight, 4 -> 8 bits removes a 27th of that noise per bit spent.
        widths: the only widths that may be used, ascending, 0 for channels that are off, instead of shares: how much of the *weights* each
            gets is the evenest mixture with this average (:func:`chordkit.strategy.mixture.evenest_mixture`).

    Raises:
        StrategyError: a number outside its range, or an average that the widths cannot have.
    """

    average_bits: float
    shares: tuple[float, float, float] | None = None
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.average_bits) and 0.0 < self.average_bits <= WIDTHS[-1]):
            raise StrategyError(f"budget: average_bits = {self.average_bits} is impossible; give 2 to 8 (above 0 with off channels)")
        if self.widths is not None:
            self._check_widths(tuple(self.widths))
        if self.shares is None:
            return
        shares = tuple(float(share) for share in self.shares)
        if len(shares) != len(WIDTHS) or not all(0.0 <= share <= 1.0 for share in shares) or sum(shares) > 1.0 + 1e-6:
            raise StrategyError(f"budget: shares = {self.shares} are not three fractions (at 2, 4, 8 bits) that sum to at most 1")

    @property
    def may_switch_off(self) -> bool:
        """Whether channels may be off under this budget."""
        if self.widths is not None:
            return 0 in self.widths
        return self.average_bits < WIDTHS[0] or (self.shares is not None and sum(self.shares) < 1.0 - 1e-6)

    def _check_widths(self, widths: tuple[int, ...]) -> None:
        if self.shares is not None:
            raise StrategyError("budget: give either shares or widths; with widths the shares follow from the average")
        if not widths or sorted(set(widths)) != list(widths) or not set(widths) <= {0, *WIDTHS}:
            raise StrategyError(f"budget: widths = {widths} are not an ascending choice of 0, 2, 4, 8")
        if not widths[0] <= self.average_bits <= widths[-1]:
            raise StrategyError(
                f"budget: average_bits = {self.average_bits} is impossible with widths {', '.join(map(str, widths))}; "
                f"give {widths[0]} to {widths[-1]}"
            )
        object.__setattr__(self, "widths", widths)


def _bits_each(widths: np.ndarray, table: ChannelTable) -> np.ndarray:
    if widths.ndim < 1 or widths.shape[-1] != table.channels or table.channels == 0:
        raise StrategyError(f"widths of shape {widths.shape} do not fit a backbone of {table.channels} channels")
    # float64 holds every integer up to 2**53 exactly, and its matmul is far faster than the one of integers.
    return widths.astype(np.float64) @ table.in_features.astype(np.float64)


def average_bits(widths: np.ndarray, table: ChannelTable) -> float:
    """Bits per weight of ``widths [channels]``: sum(width x in_features) / sum(in_features).

    Raises:
        StrategyError: the widths do not fit the table.
    """
    widths = np.asarray(widths)
    if widths.ndim != 1:
        raise StrategyError(f"widths of shape {widths.shape} are not [channels]")
    return float(average_bits_each(widths, table))


def average_bits_each(widths: np.ndarray, table: ChannelTable) -> np.ndarray:
    """:func:`average_bits` of many users: ``widths [..., channels]`` -> float64 ``[...]``."""
    bits = _bits_each(np.asarray(widths), table)
    return np.asarray(bits / float(table.in_features.sum(dtype=np.int64)))


def payload_bytes(widths: np.ndarray, table: ChannelTable) -> int:
    """Bytes of the strategy layers' packed codes at ``widths [channels]``; each channel is padded to a whole byte."""
    widths = np.asarray(widths)
    if widths.shape != (table.channels,):
        raise StrategyError(f"widths of shape {widths.shape} do not fit a backbone of {table.channels} channels")
    return int(((widths.astype(np.int64) * table.in_features + 7) // 8).sum())


def uniform(table: ChannelTable, width: int, fingerprint: bytes) -> Strategy:
    """The strategy that runs every channel at ``width`` (2, 4 or 8).

    Raises:
        StrategyError: another width, or a table without channels.
    """
    if width not in WIDTHS:
        raise StrategyError(f"width {width} is not one of {WIDTHS}")
    return Strategy(np.full(table.channels, width, np.uint8), fingerprint)
