"""One torch operator at a time into OpenVINO, axes and shapes as in torch.

An operator of the program becomes the operator of OpenVINO that broadcasts in the same way; constants are float32 as in the program,
quantised weights at their own width.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from chordkit.errors import CapabilityError
from chordkit.export.program import by_width, refusal
from chordkit.export.targets.openvino.graph import GraphBuilder

if TYPE_CHECKING:
    from openvino import Node
_SMALL = 64
"""Numbers of a constant that is not worth two operators."""


class Lowering:
    """Appends OpenVINO nodes for torch nodes.

    Attributes:
        builder: the graph that is written.
        values: what each torch node has become: a node of the graph, or a constant that no node has needed yet.
        node: the one that is being lowered.
    """

    node: torch.fx.Node

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder
        self.values: dict[torch.fx.Node, Any] = {}

    def run(self, node: torch.fx.Node) -> None:
        """Lower one ``call_function`` node.

        Raises:
            CapabilityError: the operator has no lowering.
        """
        name = str(node.target)
        arguments = torch.fx.map_arg(node.args, self.values.__getitem__)
        if not any(self._is_lowered(item) for item in node.all_input_nodes) and not name.startswith("chord."):
            assert callable(node.target)
            self.values[node] = node.target(*arguments, **node.kwargs)
            return
        self.node = node
        if name not in _HANDLERS:
            raise self.refuse()
        self.builder.scope = _place(node)
        self.values[node] = _HANDLERS[name](self, *arguments, **node.kwargs)

    def _is_lowered(self, node: torch.fx.Node) -> bool:
        return not isinstance(self.values[node], Tensor | int | float)

    def refuse(self, why: str = "has no lowering") -> CapabilityError:
        """The error for an operator, or a use of one, that has no form in OpenVINO."""
        return refusal(self.node, why, "openvino")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the node gives."""
        return tuple(int(size) for size in self.node.meta["val"].shape)

    def value(self, operand: Any) -> "Node":
        """A node of the graph for an operand; constants are stored, numbers are of the type of the result."""
        if isinstance(operand, Tensor):
            return self._constant(operand.detach().numpy())
        if isinstance(operand, int | float):
            return self.builder.constant(torch.tensor(operand, dtype=self.node.meta["val"].dtype).numpy())
        return operand

    def _constant(self, array: np.ndarray) -> "Node":
        """A stored constant; one of nothing but zeros and another number, such as a mask, takes 2 bits an element."""
        other = array.flat[np.argmax(array != 0)] if array.size else 0
        if array.dtype != np.float32 or array.size < _SMALL or not np.isin(array, (0, other)).all():
            return self.builder.constant(array)
        places = self.builder.bits(array != 0)
        return self.builder.emit("multiply", places, self.builder.constant(np.array(other)))

    def integers(self, *numbers: int) -> "Node":
        """A constant vector of axes, sizes or bounds."""
        return self.builder.constant(np.array(numbers, np.int64), "shape")

    def weight(self, codes: Tensor, scales: Tensor, widths: Tensor) -> "Node":
        """The float32 weight of a layer as a constant sub-graph over packed codes, one constant for each width in use."""
        builder, parts = self.builder, []
        groups, position = by_width(widths.numpy())
        for width, members in groups:
            if width == 0:
                zero = builder.constant(np.zeros((), np.float32), "off")
                parts.append(builder.emit("broadcast", zero, self.integers(members.size, codes.shape[1])))
                continue
            wide = builder.codes(codes.numpy()[members], width)
            parts.append(builder.emit("multiply", wide, builder.constant(scales.numpy()[members, None], "scales")))
        if len(parts) == 1:
            return parts[0]
        joined = builder.emit("concat", parts, axis=0)
        narrow = builder.constant(position.astype(np.uint8 if position.size <= 256 else np.uint16), "order")
        return builder.emit("gather", joined, builder.emit("convert", narrow, "i32"), builder.constant(np.zeros((), np.int32), "axis"))


def _place(node: torch.fx.Node) -> str:
    """Path of the innermost module around ``node``, for its name in the graph."""
    path, _ = next(reversed((node.meta.get("nn_module_stack") or {"": ("", "")}).values()))
    return str(path).removeprefix("backbone").removeprefix(".").replace(".", "/") or "scorer"


