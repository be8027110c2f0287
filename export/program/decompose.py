"""What torch has one operator for and no target needs one for: written with operators that every target lowers.

Masks end here as well. Whatever a model writes to hide something (``masked_fill``, a comparison turned into numbers, ``~``, ``!=``) becomes
``where`` over comparisons with ``==``, so that a lowering has one form of each to know.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Graph, Node

from chordkit.backbones.attention import MASKED
from chordkit.errors import CapabilityError
from chordkit.export.program.refusal import refusal

_aten = torch.ops.aten


class Maker:
    """Adds nodes in front of one, with the values that torch would have given them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.graph: Graph = node.graph

    def __call__(self, target: Any, *arguments: Any, **named: Any) -> Node:
        """The node of an operator on nodes and plain values."""
        with self.graph.inserting_before(self.node), self.node.meta["val"].fake_mode:
            made = self.graph.call_function(target, arguments, named)
            made.meta = {**self.node.meta, "val": target(*self._values(arguments), **self._values(named))}
        return made

    @staticmethod
    def _values(arguments: Any) -> Any:
        return torch.fx.map_arg(arguments, lambda node: node.meta["val"])

    def refuse(self, why: str) -> CapabilityError:
        """The error for a use of the operator that has no form."""
        return refusal(self.node, why)

    def number(self, value: float, like: Node) -> Node:
        """A scalar of the type of ``like``."""
        return self(_aten.full.default, [], value, dtype=like.meta["val"].dtype)


def decompose(node: Node) -> Node | None:
    """The node that gives what ``node``, whose arguments are complete, gives; None where ``node`` stays as it is.

    Raises:
        CapabilityError: the use of the operator has no form.
    """
    rule = _RULES.get(node.target)
    return None if rule is None else rule(Maker(node), *node.args)


def _is_float(node: Any) -> bool:
    return isinstance(node, Node) and node.meta["val"].dtype.is_floating_point


def _is_mask(node: Any) -> bool:
    return isinstance(node, Node) and node.meta["val"].dtype is torch.bool


def _silu(make: Maker, x: Node) -> Node:
    return make(_aten.mul.Tensor, x, make(_aten.sigmoid.default, x))


def _neg(make: Maker, x: Node) -> Node:
    return make(_aten.mul.Tensor, x, -1.0 if _is_float(x) else -1)


def _rsub(make: Maker, x: Node, other: Any, alpha: Any) -> Node:
    if alpha != 1:
        raise make.refuse(f"with alpha = {alpha} has no lowering")
    return make(_aten.sub.Tensor, other if isinstance(other, Node) else make.number(other, x), x)


def _power(make: Maker, x: Node, exponent: Any) -> Node:
    if exponent == 2:
        return make(_aten.mul.Tensor, x, x)
    if exponent in (0.5, -0.5):
        return make(_aten.sqrt.default if exponent > 0 else _aten.rsqrt.default, x)
    raise make.refuse(f"to the power {exponent} has no lowering; powers are 2, 0.5 and -0.5")


def _stack(make: Maker, parts: list[Node], axis: int) -> Node:
    axis %= len(make.node.meta["val"].shape)
    return make(_aten.cat.default, [make(_aten.unsqueeze.default, part, axis) for part in parts], axis)


def _filled(value: float | None) -> Callable[..., Node]:
    """A constant of the shape of something."""

    def rule(make: Maker, like: Node, *given: Any) -> Node:
        result = make.node.meta["val"]
        return make(_aten.full.default, list(result.shape), given[0] if value is None else value, dtype=result.dtype)

    return rule


def _clamp_min(make: Maker, x: Node, least: float) -> Node:
    return make(_aten.clamp.default, x, least, None)


def _variance(make: Maker, x: Node, axes: list[int], unbiased: bool, keep: bool) -> Node:
    shape = x.meta["val"].shape
    centred = make(_aten.sub.Tensor, x, make(_aten.mean.dim, x, axes, True))
    count = math.prod(shape[axis] for axis in axes) - int(unbiased)
    return make(_aten.mul.Tensor, make(_aten.sum.dim_IntList, make(_aten.mul.Tensor, centred, centred), axes, keep), 1 / count)


def _batch_norm(
    make: Maker, x: Node, weight: Node | None, bias: Node | None, mean: Node | None, variance: Node | None, training: bool, *given: Any
) -> Node:
    """One factor and one summand a channel, which are constants."""
    if training or mean is None or variance is None:
        raise make.refuse("takes its statistics from the batch; export the model in eval mode, with track_running_stats")
    factor = make(_aten.rsqrt.default, make(_aten.add.Tensor, variance, given[1]))
    factor = factor if weight is None else make(_aten.mul.Tensor, factor, weight)
    offset = make(_aten.mul.Tensor, mean, factor)
    summand = make(_aten.sub.Tensor, bias, offset) if bias is not None else make(_aten.mul.Tensor, offset, -1.0)
    shape = [1, -1, *[1] * (x.meta["val"].dim() - 2)]
    factor, summand = (make(_aten.reshape.default, each, shape) for each in (factor, summand))
    return make(_aten.add.Tensor, make(_aten.mul.Tensor, x, factor), summand)


