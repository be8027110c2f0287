"""From one linear layer with a width for each channel to operators whose weights each have one width.

Channels of equal width are stored together (int2, int4, int8), which permutes the output. The permutation is undone
with one GATHER, or absorbed by the reader where that is legal:

* ``ffn1 -> activation -> ffn2`` and ``value -> attention -> output`` (one head): the reader's input columns follow;
* ``query`` and ``key`` of one head: their product only needs both in the *same* order, that of the key;
* a layer whose channels have one width takes any order for free, its rows are written in that order.

In the layout ``speed`` every channel is stored as int8, so there is one group a layer and nothing to permute.

So of a single-head block only ``output``, ``ffn2`` (both feed the residual stream) and ``query`` need a GATHER.
Channels that are off join the int2 group with zero codes; their bias stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from chordkit.export.artifact import Activations, Layout
from chordkit.export.targets.litert.flatbuffer import OperatorSpec, Quantization, TensorSpec
from chordkit.export.targets.litert.graph import Builder, LinearNode, Node, consumers, pack, stored_widths
from chordkit.export.targets.litert.pooling import Pool, pools_of

_ELEMENTWISE = ("RELU", "GELU")
# What XNNPACK's dynamically quantised matmul reads at once; other sizes are refused or, in places, silently wrong.
_BLOCK = 4


@dataclass
class _Order:
    """Channel orders of one layer: position ``j`` of the output holds channel ``output[j]``; columns likewise."""

    output: np.ndarray
    columns: np.ndarray


@dataclass
class _Groups:
    """Splits the layers of one graph."""

    builder: Builder
    activations: Activations
    layout: Layout
    orders: dict[int, _Order] = field(default_factory=dict)
    pools: dict[int, Pool] = field(default_factory=dict)


def split_linears(nodes: Sequence[Node], activations: Activations, layout: Layout = "size", *, fold: bool = True) -> list[Node]:
    """Replace every linear layer by operators with weights of one width each.

    Args:
        nodes: a graph in execution order.
        activations: what quantised layers compute with.
        layout: ``size`` stores each channel at its width; ``speed`` all as int8, in tensors that only one layer has.
        fold: absorb permutations into readers; False undoes each one with a GATHER (for tests).
    """
    groups = _Groups(Builder(), activations, layout)
    layers = [node for node in nodes if isinstance(node, LinearNode)]
    for layer in layers:
        layer.output.name = layer.output.name or layer.name
        outputs, inputs = layer.weights.codes.shape
        groups.orders[id(layer)] = _Order(np.arange(outputs), np.arange(inputs))
    if fold and layout == "size":
        _fold(nodes, groups.orders)
    if activations == "fp32" and layout == "size":
        groups.pools = pools_of(groups.builder, layers, {key: order.columns for key, order in groups.orders.items()})
    for node in nodes:
        if isinstance(node, LinearNode):
            _split(groups, node)
        else:
            groups.builder.add(node)
    return groups.builder.nodes


# --- legality of permutations ----------------------------------------------------------------------------------------


def _fold(nodes: Sequence[Node], orders: dict[int, _Order]) -> None:
    readers = consumers(nodes)
    producers = {id(tensor): node for node in nodes for tensor in node.outputs}

    def only_reader(tensor: TensorSpec) -> Node | None:
        found = readers.get(id(tensor), [])
        return found[0] if len(found) == 1 else None

    for node in nodes:
        if isinstance(node, LinearNode):
            reader = only_reader(node.output)
            while isinstance(reader, OperatorSpec) and reader.code in _ELEMENTWISE:
                reader = only_reader(reader.outputs[0])
            if isinstance(reader, LinearNode) and reader.transposed and reader.input is node.output:
                # The sum runs over the reader's output channels: both take the reader's order.
                orders[id(node)].output = orders[id(reader)].output = _grouped(reader)
            elif isinstance(reader, LinearNode) and not reader.transposed and not node.transposed and _same_features(node, reader):
                _absorb(orders, node, reader)
        elif node.code == "BATCH_MATMUL":
            left, right = (producers.get(id(tensor)) for tensor in node.inputs)
            alone = isinstance(right, LinearNode) and only_reader(right.output) is node
            transposed = bool(node.options and node.options[1].get("adjY"))
            if alone and transposed and isinstance(left, LinearNode) and only_reader(left.output) is node:
                assert isinstance(right, LinearNode)
                orders[id(left)].output = orders[id(right)].output = _grouped(right)
            reader = only_reader(node.outputs[0])
            if alone and not transposed and isinstance(reader, LinearNode):
                assert isinstance(right, LinearNode)
                if _same_features(right, reader):
                    _absorb(orders, right, reader)


def _same_features(writer: LinearNode, reader: LinearNode) -> bool:
    """Whether each input row of ``reader`` is one output row of ``writer``: one head, no flattening in between."""
    return writer.output.shape[-1] == reader.input.shape[-1] == reader.weights.codes.shape[1]


def _absorb(orders: dict[int, _Order], writer: LinearNode, reader: LinearNode) -> None:
    orders[id(writer)].output = orders[id(reader)].columns = _grouped(writer)


def _grouped(layer: LinearNode) -> np.ndarray:
    """Channels in the order of their group."""
    if layer.weights.widths is None:
        return np.arange(layer.weights.codes.shape[0])
    return np.argsort(stored_widths(layer.weights.widths), kind="stable")


# --- splitting -------------------------------------------------------------------------------------------------------


def _split(groups: _Groups, layer: LinearNode) -> None:
    order = groups.orders[id(layer)]
    pool = groups.pools.get(id(layer))
    if pool is not None:
        indices = groups.builder.indices(pool.rows[id(layer)][order.output])
        shape = tuple(layer.weights.codes.shape)
        weights = groups.builder.emit("GATHER", [pool.weights, indices], shape, ("GatherOptions", {}))
        _multiply(groups, layer, weights, None if layer.bias is None else layer.bias[order.output])
        return
    codes = layer.weights.codes[:, order.columns]
    widths = layer.weights.widths
    if widths is None:
        _split_unquantised(groups, layer, codes, order)
        return
    stored = stored_widths(widths) if groups.layout == "size" else np.full_like(widths, 8)
    present = [int(width) for width in np.unique(stored)]
    # One width: the rows are simply written in the order that the readers expect.
    grouped = order.output if len(present) == 1 else np.argsort(stored, kind="stable")
    members = [grouped[stored[grouped] == width] for width in present]
    position = np.empty_like(grouped)
    position[grouped] = np.arange(grouped.size)
    indices = position[order.output]
    rows = [(width, channels, codes[channels]) for width, channels in zip(present, members, strict=True)]
    if groups.activations == "fp32":
        _split_float(groups, layer, rows, indices, order)
    else:
        _split_int8(groups, layer, rows, indices)


def _split_unquantised(groups: _Groups, layer: LinearNode, codes: np.ndarray, order: _Order) -> None:
    weights = groups.builder.constant(codes[order.output])
    if layer.transposed:
        groups.builder.add(OperatorSpec("BATCH_MATMUL", [layer.input, weights], [layer.output], ("BatchMatMulOptions", {})))
        return
    bias = None if layer.bias is None else groups.builder.constant(layer.bias[order.output])
    _fully_connected(groups, layer, (layer.input, weights, bias), layer.output, dynamic=False)


Rows = list[tuple[int, np.ndarray, np.ndarray]]


def _weights(groups: _Groups, layer: LinearNode, width: int, channels: np.ndarray, codes: np.ndarray) -> TensorSpec:
    name, quantization = f"{layer.name}/int{width}", Quantization(layer.weights.scales[channels])
    owner = layer.name if groups.layout == "speed" else ""
    return TensorSpec(tuple(codes.shape), f"INT{width}", pack(codes, width), quantization, name, owner)


def _fully_connected(
    groups: _Groups,
    layer: LinearNode,
    operands: tuple[TensorSpec, TensorSpec, TensorSpec | None],
    output: TensorSpec,
    *,
    dynamic: bool,
) -> None:
    source, weights, _ = operands
    keeps = source.shape == (*output.shape[:-1], weights.shape[1])
    options = {"fusedActivationFunction": int(layer.relu), "keepNumDims": keeps, "asymmetricQuantizeInputs": dynamic}
    groups.builder.add(OperatorSpec("FULLY_CONNECTED", list(operands), [output], ("FullyConnectedOptions", options)))


def _split_float(groups: _Groups, layer: LinearNode, rows: Rows, indices: np.ndarray, order: _Order) -> None:
    builder = groups.builder
    outputs, inputs = layer.weights.codes.shape
    parts = []
    for width, channels, codes in rows:
        packed = _weights(groups, layer, width, channels, codes)
        parts.append(builder.emit("DEQUANTIZE", [packed], packed.shape, ("DequantizeOptions", {})))
    bias = None if layer.bias is None else builder.constant(layer.bias[order.output])
    if [width for width, _, _ in rows] == [8] and not layer.transposed:
        # XNNPACK unpacks int8 constants itself, so this is a float FULLY_CONNECTED to it; it does not unpack narrower ones.
        _fully_connected(groups, layer, (layer.input, parts[0], bias), layer.output, dynamic=False)
        return
    weights = parts[0]
    if len(parts) > 1:
        weights = builder.emit("CONCATENATION", parts, (outputs, inputs), ("ConcatenationOptions", {"axis": 0}))
    if not np.array_equal(indices, np.arange(outputs)):
        weights = builder.emit("GATHER", [weights, builder.indices(indices)], (outputs, inputs), ("GatherOptions", {}))
    _multiply(groups, layer, weights, None if layer.bias is None else layer.bias[order.output])


def _multiply(groups: _Groups, layer: LinearNode, weights: TensorSpec, biases: np.ndarray | None) -> None:
    """The layer with computed weights float32 ``[out, in]``, which a FULLY_CONNECTED would not give to XNNPACK."""
    builder = groups.builder
    outputs, inputs = weights.shape
    bias = None if biases is None else builder.constant(biases)
    summed = outputs if layer.transposed else inputs
    source = builder.reshape(layer.input, (*_rows(layer), summed))
    options = ("BatchMatMulOptions", {"adjY": not layer.transposed})
    activation = {"fusedActivationFunction": int(layer.relu)}
    if bias is None and not layer.relu:
        builder.add(OperatorSpec("BATCH_MATMUL", [source, weights], [layer.output], options))
        return
    product = builder.emit("BATCH_MATMUL", [source, weights], layer.output.shape, options)
    bias = bias or builder.scalar(0.0)
    builder.add(OperatorSpec("ADD", [product, bias], [layer.output], ("AddOptions", activation)))


def _rows(layer: LinearNode) -> tuple[int, ...]:
    return layer.output.shape[:-1]


def _split_int8(groups: _Groups, layer: LinearNode, rows: Rows, indices: np.ndarray) -> None:
    builder = groups.builder
    outputs, inputs = layer.weights.codes.shape
    source, padding = layer.input, -inputs % _BLOCK
    if padding:
        source = builder.reshape(source, (*_rows(layer), inputs))
        amounts = np.zeros((len(source.shape), 2), np.int32)
        amounts[-1, 1] = padding
        source = builder.emit("PAD", [source, builder.constant(amounts)], (*source.shape[:-1], inputs + padding), ("PadOptions", {}))
    parts = []
    ordered = np.array_equal(indices, np.arange(outputs))
    for width, channels, codes in rows:
        packed = _weights(groups, layer, width, channels, np.pad(codes, ((0, 0), (0, padding))))
        bias = None if layer.bias is None else builder.constant(layer.bias[channels])
        last = len(rows) == 1 and ordered
        part = layer.output if last else TensorSpec((*_rows(layer), len(channels)))
        _fully_connected(groups, layer, (source, packed, bias), part, dynamic=True)
        parts.append(part)
    if len(rows) > 1:
        axis = len(layer.output.shape) - 1
        joined = layer.output if ordered else TensorSpec(layer.output.shape)
        builder.add(OperatorSpec("CONCATENATION", list(parts), [joined], ("ConcatenationOptions", {"axis": axis})))
        if not ordered:
            order = builder.indices(indices)
            builder.add(OperatorSpec("GATHER", [joined, order], [layer.output], ("GatherOptions", {"axis": axis})))
