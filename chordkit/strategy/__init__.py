"""Strategies and user vectors on the wire, bare and in signed envelopes, and bit budgets (DESIGN.md, contract 2); no torch."""

from chordkit.strategy.allocation import allocate
from chordkit.strategy.budget import TOLERANCE, Budget, average_bits, average_bits_each, payload_bytes, uniform
from chordkit.strategy.difference import LayerDifference, StrategyDifference, difference
from chordkit.strategy.envelope import Envelope, envelope_bytes, open_envelope, seal
from chordkit.strategy.user_vector import (
    UserVector,
    decode_user_vector,
    encode_user_vector,
    encode_user_vectors,
    quantize_user_vector,
    quantize_user_vectors,
    user_vector_bytes,
)
from chordkit.strategy.wire import Strategy, decode, encode, encode_each, encode_widths, to_wire, wire_bytes

__all__ = [
    "TOLERANCE",
    "Budget",
    "Envelope",
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
    "encode_each",
    "encode_user_vector",
    "encode_user_vectors",
    "encode_widths",
    "envelope_bytes",
    "open_envelope",
    "payload_bytes",
    "quantize_user_vector",
    "quantize_user_vectors",
    "seal",
    "to_wire",
    "uniform",
    "user_vector_bytes",
    "wire_bytes",
]
