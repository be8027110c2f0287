"""How two strategies of one backbone differ."""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable
from chordkit.strategy.budget import average_bits
from chordkit.strategy.wire import Strategy

_WIDTHS = (0, 2, 4, 8)


@dataclass(frozen=True)
class LayerDifference:
    """One layer: channels whose width differs, of how many, how many of them are wider in b, and the average bits on both sides."""

    name: str
    channels: int
    changed: int
    raised: int
    average_bits: tuple[float, float]

    @property
    def lowered(self) -> int:
        """Channels that are narrower in b than in a."""
        return self.changed - self.raised


@dataclass(frozen=True)
class StrategyDifference:
    """Summary of two strategies a and b.

    Attributes:
        channels: of the backbone.
        changed: channels whose width differs.
        hamming: ``changed / channels``, 0 = equal.
        changed_weights: fraction of the weights that stand in changed channels.
        average_bits: of a and of b.
        moves: how many channels go from width w to width v, without those that stay.
        layers: the same by layer, in channel order.
    """

    channels: int
    changed: int
    hamming: float
    changed_weights: float
    average_bits: tuple[float, float]
    moves: dict[tuple[int, int], int]
    layers: tuple[LayerDifference, ...]


def difference(a: Strategy, b: Strategy, table: ChannelTable) -> StrategyDifference:
    """Compare two strategies of the backbone that ``table`` describes.

    Raises:
        StrategyError: the strategies belong to different backbones, or do not fit the table.
    """
    if a.fingerprint != b.fingerprint:
        raise StrategyError(f"strategies of different backbones ({a.fingerprint.hex()} and {b.fingerprint.hex()}) cannot be compared")
    bits = (average_bits(a.widths, table), average_bits(b.widths, table))
    differs, wider = a.widths != b.widths, b.widths > a.widths
    layers = []
    for layer in table.layers:
        part = slice(layer.offset, layer.offset + layer.out_channels)
        means = (float(a.widths[part].mean()), float(b.widths[part].mean()))
        layers.append(LayerDifference(layer.name, layer.out_channels, int(differs[part].sum()), int(wider[part].sum()), means))
    moves = {(old, new): int(((a.widths == old) & (b.widths == new)).sum()) for old in _WIDTHS for new in _WIDTHS if old != new}
    return StrategyDifference(
        channels=table.channels,
        changed=int(differs.sum()),
        hamming=float(differs.mean()),
        changed_weights=float(table.in_features[differs].sum(dtype=np.int64) / table.in_features.sum(dtype=np.int64)),
        average_bits=bits,
        moves={move: count for move, count in moves.items() if count},
        layers=tuple(layers),
    )
