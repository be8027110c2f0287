"""One torch operator at a time into ONNX, without the batch axis where the batch is one.

Every tensor of three or more axes is then stored without its first axis, so that linear layers are ``Gemm`` nodes with bias
instead of ``MatMul`` and ``Add``, with no reshaping around them; matrices ``[1, n]`` stay as they are. With more histories a call
tensors are stored as torch has them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Layout
from chordkit.export.program import by_width, future_value, refusal
from chordkit.export.targets.onnx.graph import GraphBuilder, Value
from chordkit.quantization.tables import is_int4_table

Operand = Value | Tensor | int | float


class Lowering:
    """Appends ONNX nodes for torch nodes.

    Attributes:
        builder: the graph that is written.
        batch: histories per call.
        layout: how the codes lie in it.
        paths: where the model has each constant, by the name of its node.
        values: what each torch node has become: a graph value, or a constant that no node has needed yet.
        node: the one that is being lowered.
        rank: torch's number of axes of its first operand.
    """

    node: torch.fx.Node

    def __init__(self, builder: GraphBuilder, batch: int = 1, layout: Layout = "size", paths: Mapping[str, str] | None = None) -> None:
        self.builder = builder
        self.paths = paths or {}
        self.batch = batch
        self.layout = layout
        self.values: dict[torch.fx.Node, Any] = {}
        self.rank = 0
        self._flat: dict[str, Value] = {}
        self._weights: dict[str, Value] = {}

    def run(self, node: torch.fx.Node) -> None:
        """Lower one ``call_function`` node.

        Raises:
            CapabilityError: the operator has no lowering.
        """
        name = str(node.target)
        arguments = torch.fx.map_arg(node.args, self.values.__getitem__)
        if not any(isinstance(self.values[item], Value) for item in node.all_input_nodes) and not name.startswith("chord."):
            assert callable(node.target)
            self.values[node] = node.target(*arguments, **node.kwargs)
            return
        self.node = node
        if name not in _HANDLERS:
            raise self.refuse()
        self.rank = node.all_input_nodes[0].meta["val"].dim()
        self.values[node] = _HANDLERS[name](self, self._stored_shape(node.meta["val"]), *arguments, **node.kwargs)

    def called(self, value: Value, argument: int, part: str = "") -> Value:
        """``value`` with the name of the module that the node's constant of this number is of, and a part of it."""
        operand = self.node.args[argument] if argument < len(self.node.args) else None
        path = self.paths.get(operand.name, "") if isinstance(operand, torch.fx.Node) else ""
        module = path.removeprefix("backbone.").rpartition(".")[0]
        return self.builder.call(value, module + part) if module else value

    def refuse(self, why: str = "has no lowering") -> CapabilityError:
        """The error for an operator, or a use of one, that has no ONNX form."""
        return refusal(self.node, why, "onnx")

    def _stored_shape(self, value: torch.Tensor) -> tuple[int, ...]:
        """Shape under which a torch value is stored: without the axis of a batch of one when it has more than two."""
        shape = tuple(int(size) for size in value.shape)
        if self.batch > 1:
            return shape
        if len(shape) > 2 and shape[0] != 1:
            raise self.refuse(f"gives a tensor {list(shape)}, whose first axis is not a batch of 1; keep the sample first")
        return shape[1:] if len(shape) > 2 else shape

    def value(self, operand: Operand) -> Value:
        """A graph value for an operand; constants become initialisers, numbers float32 scalars."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Tensor):
            array = operand.detach().numpy()
            array = array[0] if self.batch == 1 and array.ndim > 2 and array.shape[0] == 1 else array
            future = future_value(array)
            return self.builder.constant(array) if future is None else self._causal_mask(array.shape, future)
        return self.builder.constant(np.array(operand, np.float32))

    def _causal_mask(self, shape: tuple[int, ...], future: float) -> Value:
        """A causal mask as what it is made from, which a runtime folds when it loads the file."""
        whole = self.builder.filled(shape, future)
        return self.builder.emit("Trilu", [whole, self.builder.constant(np.array(1, np.int64))], shape, upper=1)

    def ids(self, operand: Operand) -> Value:
        """Ids whose gather gives rows as they are stored: of a batch of one, as a vector."""
        ids = self.value(operand)
        if self.batch > 1:
            return ids
        size = int(np.prod(ids.shape))
        if ids.name not in self._flat:
            self._flat[ids.name] = reshape(self, (size,), ids)
        return self._flat[ids.name]

    def whole_weight(self, layer: str, codes: Tensor, scales: Tensor) -> Value:
        """The float32 weight of a layer over codes of 8 bits in channel order, in initialisers that only this layer has."""
        if layer not in self._weights:
            stored = [self.called(self.builder.codes(codes.numpy(), 8, layer), 1, "/int8"), self.builder.constant(scales.numpy(), layer)]
            self._weights[layer] = self.builder.emit("DequantizeLinear", stored, tuple(codes.shape), axis=0)
        return self._weights[layer]

    def weight(self, codes: Tensor, scales: Tensor, widths: Tensor) -> Value:
        """The float32 weight of a layer as a constant sub-graph over packed codes, one tensor for each width in use."""
        builder, parts = self.builder, []
        groups, position = by_width(widths.numpy())
        for width, members in groups:
            shape = (members.size, codes.shape[1])
            if width == 0:
                parts.append(builder.filled(shape, 0.0))
                continue
            packed = self.called(builder.codes(codes.numpy()[members], width), 1, f"/int{width}")
            scale = builder.constant(scales.numpy()[members])
            parts.append(builder.emit("DequantizeLinear", [packed, scale], shape, axis=0))
        if len(parts) == 1:
            return parts[0]
        joined = builder.emit("Concat", parts, tuple(codes.shape), axis=0)
        return builder.emit("Gather", [joined, builder.indices(position)], tuple(codes.shape), axis=0)


def reshape(lowering: Lowering, shape: tuple[int, ...], x: Value, *_: Any) -> Value:
    """``x`` in another shape; nothing at all when it has it already."""
    if x.shape == shape:
        return x
    return lowering.builder.emit("Reshape", [x, lowering.builder.constant(np.array(shape, np.int64))], shape)


def _binary(operator: str) -> Callable[..., Value]:
    def handle(lowering: Lowering, shape: tuple[int, ...], a: Operand, b: Operand) -> Value:
        return lowering.builder.emit(operator, [lowering.value(a), lowering.value(b)], shape)

    return handle


def _unary(operator: str) -> Callable[..., Value]:
    def handle(lowering: Lowering, shape: tuple[int, ...], x: Value) -> Value:
        return lowering.builder.emit(operator, [x], shape)

    return handle


def _gelu(lowering: Lowering, shape: tuple[int, ...], x: Value, *, approximate: str = "none") -> Value:
    return lowering.builder.emit("Gelu", [x], shape, approximate=approximate)


def _compare(operator: str) -> Callable[..., Value]:
    """A comparison of item ids with a number."""

    def handle(lowering: Lowering, shape: tuple[int, ...], x: Value, number: int) -> Value:
        return lowering.builder.emit(operator, [x, lowering.builder.constant(np.array(number, np.int32))], shape)

    return handle


def _rsqrt(lowering: Lowering, shape: tuple[int, ...], x: Value) -> Value:
    return lowering.builder.emit("Reciprocal", [lowering.builder.emit("Sqrt", [x], shape)], shape)


def _clamp(lowering: Lowering, shape: tuple[int, ...], x: Value, least: float | None, most: float | None) -> Value:
    for operator, bound in (("Max", least), ("Min", most)):
        x = x if bound is None else lowering.builder.emit(operator, [x, lowering.value(float(bound))], shape)
    return x


def _expand(lowering: Lowering, shape: tuple[int, ...], x: Value, *_: Any) -> Value:
    return x if x.shape == shape else lowering.builder.emit("Expand", [x, lowering.builder.constant(np.array(shape, np.int64))], shape)


def _where(lowering: Lowering, shape: tuple[int, ...], condition: Operand, a: Operand, b: Operand) -> Value:
    return lowering.builder.emit("Where", [lowering.value(operand) for operand in (condition, a, b)], shape)


def _embedding(lowering: Lowering, shape: tuple[int, ...], table: Tensor, ids: Operand, *_: Any) -> Value:
    return lowering.builder.emit("Gather", [lowering.called(lowering.value(table), 0), lowering.ids(ids)], shape, axis=0)


def _int4_rows(lowering: Lowering, shape: tuple[int, ...], rows: Value, codes: np.ndarray) -> Value:
    """Rows of a table of int4 codes, which a ``Gather`` does not take: bytes whose lower halves are a row's first half, plus 8 each."""
    builder, half = lowering.builder, codes.shape[1] // 2
    lifted = (codes + 8).astype(np.uint8)
    table = lowering.called(builder.constant(lifted[:, :half] | lifted[:, half:] << 4), 1)
    found = builder.emit("Gather", [table, rows], (*shape[:-1], half), axis=0)
    upper = builder.emit("BitShift", [found, builder.constant(np.array(4, np.uint8))], found.shape, direction="RIGHT")
    lower = builder.emit("BitwiseAnd", [found, builder.constant(np.array(15, np.uint8))], found.shape)
    wide = builder.emit("Cast", [builder.emit("Concat", [lower, upper], shape, axis=-1)], shape, to=1)  # TensorProto.FLOAT
    return builder.emit("Sub", [wide, builder.constant(np.array(8, np.float32))], shape)


