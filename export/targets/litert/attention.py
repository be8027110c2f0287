"""Algebra of attention: the same numbers, up to rounding, from fewer or smaller operators.

Three rewrites, applied where their conditions hold and nowhere else:

* The factor ``1 / sqrt(head size)`` on the scores moves into the query layer.
* Values of a *single* query (the last block's last position): ``P (X W^T + b) = (P X) W^T + b``, as the rows of the
  softmax ``P`` sum to one. The value layer then runs on one row for each head instead of one for each slot.
* Keys of a single query: ``q (X W^T + b)^T = (q W) X^T + q b^T``; the last term is one number for all slots, which a
  softmax does not see. The key layer then runs on one row for each head. With activations of 8 bits this does not
  apply: ``q W`` sums over output channels, each of which has its own scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from chordkit.export.targets.litert.flatbuffer import OperatorSpec, TensorSpec
from chordkit.export.targets.litert.graph import Builder, LinearNode, Node, consumers


@dataclass
class _Graph:
    nodes: list[Node]

    def __post_init__(self) -> None:
        self.readers = consumers(self.nodes)
        self.producers = {id(tensor): node for node in self.nodes for tensor in node.outputs}

    def only_reader(self, tensor: TensorSpec) -> Node | None:
        readers = self.readers.get(id(tensor), [])
        return readers[0] if len(readers) == 1 else None

    def layer_behind(self, tensor: TensorSpec | None) -> tuple[LinearNode | None, list[OperatorSpec]]:
        """The linear layer that ``tensor`` is a layout of and the operators between; None if others read it too."""
        path: list[OperatorSpec] = []
        while tensor is not None and self.only_reader(tensor) is not None:
            node = self.producers.get(id(tensor))
            if isinstance(node, LinearNode):
                return (None if node.relu else node), path
            if node is None or node.code not in ("RESHAPE", "TRANSPOSE"):
                return None, path
            path.append(node)
            tensor = node.inputs[0]
        return None, path


def fold_score_scale(nodes: list[Node]) -> list[Node]:
    """Move a constant factor on a product of queries and keys into the query layer."""
    graph = _Graph(nodes)
    for node in nodes:
        if not _is(node, "MUL"):
            continue
        product, factor = node.inputs
        matmul = graph.producers.get(id(product))
        if factor is None or factor.data is None or _size(factor) != 1 or not _is(matmul, "BATCH_MATMUL"):
            continue
        query, _ = graph.layer_behind(matmul.inputs[0])
        if query is None or graph.only_reader(matmul.outputs[0]) is not node:
            continue
        scale = np.frombuffer(factor.data, np.float32)[0]
        if query.weights.widths is None:
            query.weights.codes = query.weights.codes * scale
        else:
            query.weights.scales = query.weights.scales * scale
        query.bias = None if query.bias is None else query.bias * scale
        matmul.outputs[0] = node.outputs[0]
        nodes = [other for other in nodes if other is not node]
    return nodes


def absorb_values(nodes: list[Node]) -> list[Node]:
    """Apply the value layer after the attention where there is one query."""
    for matmul in _matmuls(nodes):
        graph = _Graph(nodes)
        probabilities, values = matmul.inputs
        layer, path = graph.layer_behind(values)
        reader = graph.only_reader(matmul.outputs[0])
        if layer is None or probabilities is None or _transposed(matmul) or not isinstance(reader, LinearNode):
            continue
        heads, samples = _heads(layer, path), _samples(layer)
        queries = heads * samples
        if not heads or _size(probabilities) != queries * layer.input.shape[-2]:
            continue
        if not _is(graph.producers.get(id(probabilities)), "SOFTMAX"):
            continue
        builder = Builder()
        outputs, inputs = layer.weights.codes.shape
        lead = layer.input.shape[:-2]
        rows = builder.reshape(probabilities, (*lead, heads, layer.input.shape[-2]))
        mixed = builder.emit("BATCH_MATMUL", [rows, layer.input], (*lead, heads, inputs), ("BatchMatMulOptions", {}))
        result = builder.linear(layer.name, mixed, layer.weights, layer.bias)
        if heads > 1:
            own = builder.binary("MUL", "MulOptions", result, builder.constant(_own_channels(heads, outputs)))
            result = builder.reduce("SUM", own, len(own.shape) - 2, keep=not lead)
        reader.input = result if samples == 1 else builder.reshape(result, reader.input.shape)
        nodes = _replace(nodes, matmul, [layer, *path], builder.nodes)
    return nodes


def absorb_keys(nodes: list[Node], *, float_weights_only: bool = False) -> list[Node]:
    """Apply the key layer to the query where there is one query; optionally only where its weights are float32."""
    for matmul in _matmuls(nodes):
        graph = _Graph(nodes)
        layer, path = graph.layer_behind(matmul.inputs[1])
        query, between = graph.layer_behind(matmul.inputs[0])
        if layer is None or query is None or (float_weights_only and layer.weights.widths is not None):
            continue
        if not _transposed(matmul) or not _ends_in_softmax(graph, matmul.outputs[0]):
            continue
        heads, samples = _heads(layer, path), _samples(layer)
        outputs, inputs = layer.weights.codes.shape
        if not heads or _size(query.output) != samples * outputs or any(_is(node, "TRANSPOSE") for node in between):
            continue
        builder = Builder()
        lead, slots = layer.input.shape[:-2], layer.input.shape[-2]
        rows = query.output
        if heads > 1:
            rows = rows if samples == 1 else builder.reshape(rows, (*lead, 1, outputs))
            rows = builder.binary("MUL", "MulOptions", rows, builder.constant(_own_channels(heads, outputs)))
        rows = builder.reshape(rows, (*lead, heads, outputs))
        projected = LinearNode(layer.name, rows, TensorSpec((*lead, heads, inputs)), layer.weights, None, transposed=True)
        builder.add(projected)
        scores = builder.emit(
            "BATCH_MATMUL", [projected.output, layer.input], (*lead, heads, slots), ("BatchMatMulOptions", {"adjY": True})
        )
        reshaped = builder.reshape(scores, matmul.outputs[0].shape)
        last = builder.producers[id(reshaped)]
        assert isinstance(last, OperatorSpec)
        last.outputs[0] = matmul.outputs[0]
        nodes = _replace(nodes, matmul, [layer, *path, *between], builder.nodes)
    return nodes


def _is(node: Node | None, code: str) -> TypeGuard[OperatorSpec]:
    return isinstance(node, OperatorSpec) and node.code == code


def _matmuls(nodes: list[Node]) -> list[OperatorSpec]:
    return [node for node in nodes if _is(node, "BATCH_MATMUL")]


def _transposed(matmul: OperatorSpec) -> bool:
    return bool(matmul.options and matmul.options[1].get("adjY"))


def _size(tensor: TensorSpec) -> int:
    return int(np.prod(tensor.shape))


def _samples(layer: LinearNode) -> int:
    """How many histories a layer over slots has at once."""
    return math.prod(layer.input.shape[:-2])


def _heads(layer: LinearNode, path: list[OperatorSpec]) -> int:
    """Heads that the layout on ``path`` splits the layer's output into; 0 for any other layout."""
    outputs, slots, samples = layer.weights.codes.shape[0], layer.output.shape[-2], _samples(layer)
    if _size(layer.output) != samples * outputs * slots or layer.input.shape[-2] != slots:
        return 0
    if not path:
        return 1
    shapes = [node.outputs[0].shape for node in path[::-1]]
    if samples > 1 and shapes == [(samples, 1, slots, outputs)]:
        return 1
    lead = () if samples == 1 else (samples,)
    if [node.code for node in path[::-1]] != ["RESHAPE", "TRANSPOSE"] or len(shapes[0]) != len(lead) + 3:
        return 0
    heads, size = shapes[0][-2:]
    return heads if shapes == [(*lead, slots, heads, size), (*lead, heads, slots, size)] and heads * size == outputs else 0


def _own_channels(heads: int, channels: int) -> np.ndarray:
    """``[heads, channels]``: 1 where the channel belongs to the head."""
    return np.repeat(np.eye(heads, dtype=np.float32), channels // heads, axis=1)


def _ends_in_softmax(graph: _Graph, tensor: TensorSpec) -> bool:
    reader = graph.only_reader(tensor)
    while _is(reader, "ADD"):
        reader = graph.only_reader(reader.outputs[0])
    return _is(reader, "SOFTMAX")


def _replace(nodes: list[Node], matmul: OperatorSpec, gone: list[Node], new: list[Node]) -> list[Node]:
    result: list[Node] = []
    for node in nodes:
        if node is matmul:
            result += new
        elif not any(node is other for other in gone):
            result.append(node)
    return result
