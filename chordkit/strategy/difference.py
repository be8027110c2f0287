"""How two strategies differ."""

from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable
from chordkit.strategy.budget import average_bits
from chordkit.strategy.wire import Strategy


@dataclass(frozen=True)
class StrategyDifference:
    """What ``chordkit strategy diff`` prints.

    Attributes:
        channels: in all.
        changed: channels whose width is not the same.
        average_bits: of the first and of the second strategy.
        moves: (from width, to width) -> channels.
        by_layer: layer name -> channels changed.
    """

    channels: int
    changed: int
    average_bits: tuple[float, float]
    moves: dict[tuple[int, int], int]
    by_layer: dict[str, int]


def difference(first: Strategy, second: Strategy, table: ChannelTable) -> StrategyDifference:
    """Compare two strategies of one backbone.

    Raises:
        StrategyError: they belong to different backbones or not to this channel table.
    """
    if first.fingerprint != second.fingerprint:
        raise StrategyError(f"strategies of two backbones ({first.fingerprint.hex()}, {second.fingerprint.hex()}) cannot be compared")
    if not len(first.widths) == len(second.widths) == table.channels:
        raise StrategyError(f"strategies of {len(first.widths)} and {len(second.widths)} channels do not fit a table of {table.channels}")
    changed = first.widths != second.widths
    pairs, counts = np.unique(np.stack([first.widths[changed], second.widths[changed]], 1), axis=0, return_counts=True)
    return StrategyDifference(
        channels=table.channels,
        changed=int(changed.sum()),
        average_bits=(float(average_bits(first.widths, table)), float(average_bits(second.widths, table))),
        moves={(int(a), int(b)): int(count) for (a, b), count in zip(pairs, counts, strict=True)},
        by_layer={layer.name: int(changed[table.layer_slice(layer.name)].sum()) for layer in table.layers},
    )