def _operator(name: str, **attributes: Any) -> Callable[..., "Node"]:
    """An operator whose operands are those of torch's."""

    def handle(lowering: Lowering, *operands: Any) -> "Node":
        return lowering.builder.emit(name, *map(lowering.value, operands), **attributes)

    return handle


def _gelu(lowering: Lowering, x: "Node", *, approximate: str = "none") -> "Node":
    return lowering.builder.emit("gelu", x, {"none": "ERF", "tanh": "TANH"}[approximate])


def _compare(operator: str) -> Callable[..., "Node"]:
    """A comparison with a number, of the type of what is compared."""

    def handle(lowering: Lowering, x: "Node", number: float) -> "Node":
        kind = lowering.node.all_input_nodes[0].meta["val"].dtype
        return lowering.builder.emit(operator, x, lowering.value(torch.tensor(number, dtype=kind)))

    return handle


def _rsqrt(lowering: Lowering, x: "Node") -> "Node":
    return lowering.builder.emit("divide", lowering.value(1.0), lowering.builder.emit("sqrt", x))


def _clamp(lowering: Lowering, x: "Node", least: float | None, most: float | None) -> "Node":
    for operator, bound in (("maximum", least), ("minimum", most)):
        x = x if bound is None else lowering.builder.emit(operator, x, lowering.value(bound))
    return x


def _expand(lowering: Lowering, x: "Node", *_: Any) -> "Node":
    return lowering.builder.emit("broadcast", x, lowering.integers(*lowering.shape))


def _embedding(lowering: Lowering, table: Tensor, ids: Any, *_: Any) -> "Node":
    return _rows(lowering, lowering.builder.constant(table.detach().numpy(), "table"), ids)


def _rows(lowering: Lowering, table: "Node", ids: Any) -> "Node":
    return lowering.builder.emit("gather", table, lowering.value(ids), lowering.builder.constant(np.zeros((), np.int32), "axis"))


def _row_embedding(lowering: Lowering, ids: Any, codes: Tensor, scales: Tensor) -> "Node":
    builder = lowering.builder
    kind = "positions" if isinstance(ids, Tensor) else "table"
    table, factors = builder.table(codes.numpy(), kind), builder.constant(scales.numpy()[:, None], f"{kind}-scales")
    if isinstance(ids, Tensor):
        if not torch.equal(ids, torch.arange(codes.shape[0], dtype=ids.dtype)):
            raise lowering.refuse("reads a quantised table with constant ids other than all of its rows; read all of them")
        return builder.emit("multiply", builder.emit("convert", table, "f32"), factors)
    wide = builder.emit("convert", _rows(lowering, table, ids), "f32")
    return builder.emit("multiply", wide, _rows(lowering, factors, ids))


def _linear(lowering: Lowering, x: Any, weight: Any, bias: Tensor | None = None) -> "Node":
    stored = lowering.builder.constant(weight.detach().numpy(), "weight") if isinstance(weight, Tensor) else weight
    product = lowering.builder.emit("matmul", lowering.value(x), stored, False, True)
    return product if bias is None else lowering.builder.emit("add", product, lowering.builder.constant(bias.detach().numpy(), "bias"))


def _channel_linear(lowering: Lowering, x: Any, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None = None) -> Any:
    if isinstance(x, Tensor):  # a constant, such as the first state of a recurrence, which the runtime cannot fold with compressed weights
        return torch.ops.chord.channel_linear(x, codes, scales, widths, bias)
    return _linear(lowering, x, lowering.weight(codes, scales, widths), bias)


def _channel_linear_transposed(lowering: Lowering, x: "Node", codes: Tensor, scales: Tensor, widths: Tensor) -> "Node":
    # The scales belong to what is summed over: as part of the weight of an int8 layer the runtime would round x to 8 bits.
    scaled = lowering.builder.emit("multiply", x, lowering.builder.constant(scales.numpy(), "scales"))
    return lowering.builder.emit("matmul", scaled, lowering.weight(codes, torch.ones_like(scales), widths), False, False)