def _row_embedding(lowering: Lowering, shape: tuple[int, ...], ids: Operand, codes: Tensor, scales: Tensor) -> Value:
    builder = lowering.builder
    numbers, int4 = codes.numpy(), is_int4_table(codes.numpy())
    if isinstance(ids, Tensor):
        if not torch.equal(ids, torch.arange(codes.shape[0], dtype=ids.dtype)):
            raise lowering.refuse("reads a quantised table with constant ids other than all of its rows; read all of them")
        # Runtimes that the layout speed is for do not all have INT4.
        table = lowering.called(builder.codes(numbers, 4 if int4 and lowering.layout == "size" else 8), 1)
        return builder.emit("DequantizeLinear", [table, lowering.value(scales)], shape, axis=0)
    rows = lowering.ids(ids)
    if int4:
        wide = _int4_rows(lowering, shape, rows, numbers)
    else:
        wide = builder.emit("Cast", [builder.emit("Gather", [lowering.called(lowering.value(codes), 1), rows], shape, axis=0)], shape, to=1)
    factor = builder.emit("Gather", [lowering.value(scales.unsqueeze(1)), rows], (*shape[:-1], 1), axis=0)
    return builder.emit("Mul", [wide, factor], shape)


def _linear(lowering: Lowering, shape: tuple[int, ...], x: Value, weight: Operand, bias: Tensor | None = None) -> Value:
    rows = reshape(lowering, (int(np.prod(x.shape[:-1])), x.shape[-1]), x)
    matrix = lowering.value(weight) if isinstance(weight, Value) else lowering.called(lowering.value(weight), 1, ".weight")
    inputs = [rows, matrix, *([] if bias is None else [lowering.value(bias)])]
    result = lowering.builder.emit("Gemm", inputs, (rows.shape[0], shape[-1]), transB=1)
    return reshape(lowering, shape, lowering.called(result, 1))