def _attention(make: Maker, query: Node, key: Node, value: Node, mask: Node | None, dropout: float, causal: bool) -> Node:
    if dropout or make.node.kwargs.get("enable_gqa"):
        raise make.refuse("with dropout or grouped queries has no lowering; export the model in eval mode")
    width = query.meta["val"].shape[-1]
    transposed = make(_aten.transpose.int, key, -2, -1)
    scores = make(_aten.mul.Tensor, make(_aten.matmul.default, query, transposed), make.node.kwargs.get("scale") or 1 / math.sqrt(width))
    if causal:
        size = list(scores.meta["val"].shape[-2:])
        mask = make(_aten.tril.default, make(_aten.ones.default, size, dtype=torch.bool))
    if mask is not None and _is_float(mask):
        scores = make(_aten.add.Tensor, scores, mask)
    elif mask is not None:
        scores = _where(make, mask, scores, make.number(MASKED, scores))
    return make(_aten.matmul.default, make(_aten.softmax.int, scores, -1), value)


# --- masks -------------------------------------------------------------------------------------------------------------


_NOT = (_aten.logical_not.default, _aten.bitwise_not.default)


def _differs(make: Maker, x: Node, number: Any) -> Node:
    return make(_aten.logical_not.default, make(_aten.eq.Scalar, x, number))


def _above(make: Maker, x: Node, number: Any) -> Node | None:
    """Item ids greater than 0 are those that are not 0, for no id is negative; other comparisons stay."""
    return _differs(make, x, number) if number == 0 and x.op == "placeholder" and not _is_float(x) else None


def _where(make: Maker, condition: Node, chosen: Any, other: Any) -> Node:
    """``where`` over what was negated chooses the other way round; several negations are peeled off."""
    while condition.target in _NOT:
        source = condition.args[0]
        assert isinstance(source, Node)
        condition, chosen, other = source, other, chosen
    return make(_aten.where.self, condition, chosen, other)


def _turned_where(make: Maker, condition: Node, chosen: Any, other: Any) -> Node | None:
    return _where(make, condition, chosen, other) if condition.target in _NOT else None


def _where_of_numbers(make: Maker, condition: Node, chosen: Any, other: Any) -> Node:
    like = next((value for value in (chosen, other) if isinstance(value, Node)), make.node)
    return _where(make, condition, *(value if isinstance(value, Node) else make.number(value, like) for value in (chosen, other)))


def _masked_fill(make: Maker, x: Node, mask: Node, value: Any) -> Node:
    return _where(make, mask, value if isinstance(value, Node) else make.number(value, x), x)


def _as_number(make: Maker, x: Node, *_: Any) -> Node | None:
    """A truth value as 1 or 0; None for conversions between numbers."""
    if not _is_mask(x) or not _is_float(make.node):
        return None
    return _where(make, x, make.number(1.0, make.node), make.number(0.0, make.node))


def _numbers_of_truth(target: Any) -> Callable[..., Node | None]:
    """Arithmetic on a mask: the mask as numbers first."""

    def rule(make: Maker, *arguments: Any) -> Node | None:
        if not any(map(_is_mask, arguments)) or not _is_float(make.node):
            return None
        return make(target, *(_as_number(make, x) if _is_mask(x) else x for x in arguments))

    return rule


_RULES: dict[Any, Callable[..., Node | None]] = {
    _aten.silu.default: _silu,
    _aten.neg.default: _neg,
    _aten.rsub.Scalar: _rsub,
    _aten.pow.Tensor_Scalar: _power,
    _aten.stack.default: _stack,
    _aten.var.dim: _variance,
    _aten.zeros_like.default: _filled(0.0),
    _aten.ones_like.default: _filled(1.0),
    _aten.full_like.default: _filled(None),
    _aten.clamp_min.default: _clamp_min,
    _aten.batch_norm.default: _batch_norm,
    _aten.scaled_dot_product_attention.default: _attention,
    _aten.ne.Scalar: _differs,
    _aten.gt.Scalar: _above,
    _aten.where.self: _turned_where,
    _aten.where.ScalarSelf: _where_of_numbers,
    _aten.where.ScalarOther: _where_of_numbers,
    _aten.where.Scalar: _where_of_numbers,
    _aten.masked_fill.Scalar: _masked_fill,
    _aten.masked_fill.Tensor: _masked_fill,
    _aten.to.dtype: _as_number,
    _aten._to_copy.default: _as_number,
    **{target: _numbers_of_truth(target) for target in (_aten.mul.Tensor, _aten.add.Tensor, _aten.sub.Tensor)},
}