def _layer_norm(lowering: Lowering, x: "Node", sizes: list[int], weight: Tensor | None, bias: Tensor | None, eps: float, *_: Any) -> "Node":
    if len(sizes) != 1:
        raise lowering.refuse(f"is over {len(sizes)} axes; only the last one is lowered")
    rank = len(lowering.shape)
    x = lowering.builder.emit("mvn", x, lowering.integers(rank - 1), True, eps, "INSIDE_SQRT")
    for operator, factor in (("multiply", weight), ("add", bias)):
        x = x if factor is None else lowering.builder.emit(operator, x, lowering.value(factor))
    return x


def _permute(lowering: Lowering, x: "Node", axes: list[int]) -> "Node":
    return lowering.builder.emit("transpose", x, lowering.integers(*axes))


def _reshape(lowering: Lowering, x: "Node", *_: Any) -> "Node":
    """``x`` in the shape that torch gives it; nothing at all when it has it already."""
    if tuple(x.output(0).get_shape()) == lowering.shape:
        return x
    return lowering.builder.emit("reshape", x, lowering.integers(*lowering.shape), False)


def _slice(lowering: Lowering, x: "Node", axis: int, start: int, end: int, step: int = 1) -> "Node":
    return lowering.builder.emit("slice", x, *(lowering.integers(number) for number in (start, end, step, axis)))


def _select(lowering: Lowering, x: "Node", axis: int, index: int) -> "Node":
    return _reshape(lowering, x if x.output(0).get_shape()[axis] == 1 else _slice(lowering, x, axis, index, index + 1))


def _concat(lowering: Lowering, parts: list[Any], axis: int = 0) -> "Node":
    return lowering.builder.emit("concat", list(map(lowering.value, parts)), axis=axis)


def _reduce(operator: str) -> Callable[..., "Node"]:
    def handle(lowering: Lowering, x: "Node", axes: list[int], keep: bool = False, *_: Any) -> "Node":
        return lowering.builder.emit(operator, x, lowering.integers(*axes), keep)

    return handle


def _softmax(lowering: Lowering, x: "Node", axis: int, *_: Any) -> "Node":
    return lowering.builder.emit("softmax", x, axis)


_HANDLERS: dict[str, Callable[..., "Node"]] = {
    "aten.add.Tensor": _operator("add"),
    "aten.sub.Tensor": _operator("subtract"),
    "aten.mul.Tensor": _operator("multiply"),
    "aten.div.Tensor": _operator("divide"),
    "aten.matmul.default": _operator("matmul", transpose_a=False, transpose_b=False),
    "aten.relu.default": _operator("relu"),
    "aten.gelu.default": _gelu,
    "aten.sigmoid.default": _operator("sigmoid"),
    "aten.tanh.default": _operator("tanh"),
    "aten.exp.default": _operator("exp"),
    "aten.sqrt.default": _operator("sqrt"),
    "aten.rsqrt.default": _rsqrt,
    "aten.abs.default": _operator("abs"),
    "aten.clamp.default": _clamp,
    "aten.expand.default": _expand,
    "aten.eq.Scalar": _compare("equal"),
    "aten.gt.Scalar": _compare("greater"),
    "aten.lt.Scalar": _compare("less"),
    "aten.logical_not.default": _operator("logical_not"),
    "aten.logical_and.default": _operator("logical_and"),
    "aten.logical_or.default": _operator("logical_or"),
    "aten.where.self": _operator("select"),
    "aten.embedding.default": _embedding,
    "aten.linear.default": _linear,
    "aten.layer_norm.default": _layer_norm,
    "aten.permute.default": _permute,
    "aten.view.default": _reshape,
    "aten.reshape.default": _reshape,
    "aten.squeeze.dim": _reshape,
    "aten.unsqueeze.default": _reshape,
    "aten.select.int": _select,
    "aten.slice.Tensor": _slice,
    "aten.cat.default": _concat,
    "aten.amax.default": _reduce("reduce_max"),
    "aten.mean.dim": _reduce("reduce_mean"),
    "aten.sum.dim_IntList": _reduce("reduce_sum"),
    "aten.softmax.int": _softmax,
    "chord.channel_linear.default": _channel_linear,
    "chord.channel_linear_transposed.default": _channel_linear_transposed,
    "chord.row_embedding.default": _row_embedding,
}