def _channel_linear(
    lowering: Lowering, shape: tuple[int, ...], x: Operand, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None = None
) -> Value:
    return _linear(lowering, shape, lowering.value(x), _layer_weight(lowering, codes, scales, widths), bias)


def _channel_linear_transposed(
    lowering: Lowering, shape: tuple[int, ...], x: Value, codes: Tensor, scales: Tensor, widths: Tensor
) -> Value:
    return lowering.called(lowering.builder.emit("MatMul", [x, _layer_weight(lowering, codes, scales, widths)], shape), 1)


def _layer_weight(lowering: Lowering, codes: Tensor, scales: Tensor, widths: Tensor) -> Value:
    layer = lowering.node.args[1]
    if lowering.layout == "speed" and isinstance(layer, torch.fx.Node):
        return lowering.whole_weight(layer.name, codes, scales)
    return lowering.weight(codes, scales, widths)


def _layer_norm(
    lowering: Lowering, shape: tuple[int, ...], x: Value, axes: list[int], weight: Tensor | None, bias: Tensor | None, eps: float, *_: Any
) -> Value:
    if len(axes) != 1:
        raise lowering.refuse(f"is over {len(axes)} axes; only the last one is lowered")
    weight = torch.ones(axes) if weight is None else weight
    inputs = [x, lowering.value(weight), *([] if bias is None else [lowering.value(bias)])]
    return lowering.called(lowering.builder.emit("LayerNormalization", inputs, shape, axis=-1, epsilon=eps), 2)


