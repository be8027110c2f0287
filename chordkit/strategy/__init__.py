"""Strategies and user vectors on the wire, and bit budgets (DESIGN.md, contract 2); numpy only."""

from chordkit.strategy.allocation import allocate
from chordkit.strategy.budget import TOLERANCE, Budget, average_bits, average_bits_each, payload_bytes, uniform
from chordkit.strategy.difference import LayerDifference, StrategyDifference, difference
from chordkit.strategy.user_vector import (
    UserVector,
    decode_user_vector,
    encode_user_vector,
    quantize_user_vector,
    quantize_user_vectors,
    user_vector_bytes,
)
from chordkit.strategy.wire import Strategy, decode, encode, to_wire, wire_bytes

__all__ = [
    "TOLERANCE",
    "Budget",
    "LayerDifference",
    "Strategy",
    "StrategyDifference",
    "UserVector",
    "allocate",
    "average_bits",
    "average_bits_each",
    "decode",
    "decode_user_vector",
    "difference",
    "encode",
    "encode_user_vector",
    "payload_bytes",
    "quantize_user_vector",
    "quantize_user_vectors",
    "to_wire",
    "uniform",
    "user_vector_bytes",
    "wire_bytes",
]
