"""Strategies: a width for every channel, on the wire and within a budget (DESIGN.md, contract 2); numpy only."""

from chordkit.strategy.allocation import allocate, default_shares
from chordkit.strategy.budget import Budget, average_bits, packed_weight_bytes, uniform
from chordkit.strategy.difference import StrategyDifference, difference
from chordkit.strategy.wire import Strategy, decode, encode, wire_bytes

__all__ = [
    "Budget",
    "Strategy",
    "StrategyDifference",
    "allocate",
    "average_bits",
    "decode",
    "default_shares",
    "difference",
    "encode",
    "packed_weight_bytes",
    "uniform",
    "wire_bytes",
]