def _axis(lowering: Lowering, dim: int) -> int:
    """Stored axis for a torch axis of the node's first operand."""
    return dim - 1 if lowering.batch == 1 and lowering.rank > 2 else dim


def _permute(lowering: Lowering, shape: tuple[int, ...], x: Value, dims: list[int]) -> Value:
    if lowering.batch > 1:
        return lowering.builder.emit("Transpose", [x], shape, perm=list(dims))
    if dims[0] != 0 or lowering.rank < 3:
        raise lowering.refuse(f"to {list(dims)} moves the batch axis; keep the sample first")
    return lowering.builder.emit("Transpose", [x], shape, perm=[dim - 1 for dim in dims[1:]])


def _slice(lowering: Lowering, shape: tuple[int, ...], x: Value, dim: int, start: int, end: int, step: int = 1) -> Value:
    if step != 1:
        raise lowering.refuse(f"has step {step}; only step 1 is lowered")
    bounds = [np.array([number], np.int64) for number in (start, end, _axis(lowering, dim))]
    return lowering.builder.emit("Slice", [x, *map(lowering.builder.constant, bounds)], shape)


def _select(lowering: Lowering, shape: tuple[int, ...], x: Value, dim: int, index: int) -> Value:
    axis = _axis(lowering, dim)
    if x.shape[axis] == 1:
        return reshape(lowering, shape, x)
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return reshape(lowering, shape, _slice(lowering, kept, x, dim, index, index + 1))


def _concat(lowering: Lowering, shape: tuple[int, ...], parts: list[Operand], dim: int = 0) -> Value:
    return lowering.builder.emit("Concat", [lowering.value(part) for part in parts], shape, axis=_axis(lowering, dim))


def _reduce(operator: str) -> Callable[..., Value]:
    def handle(lowering: Lowering, shape: tuple[int, ...], x: Value, dims: list[int], *_: Any) -> Value:
        axes = [_axis(lowering, dim) for dim in dims]
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        return reshape(lowering, shape, lowering.builder.emit(operator, [x, lowering.value(torch.tensor(axes))], kept, keepdims=1))

    return handle


def _softmax(lowering: Lowering, shape: tuple[int, ...], x: Value, dim: int, *_: Any) -> Value:
    if dim != lowering.rank - 1:
        raise lowering.refuse("is not over the last axis; only that is lowered")
    return lowering.builder.emit("Softmax", [x], shape, axis=-1)


_HANDLERS: dict[str, Callable[..., Value]] = {
    "aten.add.Tensor": _binary("Add"),
    "aten.mul.Tensor": _binary("Mul"),
    "aten.matmul.default": _binary("MatMul"),
    "aten.relu.default": _unary("Relu"),
    "aten.gelu.default": _gelu,
    "aten.sub.Tensor": _binary("Sub"),
    "aten.div.Tensor": _binary("Div"),
    "aten.sigmoid.default": _unary("Sigmoid"),
    "aten.tanh.default": _unary("Tanh"),
    "aten.exp.default": _unary("Exp"),
    "aten.sqrt.default": _unary("Sqrt"),
    "aten.rsqrt.default": _rsqrt,
    "aten.abs.default": _unary("Abs"),
    "aten.clamp.default": _clamp,
    "aten.expand.default": _expand,
    "aten.eq.Scalar": _compare("Equal"),
    "aten.gt.Scalar": _compare("Greater"),
    "aten.lt.Scalar": _compare("Less"),
    "aten.logical_not.default": _unary("Not"),
    "aten.logical_and.default": _binary("And"),
    "aten.logical_or.default": _binary("Or"),
    "aten.where.self": _where,
    "aten.embedding.default": _embedding,
    "aten.linear.default": _linear,
    "aten.layer_norm.default": _layer_norm,
    "aten.permute.default": _permute,
    "aten.view.default": reshape,
    "aten.reshape.default": reshape,
    "aten.squeeze.dim": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.select.int": _select,
    "aten.slice.Tensor": _slice,
    "aten.cat.default": _concat,
    "aten.amax.default": _reduce("ReduceMax"),
    "aten.mean.dim": _reduce("ReduceMean"),
    "aten.sum.dim_IntList": _reduce("ReduceSum"),
    "aten.softmax.int": _softmax,
    "chord.channel_linear.default": _channel_linear,
    "chord.channel_linear_transposed.default": _channel_linear_transposed,
    "chord.row_embedding.default": _row_embedding,
}
