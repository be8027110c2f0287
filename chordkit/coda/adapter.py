"""What a phone trains: a few float parameters after the frozen encoder. Zero is the start, and changes nothing.

With h the frozen hidden state, an adapter makes ``h + gain * h + shift + up @ (P @ h)`` of it and adds ``bias`` to the scores of a few
items. P is fixed, a pattern of signs that anybody can compute: the scores are then linear in all parameters, their cross-entropy is convex,
and nothing of P is stored. Every parameter stands in one vector of floats, in the order gain, shift, up, bias.
"""

import struct
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chordkit.errors import AdapterError
from chordkit.strategy.record import FINGERPRINT_BYTES, Record

MAGIC = b"CHRA"
VERSION = 1
RANK = 8
"""Rank of the low-rank part: ``up`` is float32 [dim, 8], 2 KB at dim = 64."""
MOST_ITEMS = 256
"""Items that an adapter may have a bias for: 2 KB."""
NO_STRATEGY = bytes(FINGERPRINT_BYTES)
_RECORD = Record("adapter", MAGIC, VERSION, struct.Struct("<4sBBH8s8sII"), AdapterError, "train it again", "train it again")
_LARGEST = 1e4


@dataclass(frozen=True, eq=False)
class Adapter:
    """Parameters of one user, for one backbone under one strategy.

    Attributes:
        values: float [2 * dim + dim * rank + items]: gain, shift, up (row by row) and bias, one after the other.
        dim: of the hidden state.
        items: int32 [k], the items that have a bias, ascending.
        fingerprint: the 8 bytes of ``MasterWeights.fingerprint``.
        strategy: the first 8 bytes of SHA-256 over the strategy's wire bytes; zeros = no strategy.
    """

    values: np.ndarray
    dim: int
    items: np.ndarray
    fingerprint: bytes = NO_STRATEGY
    strategy: bytes = NO_STRATEGY

    @classmethod
    def zero(cls, dim: int, items: np.ndarray, fingerprint: bytes = NO_STRATEGY, strategy: bytes = NO_STRATEGY) -> "Adapter":
        """The start: changes nothing. ``items`` int32, ascending, are those that may get a bias."""
        return cls(np.zeros(2 * dim + dim * RANK + len(items), np.float32), dim, items.astype(np.int32), fingerprint, strategy)

    def with_values(self, values: np.ndarray) -> "Adapter":
        """The same adapter with other parameters."""
        return replace(self, values=values)

    @property
    def gain(self) -> np.ndarray:
        """[dim], a view."""
        return self.values[: self.dim]

    @property
    def shift(self) -> np.ndarray:
        """[dim], a view."""
        return self.values[self.dim : 2 * self.dim]

    @property
    def up(self) -> np.ndarray:
        """[dim, rank], a view."""
        return self.values[2 * self.dim : (2 + RANK) * self.dim].reshape(self.dim, RANK)

    @property
    def bias(self) -> np.ndarray:
        """[k], a view."""
        return self.values[(2 + RANK) * self.dim :]

    @cached_property
    def down(self) -> np.ndarray:
        """P, [rank, dim], in the type of the values."""
        return projection(self.dim).astype(self.values.dtype)

    def states(self, hidden: np.ndarray) -> np.ndarray:
        """Adapted hidden states of ``hidden`` [n, dim]; an adapter of zeros gives them back bit for bit."""
        if not self.values[: (2 + RANK) * self.dim].any():
            return hidden
        return hidden + (hidden * self.gain + self.shift + (hidden @ self.down.T) @ self.up.T)

    def biases(self, items: np.ndarray) -> np.ndarray:
        """What is added to the scores of ``items`` (any shape): 0 for one that has no bias."""
        if not len(self.items):
            return np.zeros(items.shape, self.values.dtype)
        places = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        return np.where(self.items[places] == items, self.bias[places], self.values.dtype.type(0))


def projection(dim: int) -> np.ndarray:
    """P, float64 [rank, dim]: +-1 / sqrt(dim); the sign of entry (k, j) is the lowest bit of MurmurHash3's finalizer of k * dim + j + 1."""
    word = np.arange(1, RANK * dim + 1, dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = ((word ^ (word >> np.uint64(shift))) * np.uint64(factor)) & mask
    word ^= word >> np.uint64(16)
    signs = 1.0 - 2.0 * (word & np.uint64(1)).astype(np.float64)
    return (signs / np.sqrt(dim)).reshape(RANK, dim)


# --- on disk ----------------------------------------------------------------------------------------------------------


def encode_adapter(adapter: Adapter) -> bytes:
    """The bytes of an adapter, version 1 (docs/formats.md)."""
    payload = adapter.items.astype("<i4").tobytes() + adapter.values.astype("<f4").tobytes()
    return _RECORD.seal(RANK, 0, adapter.fingerprint, adapter.strategy, adapter.dim, len(adapter.items), payload=payload)


def decode_adapter(data: bytes, *, fingerprint: bytes, strategy: bytes, dim: int, items: int) -> Adapter:
    """Read an adapter that was trained for one backbone of ``items`` items, under one strategy.

    Raises:
        AdapterError: one of the checks failed: length of the header, magic, version, rank, reserved bytes, fingerprint, strategy, dim,
            number of items, length, CRC, items, values.
    """
    data = bytes(data)
    rank, reserved, backbone, under, width, count = _RECORD.fields(data)
    if rank != RANK:
        raise _RECORD.refusal("rank", f"{rank} is not {RANK}; train it again")
    _RECORD.check_reserved(reserved)
    _RECORD.check_backbone(backbone, fingerprint)
    if under != strategy:
        raise _RECORD.refusal("strategy", "it was trained under another strategy; train it again")
    if width != dim:
        raise _RECORD.refusal("dim", f"{width} numbers instead of the backbone's {dim}; train it again")
    if count > min(MOST_ITEMS, items):
        raise _RECORD.refusal("items", f"{count} of them have a bias, more than {min(MOST_ITEMS, items)}; train it again")
    payload = _RECORD.payload(data, 4 * (count + (2 + RANK) * width + count))
    numbers = np.frombuffer(payload, "<i4", count).astype(np.int32)
    # Compared, not subtracted: a difference of two of them may not fit.
    if ((numbers < 1) | (numbers > items)).any() or (numbers[1:] <= numbers[:-1]).any():
        raise _RECORD.refusal("items", f"they do not ascend within 1..{items}; train it again")
    values = np.frombuffer(payload, "<f4", offset=4 * count).astype(np.float32)
    if not (np.abs(values) <= _LARGEST).all():
        raise _RECORD.refusal("values", f"one is not a number up to {_LARGEST:g}; train it again")
    return Adapter(values, width, numbers, backbone, under)
