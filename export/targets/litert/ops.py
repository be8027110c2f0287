"""ATen operators that move data or compute element by element, one small function for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from chordkit.export import program  # noqa: F401  (registers the chord:: operators)
from chordkit.export.targets.litert.graph import LinearNode, View, strip, view
from chordkit.export.targets.litert.table import Lowering, PaddingTest, Value, lowers, refuse

aten = torch.ops.aten
chord = torch.ops.chord


# --- views -----------------------------------------------------------------------------------------------------------


_SAME_DATA = (aten.view.default, aten.reshape.default, aten.unsqueeze.default, aten.squeeze.dim)


@lowers(*_SAME_DATA, any_type=True)
def _reshape(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    if isinstance(arguments[0], PaddingTest):
        return PaddingTest(view(lowering.builder.dense(arguments[0].ids)[0], node.meta["val"].shape))
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

_BINARY: dict[Any, tuple[str, str | None]] = {
    aten.add.Tensor: ("ADD", "AddOptions"),
    aten.sub.Tensor: ("SUB", "SubOptions"),
    aten.mul.Tensor: ("MUL", "MulOptions"),
    aten.div.Tensor: ("DIV", "DivOptions"),
    aten.logical_and.default: ("LOGICAL_AND", None),
    aten.logical_or.default: ("LOGICAL_OR", None),
}


@lowers(*_BINARY, any_type=True)
def _binary(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    code, options = _BINARY[node.target]
    values = [_mask(lowering, value) if options is None else lowering.view_of(value) for value in arguments[:2]]
    tensors = [lowering.builder.dense(value)[0] for value in values]
    if any(strip(tensor.shape) != strip(value.shape) for tensor, value in zip(tensors, values, strict=True)):
        # Some tensor has another shape than its value: agree on the value's shapes without the axes that are one in both.
        rank = max(len(value.shape) for value in values)
        shapes = [(1,) * (rank - len(value.shape)) + value.shape for value in values]
        used = [axis for axis in range(rank) if any(shape[axis] != 1 for shape in shapes)]
        wanted = [strip([shape[axis] for axis in used]) for shape in shapes]
        tensors = [lowering.builder.fit(tensor, shape) for tensor, shape in zip(tensors, wanted, strict=True)]
    if options is None:
        shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
        return view(lowering.builder.emit(code, tensors, shape, type="BOOL"), node.meta["val"].shape)
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


_UNARY: dict[Any, tuple[str, tuple[str, dict[str, Any]] | None]] = {
    aten.sigmoid.default: ("LOGISTIC", None),
    aten.tanh.default: ("TANH", None),
    aten.exp.default: ("EXP", ("ExpOptions", {})),
    aten.sqrt.default: ("SQRT", None),
    aten.rsqrt.default: ("RSQRT", None),
    aten.abs.default: ("ABS", ("AbsOptions", {})),
}


@lowers(*_UNARY)
def _unary(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source: View = arguments[0]
    code, options = _UNARY[node.target]
    return View(lowering.builder.emit(code, [source.tensor], source.tensor.shape, options), source.base, source.perm)


@lowers(aten.clamp.default)
def _clamp(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, least, most = arguments
    tensor = source.tensor
    for code, bound in (("MAXIMUM", least), ("MINIMUM", most)):
        if bound is not None:
            tensor = lowering.builder.binary(code, "MaximumMinimumOptions", tensor, lowering.builder.scalar(bound))
    return View(tensor, source.base, source.perm)


@lowers(aten.expand.default)
def _expand(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    shape = tuple(node.meta["val"].shape)
    source = lowering.builder.reshape(lowering.builder.dense(arguments[0])[0], arguments[0].shape)
    if source.shape == shape:
        return view(source)
    sizes = lowering.builder.constant(np.asarray(shape, np.int32))
    return view(lowering.builder.emit("BROADCAST_TO", [source, sizes], shape, ("BroadcastToOptions", {})))


_REDUCTIONS: dict[Any, str] = {aten.amax.default: "REDUCE_MAX", aten.mean.dim: "MEAN", aten.sum.dim_IntList: "SUM"}


@lowers(*_REDUCTIONS)
def _reduce(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, dims = arguments[:2]
    tensor = lowering.builder.read(source)
    missing = len(source.shape) - len(tensor.shape)  # leading ones, over which there is nothing to do
    for axis in sorted((dim - missing for dim in dims if dim >= missing), reverse=True):
        tensor = lowering.builder.reduce(_REDUCTIONS[node.target], tensor, axis, keep=False)
    return view(tensor, node.meta["val"].shape)


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


# --- masks -----------------------------------------------------------------------------------------------------------

_COMPARISONS: dict[Any, str] = {aten.eq.Scalar: "EQUAL", aten.gt.Scalar: "GREATER", aten.lt.Scalar: "LESS"}


@lowers(*_COMPARISONS, any_type=True)
def _compare(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source, value = arguments
    if not isinstance(source, View) or source.tensor.type != "INT32":
        raise refuse(node, "is not a comparison of item ids with a number")
    if node.target is aten.eq.Scalar and value == 0:
        return PaddingTest(source)
    return _comparison(lowering, _COMPARISONS[node.target], source, value)


def _comparison(lowering: Lowering, code: str, ids: View, value: int) -> View:
    number = lowering.builder.constant(np.asarray(value, np.int32))
    options: tuple[str, dict[str, Any]] = (f"{code.capitalize()}Options", {})
    return View(lowering.builder.emit(code, [ids.tensor, number], ids.tensor.shape, options, "BOOL"), ids.base, ids.perm)


def _mask(lowering: Lowering, value: Value) -> View:
    """A truth value as a tensor of them."""
    return _comparison(lowering, "EQUAL", value.ids, 0) if isinstance(value, PaddingTest) else lowering.view_of(value)


@lowers(aten.logical_not.default, any_type=True)
def _not(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    source = _mask(lowering, arguments[0])
    result = lowering.builder.emit("LOGICAL_NOT", [source.tensor], source.tensor.shape, ("LogicalNotOptions", {}), "BOOL")
    return View(result, source.base, source.perm)


@lowers(aten.where.self)
def _where(lowering: Lowering, node: FxNode, arguments: list[Any]) -> Value:
    test, chosen, other = arguments
    scalars = all(isinstance(value, torch.Tensor) and value.numel() == 1 and bool(value.isfinite()) for value in (chosen, other))
    if isinstance(test, PaddingTest) and scalars:
        return _number_of_padding(lowering, test, float(chosen), float(other))
    builder = lowering.builder
    shape = tuple(node.meta["val"].shape)
    operands = [_mask(lowering, test), *(lowering.view_of(value) for value in (chosen, other))]
    # The operator broadcasts from the last axis on, so each operand has to stand in its own shape.
    tensors = [builder.reshape(builder.dense(value)[0], value.shape) for value in operands]
    return view(builder.emit("SELECT_V2", tensors, shape, ("SelectV2Options", {})))


def _number_of_padding(lowering: Lowering, test: PaddingTest, low: float, high: float) -> View:
    """``low`` for padding, ``high`` for items. Ids are 0, 1, 2, ...: relu(1 - id) is 1 for padding alone, in two operators of XNNPACK's."""
    builder = lowering.builder
    ids = builder.emit("CAST", [test.ids.tensor], test.ids.tensor.shape, ("CastOptions", {"inDataType": 2, "outDataType": 0}))
    options = ("SubOptions", {"fusedActivationFunction": 1})
    mask = builder.emit("SUB", [builder.scalar(1.0), ids], ids.shape, options)
    if (low, high) != (1.0, 0.0):
        mask = builder.binary("MUL", "MulOptions", mask, builder.scalar(low - high))
        if high:
            mask = builder.binary("ADD", "AddOptions", mask, builder.scalar(high))
    return View(mask, test.ids.base, test.ids.perm)
