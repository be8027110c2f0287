"""The graph of a ``.tflite`` file run in numpy, before it is serialised: what the file should compute, whatever runs it.

Operators are those that the lowering emits, each as the schema defines it, in float32. No runtime takes part, so that where this agrees
with the reference and a loaded file does not, the fault is the file's bytes or the runtime's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.parity import quantize_asymmetric
from chordkit.export.targets.litert.flatbuffer import GraphSpec, OperatorSpec, TensorSpec

Array = NDArray[Any]

_PLAIN = {"FLOAT32": np.float32, "INT32": np.int32, "INT16": np.int16, "INT8": np.int8, "BOOL": np.bool_}
_SUB_BYTE = {"INT4": 4, "INT2": 2}
_RELU = 1


def interpret(graph: GraphSpec, inputs: Mapping[str, Array]) -> Array:
    """The value of the graph's output ``scores`` for ``inputs``, by name and of the graph's shapes.

    Raises:
        CapabilityError: the graph has an operator that is not written down here.
    """
    values = {id(graph.inputs[name]): array for name, array in inputs.items()}
    for tensor in graph.tensors():
        if tensor.data is not None:
            values[id(tensor)] = constant_value(tensor)
    for operator in graph.operators:
        if operator.code not in _OPERATORS:
            raise CapabilityError(f"litert: the operator {operator.code} has no form in numpy; the file can only be run on the runtime")
        operands = [None if tensor is None else values[id(tensor)] for tensor in operator.inputs]
        options = operator.options[1] if operator.options else {}
        result = _OPERATORS[operator.code](operator, options, *operands)
        output = operator.outputs[0]
        values[id(output)] = np.broadcast_to(result, output.shape) if result.size == 1 else result.reshape(output.shape)
    return values[id(graph.outputs["scores"])]


def constant_value(tensor: TensorSpec) -> Array:
    """The numbers of a constant, codes as int8."""
    assert tensor.data is not None
    if tensor.type in _PLAIN:
        return np.frombuffer(tensor.data, _PLAIN[tensor.type]).reshape(tensor.shape)
    bits = _SUB_BYTE[tensor.type]
    raw = np.frombuffer(tensor.data, np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((raw[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[: math.prod(tensor.shape)].astype(np.int8)
    return np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes).astype(np.int8).reshape(tensor.shape)


def _activated(options: Mapping[str, Any], values: Array) -> Array:
    return np.maximum(values, 0) if int(options.get("fusedActivationFunction", 0)) == _RELU else values


def _elementwise(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda operator, options, *operands: _activated(options, function(*operands))


def _scaled(tensor: TensorSpec, codes: Array) -> Array:
    """``codes`` of ``tensor`` as the numbers that they stand for."""
    assert tensor.quantization is not None
    scales = tensor.quantization.scales
    if scales.size > 1:
        scales = scales.reshape([-1 if axis == tensor.quantization.axis else 1 for axis in range(codes.ndim)])
    return codes.astype(np.float32) * scales


def _dequantize(operator: OperatorSpec, options: Mapping[str, Any], codes: Array) -> Array:
    tensor = operator.inputs[0]
    assert tensor is not None
    return _scaled(tensor, codes)


def _fully_connected(operator: OperatorSpec, options: Mapping[str, Any], x: Array, weights: Array, bias: Array | None) -> Array:
    tensor = operator.inputs[1]
    assert tensor is not None
    rows = x.reshape(-1, weights.shape[1])
    if tensor.quantization is not None:
        weights = _scaled(tensor, weights)
        if options.get("asymmetricQuantizeInputs"):
            rows = quantize_asymmetric(torch.from_numpy(np.ascontiguousarray(rows))).numpy()
    product = rows @ weights.T
    return _activated(options, product if bias is None else product + bias)


def _batch_matmul(operator: OperatorSpec, options: Mapping[str, Any], x: Array, y: Array) -> Array:
    x = x.swapaxes(-1, -2) if options.get("adjX") else x
    y = y.swapaxes(-1, -2) if options.get("adjY") else y
    return np.matmul(x, y)


def _gather(operator: OperatorSpec, options: Mapping[str, Any], table: Array, indices: Array) -> Array:
    return np.take(table, indices, axis=int(options.get("axis", 0)))


def _softmax(operator: OperatorSpec, options: Mapping[str, Any], x: Array) -> Array:
    powers = np.exp((x - x.max(-1, keepdims=True)) * np.float32(options.get("beta", 1.0)))
    return powers / powers.sum(-1, keepdims=True)


def _gelu(operator: OperatorSpec, options: Mapping[str, Any], x: Array) -> Array:
    form = "tanh" if options.get("approximate") else "none"
    return torch.nn.functional.gelu(torch.from_numpy(np.ascontiguousarray(x)), approximate=form).numpy()


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda operator, options, x, axes: function(x, axis=tuple(axes.tolist()), keepdims=bool(options.get("keepDims")))


def _slice(operator: OperatorSpec, options: Mapping[str, Any], x: Array, begin: Array, sizes: Array) -> Array:
    return x[tuple(slice(first, first + size) for first, size in zip(begin.tolist(), sizes.tolist(), strict=True))]


def _concatenation(operator: OperatorSpec, options: Mapping[str, Any], *parts: Array) -> Array:
    return np.concatenate(parts, axis=int(options.get("axis", 0)))


_OPERATORS: dict[str, Callable[..., Array]] = {
    "ABS": _elementwise(np.abs),
    "ADD": _elementwise(np.add),
    "BATCH_MATMUL": _batch_matmul,
    "BROADCAST_TO": lambda operator, options, x, shape: np.broadcast_to(x, shape.tolist()),
    "CAST": lambda operator, options, x: x.astype(_PLAIN[operator.outputs[0].type]),
    "CONCATENATION": _concatenation,
    "DEQUANTIZE": _dequantize,
    "DIV": _elementwise(np.divide),
    "EQUAL": _elementwise(np.equal),
    "EXP": _elementwise(np.exp),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GELU": _gelu,
    "GREATER": _elementwise(np.greater),
    "LESS": _elementwise(np.less),
    "LOGICAL_AND": _elementwise(np.logical_and),
    "LOGICAL_NOT": _elementwise(np.logical_not),
    "LOGICAL_OR": _elementwise(np.logical_or),
    "LOGISTIC": _elementwise(lambda x: 1 / (1 + np.exp(-x))),
    "MAXIMUM": _elementwise(np.maximum),
    "MEAN": _reduction(np.mean),
    "MINIMUM": _elementwise(np.minimum),
    "MUL": _elementwise(np.multiply),
    "PAD": lambda operator, options, x, amounts: np.pad(x, amounts.tolist()),
    "REDUCE_MAX": _reduction(np.max),
    "RELU": _elementwise(lambda x: np.maximum(x, 0)),
    "RESHAPE": lambda operator, options, x, shape: x.reshape(shape.tolist()),
    "RSQRT": _elementwise(lambda x: 1 / np.sqrt(x)),
    "SELECT_V2": _elementwise(np.where),
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SQRT": _elementwise(np.sqrt),
    "SUB": _elementwise(np.subtract),
    "SUM": _reduction(np.sum),
    "TANH": _elementwise(np.tanh),
    "TRANSPOSE": lambda operator, options, x, axes: x.transpose(axes.tolist()),
}
