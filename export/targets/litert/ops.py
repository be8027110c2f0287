"""ATen operators that move data or compute element by element, one small function for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from chordkit.export.program import marked as program  # noqa: F401  (registers the chord:: operators)
from chordkit.export.targets.litert.graph import LinearNode, View, strip, view
from chordkit.export.targets.litert.table import Lowering, PaddingTest, Value, lowers, refuse

aten = torch.ops.aten
chord = torch.ops.chord


# --- views -----------------------------------------------------------------------------------------------------------


_SAME_DATA = (aten.view.default, aten.reshape.default, aten.unsqueeze.default, aten.squeeze.dim)


@lowers(*_SAME_DATA, any_type=True)
def _reshape(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    return view(lowering.builder.dense(arguments[0])[0], node.meta["val"].shape)


@lowers(aten.permute.default, any_type=True)
def _permute(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, order = arguments
    result = View(source.tensor, source.base, tuple(source.perm[axis] for axis in order))
    return view(source.tensor, result.shape) if result.is_dense else result


@lowers(aten.slice.Tensor)
def _slice(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, dim, start, end, step = arguments
    if step != 1:
        raise refuse(node, f"has step {step}; only step 1 is lowered")
    return _part(lowering, source, dim, start, end)


def _part(lowering: Lowering, source: View, dim: int, first: int, last: int) -> View:
    """``source[first:last]`` along ``dim``."""
    if (first, last) == (0, source.shape[dim]):
        return source
    shape = (*source.shape[:dim], last - first, *source.shape[dim + 1 :])
    tensor = lowering.builder.read(source)
    axis = dim - len(shape) + len(tensor.shape)
    begin = [first if position == axis else 0 for position in range(len(tensor.shape))]
    sizes = [last - first if position == axis else size for position, size in enumerate(tensor.shape)]
    constants = [lowering.builder.constant(np.asarray(values, np.int32)) for values in (begin, sizes)]
    return view(lowering.builder.emit("SLICE", [tensor, *constants], sizes, ("SliceOptions", {})), shape)


@lowers(aten.select.int)
def _select(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, dim, index = arguments
    part = _part(lowering, source, dim, index, index + 1)
    return view(lowering.builder.dense(part)[0], node.meta["val"].shape)


@lowers(aten.cat.default)
def _cat(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    values = [lowering.view_of(value) for value in arguments[0]]
    axis = arguments[1]
    tensors = [lowering.builder.dense(value)[0] for value in values]
    # Leading ones before the axis of concatenation carry no data: the tensors may drop them, all alike.
    drop = 0
    if any(tensor.shape != value.shape for tensor, value in zip(tensors, values, strict=True)):
        while drop < axis - 1 and all(value.shape[drop] == 1 for value in values):
            drop += 1
        tensors = [lowering.builder.reshape(tensor, value.shape[drop:]) for tensor, value in zip(tensors, values, strict=True)]
    shape = tuple(node.meta["val"].shape)[drop:]
    result = lowering.builder.emit("CONCATENATION", tensors, shape, ("ConcatenationOptions", {"axis": axis - drop}))
    return view(result, node.meta["val"].shape)


# --- arithmetic ------------------------------------------------------------------------------------------------------

_BINARY: dict[Any, tuple[str, str]] = {
    aten.add.Tensor: ("ADD", "AddOptions"),
    aten.sub.Tensor: ("SUB", "SubOptions"),
    aten.mul.Tensor: ("MUL", "MulOptions"),
    aten.div.Tensor: ("DIV", "DivOptions"),
}


@lowers(*_BINARY)
def _binary(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    values = [lowering.view_of(value) for value in arguments[:2]]
    tensors = [lowering.builder.dense(value)[0] for value in values]
    if any(strip(tensor.shape) != strip(value.shape) for tensor, value in zip(tensors, values, strict=True)):
        # Some tensor has another shape than its value: agree on the value's shapes without the axes that are one in both.
        rank = max(len(value.shape) for value in values)
        shapes = [(1,) * (rank - len(value.shape)) + value.shape for value in values]
        used = [axis for axis in range(rank) if any(shape[axis] != 1 for shape in shapes)]
        wanted = [strip([shape[axis] for axis in used]) for shape in shapes]
        tensors = [lowering.builder.fit(tensor, shape) for tensor, shape in zip(tensors, wanted, strict=True)]
    code, options = _BINARY[node.target]
    return view(lowering.builder.binary(code, options, *tensors), node.meta["val"].shape)


@lowers(aten.relu.default)
def _relu(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source: View = arguments[0]
    producer, layer = lowering.builder.producers.get(id(source.tensor)), node.args[0]
    direct = isinstance(layer, FxNode) and layer.target in (aten.linear.default, chord.channel_linear.default) and len(layer.users) == 1
    if direct and isinstance(producer, LinearNode):
        producer.relu = True
        return source
    result = lowering.builder.emit("RELU", [source.tensor], source.tensor.shape)
    return View(result, source.base, source.perm)


@lowers(aten.gelu.default)
def _gelu(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source: View = arguments[0]
    options = ("GeluOptions", {"approximate": node.kwargs.get("approximate") == "tanh"})
    result = lowering.builder.emit("GELU", [source.tensor], source.tensor.shape, options)
    return View(result, source.base, source.perm)


@lowers(aten.softmax.int)
def _softmax(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source: View = arguments[0]
    if arguments[1] != len(source.shape) - 1:
        raise refuse(node, "is not over the last axis")
    tensor = lowering.builder.read(source)
    result = lowering.builder.emit("SOFTMAX", [tensor], tensor.shape, ("SoftmaxOptions", {"beta": 1.0}))
    return view(result, source.shape)


@lowers(aten.amax.default)
def _amax(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, dims = arguments[:2]
    if len(dims) != 1:
        raise refuse(node, f"reduces {len(dims)} axes; only one is lowered")
    tensor = lowering.builder.read(source)
    axis = dims[0] - len(source.shape) + len(tensor.shape)
    result = lowering.builder.reduce("REDUCE_MAX", tensor, axis, keep=False)
    return view(result, node.meta["val"].shape)


@lowers(aten.layer_norm.default)
def _layer_norm(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, normalized, weight, bias, epsilon = arguments[:5]
    if len(normalized) != 1:
        raise refuse(node, "normalises several axes; only the last one is lowered")
    builder = lowering.builder
    x = builder.read(source)
    mean = builder.reduce("MEAN", x, len(x.shape) - 1, keep=True)
    centred = builder.binary("SUB", "SubOptions", x, mean)
    # MUL of the centred values with themselves: SQUARED_DIFFERENCE(x, mean) is a quarter slower in XNNPACK.
    variance = builder.reduce("MEAN", builder.binary("MUL", "MulOptions", centred, centred), len(x.shape) - 1, keep=True)
    inverse = builder.emit("RSQRT", [builder.binary("ADD", "AddOptions", variance, builder.scalar(epsilon))], variance.shape)
    result = builder.binary("MUL", "MulOptions", centred, inverse)
    if weight is not None:
        result = builder.binary("MUL", "MulOptions", result, lowering.view_of(weight).tensor)
    if bias is not None:
        result = builder.binary("ADD", "AddOptions", result, lowering.view_of(bias).tensor)
    return view(result, source.shape)


# --- the padding mask ------------------------------------------------------------------------------------------------


@lowers(aten.eq.Scalar, any_type=True)
def _eq(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, value = arguments
    if not isinstance(source, View) or source.tensor.type != "INT32" or value != 0:
        raise refuse(node, "is not a comparison of item ids with the padding id 0")
    return PaddingTest(source)


@lowers(aten.where.self)
def _where(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    test, padded, real = arguments
    scalars = all(isinstance(value, torch.Tensor) and value.numel() == 1 for value in (padded, real))
    if not isinstance(test, PaddingTest) or not scalars:
        raise refuse(node, "does not select between two numbers by item id == 0")
    builder = lowering.builder
    # Ids are 0, 1, 2, ...: relu(1 - id) is 1 for padding and 0 for any item, in two operators that XNNPACK runs.
    ids = builder.emit("CAST", [test.ids.tensor], test.ids.tensor.shape, ("CastOptions", {"inDataType": 2, "outDataType": 0}))
    options = ("SubOptions", {"fusedActivationFunction": 1})
    mask = builder.emit("SUB", [builder.scalar(1.0), ids], ids.shape, options)
    low, high = float(padded), float(real)
    if (low, high) != (1.0, 0.0):
        mask = builder.binary("MUL", "MulOptions", mask, builder.scalar(low - high))
        if high:
            mask = builder.binary("ADD", "AddOptions", mask, builder.scalar(high))
    return View(mask, test.ids.base, test.ids.perm)
