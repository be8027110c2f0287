"""What a layer of attention looks like in a program: the layers behind queries, keys and values, and what reads them."""

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch.fx import Node

from chordkit.export.program.operators import LINEAR

_aten = torch.ops.aten
LAYERS = (LINEAR, _aten.linear.default)
"""Linear layers."""
EXCHANGED = [0, 2, 1, 3]
"""Axes of slots and heads."""


@dataclass
class HeadsLayer:
    """A linear layer over slots ``[batch, slots, in]`` whose output is split into heads ``[batch, heads, slots, out / heads]``."""

    node: Node
    heads: int

    @property
    def x(self) -> Node:
        node: Node = self.node.all_input_nodes[0]
        return node


def arguments(node: Node) -> list[Any]:
    """Of a call, in their order."""
    return list(node.args)


def is_call(node: Any, *targets: Any) -> TypeGuard[Node]:
    """Whether it is a call of one of these operators."""
    return isinstance(node, Node) and node.op == "call_function" and node.target in targets


def only_user(node: Node | None, *targets: Any) -> Node | None:
    """The one node that reads it, where there is one and it calls one of these operators."""
    user = next(iter(node.users)) if node is not None and len(node.users) == 1 else None
    return user if is_call(user, *targets) else None


def transposed(node: Any) -> Any:
    """What ``node`` is the transposition of, of its last two axes."""
    exchanged = ([0, 1, 3, 2], [0, 2, 1])
    return arguments(node)[0] if is_call(node, _aten.permute.default) and arguments(node)[1] in exchanged else None


def layer_in_heads(node: Any) -> HeadsLayer | None:
    """The layer whose output ``node`` is, split into heads; None where it is anything else, or is read elsewhere too."""
    if not is_call(node, _aten.permute.default) or arguments(node)[1] != EXCHANGED or len(node.users) != 1:
        return None
    split = arguments(node)[0]
    layer = arguments(split)[0] if is_call(split, _aten.view.default, _aten.reshape.default) and len(split.users) == 1 else None
    if not is_call(layer, *LAYERS) or len(layer.users) != 1 or layer.meta["val"].dim() != 3:
        return None
    shape = split.meta["val"].shape
    return HeadsLayer(layer, shape[2]) if shape[:2] == layer.meta["val"].shape[:2] else None


def is_over_slots(node: Any) -> bool:
    """Whether it is a softmax over the last axis."""
    return is_call(node, _aten.softmax.int) and arguments(node)[1] == node.meta["val"].dim() - 1


def ends_in_softmax(node: Node) -> bool:
    """Whether a softmax over the slots reads it, through what keeps a number that is added to all slots one."""
    reader = only_user(node, _aten.mul.Tensor, _aten.add.Tensor, _aten.softmax.int)
    if is_call(reader, _aten.mul.Tensor) and any(isinstance(each, Node) for each in arguments(reader) if each is not node):
        return False  # a factor may be another for each slot
    return reader is not None and (is_over_slots(reader) or (reader.target is not _aten.softmax.int and ends_in_softmax(reader)))
