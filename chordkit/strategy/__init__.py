"""Strategies: 2 bits a channel on the wire, and their bit budgets (DESIGN.md, contract 2); numpy only."""

from chordkit.strategy.allocation import allocate
from chordkit.strategy.budget import TOLERANCE, Budget, average_bits, average_bits_each, payload_bytes, uniform
from chordkit.strategy.difference import LayerDifference, StrategyDifference, difference
from chordkit.strategy.wire import Strategy, decode, encode, to_wire, wire_bytes

__all__ = [
    "TOLERANCE",
    "Budget",
    "LayerDifference",
    "Strategy",
    "StrategyDifference",
    "allocate",
    "average_bits",
    "average_bits_each",
    "decode",
    "difference",
    "encode",
    "payload_bytes",
    "to_wire",
    "uniform",
    "wire_bytes",
]
