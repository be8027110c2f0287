"""The summary behind ``strategy diff``."""

import numpy as np
import pytest

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable
from chordkit.strategy import Strategy, difference

TABLE = ChannelTable.from_sizes([("a", 2, 10), ("b", 2, 30)])


def test_a_difference_counts_channels_weights_and_moves() -> None:
    a = Strategy(np.array([2, 4, 8, 2], np.uint8), b"backbone")
    b = Strategy(np.array([2, 8, 8, 4], np.uint8), b"backbone")
    result = difference(a, b, TABLE)
    assert (result.changed, result.channels, result.hamming) == (2, 4, 0.5)
    assert result.changed_weights == 40 / 80
    assert result.moves == {(4, 8): 1, (2, 4): 1}
    assert result.average_bits == ((20 + 40 + 240 + 60) / 80, (20 + 80 + 240 + 120) / 80)
    assert [(layer.name, layer.changed, layer.average_bits) for layer in result.layers] == [("a", 1, (3.0, 5.0)), ("b", 1, (5.0, 6.0))]
    assert difference(a, a, TABLE).moves == {}


def test_a_layer_tells_wider_from_narrower_channels() -> None:
    a = Strategy(np.array([2, 4, 8, 2], np.uint8), b"backbone")
    b = Strategy(np.array([0, 8, 4, 2], np.uint8), b"backbone")
    assert [(layer.name, layer.raised, layer.lowered) for layer in difference(a, b, TABLE).layers] == [("a", 1, 1), ("b", 0, 1)]


def test_strategies_of_different_backbones_are_not_compared() -> None:
    widths = np.array([2, 4, 8, 2], np.uint8)
    with pytest.raises(StrategyError, match="different backbones"):
        difference(Strategy(widths, b"backbone"), Strategy(widths, b"other---"), TABLE)
    with pytest.raises(StrategyError, match="fit"):
        difference(Strategy(widths[:3], b"backbone"), Strategy(widths[:3], b"backbone"), TABLE)
