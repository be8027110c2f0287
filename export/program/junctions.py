"""Where channels of layers meet in a program: what one layer writes and another alone reads, and queries with keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from chordkit.export.program.operators import LINEAR
from chordkit.export.program.recognise import (
    EXCHANGED,
    arguments,
    ends_in_softmax,
    is_call,
    is_over_slots,
    layer_in_heads,
    only_user,
    transposed,
)

PREFIX = "backbone."
_SUFFIX = ".codes"
_aten = torch.ops.aten
_ACTIVATIONS = (_aten.relu.default, _aten.gelu.default)
_SHAPED = (_aten.view.default, _aten.reshape.default)


@dataclass(frozen=True)
class Junction:
    """Layers whose channels meet: one writes what another alone reads, or queries and keys are multiplied.

    Attributes:
        writers: the layer that writes, or the layers of the queries and of the keys.
        reader: of the writer's channels; None for queries and keys, which have none.
        heads: equal parts that the channels fall into.
        first: the reader's input at which they begin.
        spread: inputs of the reader for each channel, one after the other.
    """

    writers: tuple[str, ...]
    reader: str | None
    heads: int = 1
    first: int = 0
    spread: int = 1


@dataclass(frozen=True)
class Meeting:
    """A junction in a graph.

    Attributes:
        junction: which layers meet.
        activation: between a writer and its reader.
        shaped: nodes whose last axis is one head's channels, or those of all heads, by a shape that they state.
    """

    junction: Junction
    activation: Node | None = None
    shaped: tuple[Node, ...] = ()


def meetings(module: GraphModule, paths: Mapping[str, str]) -> Iterator[Meeting]:
    """All junctions of a graph, in its order.

    Args:
        module: of a program in its one spelling.
        paths: of each constant, by its node's name, where it stands in the model.
    """
    for node in module.graph.nodes:
        if is_call(node, LINEAR):
            yield from _fed(node, paths)
        elif is_call(node, _aten.matmul.default):
            yield from _mixed(node, paths)
            yield from _multiplied(node, paths)


def _fed(writer: Node, paths: Mapping[str, str]) -> Iterator[Meeting]:
    """A layer that another alone reads, perhaps the largest of each channel, perhaps beside others."""
    activation = only_user(writer, *_ACTIVATIONS)
    given = writer if activation is None else activation
    first, spread = 0, 1
    shaped: tuple[Node, ...] = ()
    pooled, last = only_user(given, _aten.amax.default), given.meta["val"].dim() - 1
    flat = only_user(only_user(given, _aten.permute.default), *_SHAPED)
    if pooled is not None and last not in arguments(pooled)[1]:
        given = pooled
    elif flat is not None and last == 2 and arguments(arguments(flat)[0])[1] == [0, 2, 1]:
        # As many inputs of the reader for a channel as there are rows.
        batch, spread, channels = (int(size) for size in given.meta["val"].shape)
        if flat.meta["val"].shape != (batch, channels * spread):
            return
        given, shaped = flat, (flat,)
    joined = only_user(given, _aten.cat.default)
    if joined is not None:
        parts, axis = arguments(joined)
        if axis != joined.meta["val"].dim() - 1 or parts.count(given) != 1:
            return
        first = sum(int(part.meta["val"].shape[-1]) for part in parts[: parts.index(given)])
        given = joined
    reader = only_user(given, LINEAR)
    names = _names(paths, writer, reader)
    if names is not None and reader is not None and _takes(reader, given, writer):
        yield Meeting(Junction(names[:1], names[1], first=first, spread=spread), activation, shaped)


def _mixed(product: Node, paths: Mapping[str, str]) -> Iterator[Meeting]:
    """The values of an attention."""
    softmax, values = arguments(product)
    layer = layer_in_heads(values)
    heads_last = only_user(product, _aten.permute.default)
    joined = only_user(heads_last, *_SHAPED)
    reader = only_user(joined, LINEAR)
    if layer is None or heads_last is None or joined is None or reader is None or not is_over_slots(softmax):
        return
    names = _names(paths, layer.node, reader)
    in_order = arguments(heads_last)[1] == EXCHANGED and joined.meta["val"].shape[-1] == layer.node.meta["val"].shape[-1]
    if names is not None and in_order and _takes(reader, joined, layer.node):
        yield Meeting(Junction(names[:1], names[1], layer.heads), shaped=(_split(values), joined))


def _multiplied(product: Node, paths: Mapping[str, str]) -> Iterator[Meeting]:
    """The queries and keys of an attention."""
    left, right = arguments(product)
    query, key = layer_in_heads(left), layer_in_heads(transposed(right))
    if query is None or key is None or query.heads != key.heads or len(right.users) != 1 or not ends_in_softmax(product):
        return
    names = _names(paths, query.node, key.node)
    if names is not None:
        yield Meeting(Junction(names, None, key.heads), shaped=(_split(left), _split(transposed(right))))


def _split(in_heads: Node) -> Node:
    """The node that splits a layer's channels into heads."""
    node: Node = arguments(in_heads)[0]
    return node


def _names(paths: Mapping[str, str], *layers: Node | None) -> tuple[str, ...] | None:
    """Of layers whose constants nobody else has; None where one is no such layer."""
    found = []
    for layer in layers:
        if not is_call(layer, LINEAR):
            return None
        constants = [each for each in arguments(layer)[1:] if each is not None]
        path = paths.get(constants[0].name, "")
        if not path.endswith(_SUFFIX) or any(len(each.users) != 1 or each.name not in paths for each in constants):
            return None
        found.append(path.removeprefix(PREFIX).removesuffix(_SUFFIX))
    return tuple(found)


def _takes(reader: Node, given: Node, writer: Node) -> bool:
    """Whether ``given`` is its input, and it has a bias for what the writer's channels leave."""
    x, *_, bias = arguments(reader)
    return x is given and (bias is not None or arguments(writer)[4] is None)
