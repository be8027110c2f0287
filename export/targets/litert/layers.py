"""ATen operators with weights: linear layers, matrix products, embedding tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from chordkit.export import program  # noqa: F401  (registers the chord:: operators)
from chordkit.export.targets.litert.flatbuffer import TensorSpec
from chordkit.export.targets.litert.graph import Builder, LinearNode, LinearWeights, View, strip, view
from chordkit.export.targets.litert.table import Lowering, Value, lowers

aten = torch.ops.aten
chord = torch.ops.chord


@lowers(aten.linear.default)
def _linear(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, weight, bias = arguments
    if isinstance(weight, View):
        return _linear_computed(lowering, node, source, weight, bias)
    array = weight.detach().numpy().astype(np.float32)
    weights = LinearWeights(array, np.ones(array.shape[0], np.float32), None)
    return _linear_node(lowering, node, source, weights, bias)


def _linear_computed(lowering: Lowering, node: FxNode, source: Value, weight: View, bias: Value) -> Value:
    tensor, matrix = lowering.builder.dense(lowering.view_of(source))[0], lowering.builder.read(weight)
    shape = (math.prod(tensor.shape) // matrix.shape[1], matrix.shape[0])
    biases = None if bias is None else lowering.view_of(bias).tensor
    result = lowering.builder.emit("FULLY_CONNECTED", [tensor, matrix, biases], shape, ("FullyConnectedOptions", {}))
    return view(result, node.meta["val"].shape)


@lowers(chord.channel_linear.default)
def _channel_linear(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, codes, scales, widths, bias = arguments
    weights = LinearWeights(codes.numpy(), scales.numpy(), widths.numpy())
    return _linear_node(lowering, node, source, weights, bias)


@lowers(chord.channel_linear_transposed.default)
def _channel_linear_transposed(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, codes, scales, widths = arguments
    rows = lowering.builder.read(source)
    output = TensorSpec((*rows.shape[:-1], codes.shape[1]))
    weights = LinearWeights(codes.numpy(), scales.numpy(), widths.numpy())
    lowering.builder.add(LinearNode(_layer_name(lowering, node), rows, output, weights, None, transposed=True))
    return view(output, node.meta["val"].shape)


def _layer_name(lowering: Lowering, node: FxNode) -> str:
    return lowering.name_of(node.args[1]) if isinstance(node.args[1], FxNode) else ""


def _linear_node(lowering: Lowering, node: FxNode, source: View, weights: LinearWeights, bias: Value) -> Value:
    biases = None if bias is None else bias.detach().numpy().astype(np.float32)
    tensor = lowering.builder.dense(source)[0]
    result = lowering.builder.linear(_layer_name(lowering, node), tensor, weights, biases)
    return view(result, node.meta["val"].shape)


@lowers(aten.matmul.default, aten.bmm.default)
def _matmul(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    first, second = (lowering.view_of(value) for value in arguments)
    builder = lowering.builder
    if len(second.shape) >= 2 and second.shape[-1] == 1 and math.prod(second.shape) == second.shape[-2] == math.prod(strip(second.shape)):
        return _matrix_vector(lowering, node, first, second)
    x, adj_x = builder.matrix(first, len(second.tensor.shape))
    y, adj_y = builder.matrix(second, len(x.shape))
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = (*batch, first.shape[-2], second.shape[-1])
    result = builder.emit("BATCH_MATMUL", [x, y], shape, ("BatchMatMulOptions", {"adjX": adj_x, "adjY": adj_y}))
    return view(result, node.meta["val"].shape)


def _matrix_vector(lowering: Lowering, node: FxNode, matrix: View, vector: View) -> Value:
    builder = lowering.builder
    rows, x = builder.read(matrix), builder.dense(vector)[0]
    # Rows times one vector as product and sum: BATCH_MATMUL would first copy the rows into another layout.
    unscaled, scales = builder.scaled_rows.get(id(rows), (rows, None))
    product = builder.binary("MUL", "MulOptions", unscaled, builder.fit(x, (rows.shape[-1],)))
    result = builder.reduce("SUM", product, len(product.shape) - 1, keep=False)
    if scales is not None:
        result = builder.binary("MUL", "MulOptions", result, scales)
    return view(result, node.meta["val"].shape)


@lowers(aten.embedding.default)
def _embedding(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    table, ids = arguments[:2]
    name = lowering.name_of(node.args[0]) if isinstance(node.args[0], FxNode) else ""
    tensor = lowering.builder.constant(table.detach().numpy().astype(np.float32), name)
    return view(_gather(lowering.builder, tensor, lowering.builder.dense(ids)[0]), node.meta["val"].shape)


def _gather(builder: Builder, table: TensorSpec, ids: TensorSpec) -> TensorSpec:
    shape = (*ids.shape, *table.shape[1:])
    return builder.emit("GATHER", [table, ids], shape, ("GatherOptions", {}), table.type, table.quantization)


@lowers(chord.row_embedding.default, keep=True)
def _row_embedding(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    ids, codes, scales = arguments
    builder = lowering.builder
    name = lowering.name_of(node.args[1]) if isinstance(node.args[1], FxNode) else ""
    table, row_scales = codes.numpy(), scales.numpy().astype(np.float32)
    if isinstance(ids, torch.Tensor):
        # Rows known now (positions, a whole table): a constant that the runtime dequantises once, when it loads.
        known = ids.flatten().numpy()
        constant = builder.table(table[known], row_scales[known], name)
        return view(builder.emit("DEQUANTIZE", [constant], constant.shape, ("DequantizeOptions", {})), node.meta["val"].shape)
    # GATHER of codes and of scales is three times faster than EMBEDDING_LOOKUP's own dequantisation, bit for bit the
    # same, and does without 8 bytes of zero-point a row. The unit scale only gives the codes a type XNNPACK converts.
    rows = builder.dense(ids)[0]
    gathered = _gather(builder, builder.table(table, np.ones(1, np.float32), name), rows)
    code_rows = builder.emit("DEQUANTIZE", [gathered], gathered.shape, ("DequantizeOptions", {}))
    scale_rows = _gather(builder, builder.constant(row_scales[:, None]), rows)
    result = builder.binary("MUL", "MulOptions", code_rows, scale_rows)
    # A dot product with these rows can be scaled afterwards; the operators not needed then are dropped as dead.
    builder.scaled_rows[id(result)] = (code_rows, _gather(builder, builder.constant(row_scales), rows))
    return view(result, node.meta["val"].shape)
