"""Weights of several layers in shared tensors, one width each, from which every layer gathers its channels.

A layer of mixed widths by itself takes a DEQUANTIZE for each width and a CONCATENATION. Layers with as many inputs share them: the file
has fewer operators, and the runtime runs fewer. The runtime also demands one int64 zero-point for each scale; vectors of equal length are
stored once, so a width's channels are cut into tensors of a common length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chordkit.export.targets.litert.flatbuffer import Quantization, TensorSpec
from chordkit.export.targets.litert.graph import Builder, LinearNode, pack, stored_widths

# What one more tensor of weights costs in the file besides its weights and scales: operator, tensors, tables, padding.
_TENSOR_BYTES = 150
_ZERO_POINT_BYTES = 8


@dataclass(frozen=True, eq=False)
class Pool:
    """Weights of some layers.

    Attributes:
        weights: float32 ``[channels, in]``, of all of them, in an order of its own.
        rows: where the channels of each layer are in it, by the layer's ``id``.
    """

    weights: TensorSpec
    rows: dict[int, np.ndarray]


def pools_of(builder: Builder, layers: Sequence[LinearNode], columns: Mapping[int, np.ndarray]) -> dict[int, Pool]:
    """The pool of each layer that shares one, by the layer's ``id``: two or more of mixed widths, and of as many inputs.

    Args:
        builder: of the graph; it gets the operators.
        layers: of the graph.
        columns: the order of each layer's inputs, by its ``id``.
    """
    mixed: dict[int, list[LinearNode]] = {}
    for layer in layers:
        if layer.weights.widths is not None and np.unique(stored_widths(layer.weights.widths)).size > 1:
            mixed.setdefault(layer.weights.codes.shape[1], []).append(layer)
    found: dict[int, Pool] = {}
    for inputs, members in mixed.items():
        if len({layer.weights.codes.tobytes() for layer in members}) > 1:
            pool = _pool(builder, inputs, members, columns)
            found.update({id(layer): pool for layer in members})
    return found


def _pool(builder: Builder, inputs: int, layers: list[LinearNode], columns: Mapping[int, np.ndarray]) -> Pool:
    # A layer that is run several times, as a recurrence is, stands once.
    numbers: dict[bytes, int] = {}
    stored: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    own: list[int] = []
    for layer in layers:
        assert layer.weights.widths is not None
        arrays = layer.weights.codes[:, columns[id(layer)]], layer.weights.scales, stored_widths(layer.weights.widths)
        number = numbers.setdefault(b"".join(array.tobytes() for array in arrays), len(stored))
        if number == len(stored):
            stored.append(arrays)
        own.append(number)
    codes, scales, widths = (np.concatenate(arrays) for arrays in zip(*stored, strict=True))
    members = {int(width): np.flatnonzero(widths == width) for width in np.unique(widths)}
    length = common_length([each.size for each in members.values()])
    parts, order = [], []
    for width, channels in members.items():
        for number, start in enumerate(range(0, channels.size, length)):
            chosen = channels[start : start + length]
            name = f"weights/{inputs}/int{width}" + (f"/{number}" if number else "")
            packed = TensorSpec((chosen.size, inputs), f"INT{width}", pack(codes[chosen], width), Quantization(scales[chosen]), name)
            parts.append(builder.emit("DEQUANTIZE", [packed], packed.shape, ("DequantizeOptions", {})))
            order.append(chosen)
    weights = builder.emit("CONCATENATION", parts, codes.shape, ("ConcatenationOptions", {"axis": 0}))
    position = np.argsort(np.concatenate(order))
    ends = np.cumsum([len(part) for part, _, _ in stored])
    rows = np.split(position, ends[:-1])
    return Pool(weights, {id(layer): rows[number] for layer, number in zip(layers, own, strict=True)})


def common_length(sizes: Sequence[int]) -> int:
    """The length of tensors that ``sizes`` channels, of one width each, are cut into at the least cost."""

    def cost(length: int) -> int:
        whole = [size // length for size in sizes]
        rests = [size % length for size in sizes if size % length]
        lengths = {*rests, *([length] if any(whole) else [])}
        return sum(lengths) * _ZERO_POINT_BYTES + (sum(whole) + len(rests)) * _TENSOR_BYTES

    return min(range(1, max(sizes) + 1), key=cost)
