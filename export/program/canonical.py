"""One spelling of a graph, before any target reads it.

torch writes the same computation in many ways: ``x[:, -1]`` selects the index -1, a slice may end at 2**63 - 1, an argument may be
left out or named. A lowering that forgets one of these spellings is wrong without a word (ONNX: ``slice(-1, 0)``, accepted by
its checker, empty at run time). Here each of them is spelt out once, so that a lowering sees, of every operator:

* all positional arguments, defaults filled in; keyword-only arguments only where they are not the default;
* axes, indices and bounds from the front, within the tensor (``0 <= axis < rank``, ``0 <= start <= end <= size``);
* shapes without -1; numbers of the type of the result;
* one name for a move of data: ``permute`` for every transposition, ``slice`` for ``narrow`` and the parts of ``chunk`` and ``split``,
  ``reshape`` for what keeps the order of the elements and is neither ``view``, ``squeeze.dim`` nor ``unsqueeze``; and nothing at all for
  what only copies, or drops out in training alone.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from chordkit.export.program.decompose import decompose
from chordkit.export.program.refusal import refusal

_aten = torch.ops.aten
# Keyword-only arguments that the rest is told of, and those that say nothing about values; any other is refused unless it is the default.
_MEANT = {"approximate", "dtype", "scale", "enable_gqa"}
_IRRELEVANT = {"device", "layout", "pin_memory", "memory_format"}


def canonical(program: ExportedProgram) -> ExportedProgram:
    """Rewrite ``program`` in place, and give it back.

    Raises:
        CapabilityError: an operator is used in a way that has no canonical form.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if not _is_operator(node):
            continue
        if node.target is _aten._assert_tensor_metadata.default:  # torch's note on the type of a value, which is static
            graph.erase_node(node)
            continue
        _fill(node)
        if (replacement := decompose(node)) is not None:
            node.replace_all_uses_with(replacement)
            program.graph_signature.replace_all_uses(node.name, replacement.name)
            graph.erase_node(node)
    graph.eliminate_dead_code()
    for node in list(graph.nodes):
        if _is_operator(node):
            _fill(node)
            _PARTS.get(node.target, _nothing)(node)
            _RENAMED.get(node.target, _nothing)(node)
            _AXES.get(node.target, _axes)(node)
            _remove_if_idle(node)
    graph.eliminate_dead_code()
    graph.lint()
    program.graph_module.recompile()
    return program


def _is_operator(node: Node) -> bool:
    return node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload)


def _nothing(node: Node) -> None:
    """For operators that need no rule."""


def _arguments(node: Node) -> list[Any]:
    return list(node.args)


def _shape(node: Any) -> list[int]:
    return [int(size) for size in node.meta["val"].shape]


def _fill(node: Node) -> None:
    """All positional arguments in order; of the keyword-only ones those that are meant."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        given = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name, argument.default_value)
        if not argument.kwarg_only:
            positional.append(given)
        elif given != argument.default_value and argument.name not in _IRRELEVANT:
            if argument.name not in _MEANT:
                raise refusal(node, f"with {argument.name} = {given} has no lowering; write it with separate operators")
            named[argument.name] = given
    node.args, node.kwargs = tuple(positional), named


# --- axes --------------------------------------------------------------------------------------------------------------


def _axes(node: Node) -> None:
    """Axes and shapes by the names that ATen's schemas give them."""
    arguments = _arguments(node)
    rank = next((len(_shape(argument)) for argument in node.all_input_nodes if isinstance(argument.meta.get("val"), torch.Tensor)), 0)
    for index, argument in enumerate(node.target._schema.arguments[: len(arguments)]):  # type: ignore[union-attr]
        value = arguments[index]
        if argument.name in ("dim", "dims", "dim0", "dim1"):
            if isinstance(value, int):
                arguments[index] = value % max(rank, 1)
            elif isinstance(value, list | tuple):
                arguments[index] = [int(axis) % max(rank, 1) for axis in value]
        elif argument.name in ("size", "shape") and isinstance(value, list | tuple) and -1 in value:
            arguments[index] = _shape(node)
    node.args = tuple(arguments)


def _unsqueeze(node: Node) -> None:
    source, axis = _arguments(node)
    node.args = (source, axis % len(_shape(node)))


def _select(node: Node) -> None:
    source, axis, index = _arguments(node)
    shape = _shape(source)
    node.args = (source, axis % len(shape), index % shape[axis])


def _narrow(node: Node) -> None:
    source, axis, start, length = _arguments(node)
    shape = _shape(source)
    start %= shape[axis]
    node.target, node.args = _aten.slice.Tensor, (source, axis % len(shape), start, start + length, 1)


def _scalars(node: Node) -> None:
    kind = float if node.meta["val"].dtype.is_floating_point else int
    node.args = tuple(kind(value) if isinstance(value, int | float) else value for value in _arguments(node))


def _slice(node: Node) -> None:
    source, axis, start, end, step = _arguments(node)
    shape = _shape(source)
    first, last, _ = slice(start, end).indices(shape[axis])
    node.args = (source, axis % len(shape), first, max(first, last), step)


_AXES: dict[Any, Callable[[Node], None]] = {
    _aten.unsqueeze.default: _unsqueeze,
    _aten.select.int: _select,
    _aten.slice.Tensor: _slice,
    _aten.narrow.default: _narrow,
    **dict.fromkeys((_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor), _scalars),
}


# --- one name for a move of data ---------------------------------------------------------------------------------------


def _as_permute(node: Node) -> None:
    source, *axes = _arguments(node)
    order = list(range(len(_shape(source))))
    first, second = (axis % len(order) for axis in axes) if axes else (len(order) - 2, len(order) - 1)
    order[first], order[second] = order[second], order[first]
    node.target, node.args = _aten.permute.default, (source, order)


def _as_reshape(node: Node) -> None:
    node.target, node.args, node.kwargs = _aten.reshape.default, (node.args[0], _shape(node)), {}


def _renamed(target: Any) -> Callable[[Node], None]:
    def rename(node: Node) -> None:
        node.target = target

    return rename


_SAME = {
    _aten.bitwise_not.default: _aten.logical_not.default,
    _aten.bitwise_and.Tensor: _aten.logical_and.default,
    _aten.bitwise_or.Tensor: _aten.logical_or.default,
    _aten.__and__.Tensor: _aten.logical_and.default,
    _aten.__or__.Tensor: _aten.logical_or.default,
}
_RENAMED: dict[Any, Callable[[Node], None]] = {
    **dict.fromkeys((_aten.transpose.int, _aten.t.default, _aten.mT.default), _as_permute),
    **{old: _renamed(new) for old, new in _SAME.items()},
    **dict.fromkeys(
        (_aten.flatten.using_ints, _aten.unflatten.int, _aten.squeeze.default, _aten.squeeze.dims, _aten._unsafe_view.default),
        _as_reshape,
    ),
}


# --- parts: what gives several tensors becomes a slice for each of them ------------------------------------------------


def _parts(node: Node) -> None:
    """``chunk`` and ``split`` in all their forms, by the sizes that torch has computed."""
    source, *_, axis = _arguments(node)
    axis %= len(_shape(source))
    starts = [0]
    for part in node.meta["val"]:
        starts.append(starts[-1] + int(part.shape[axis]))
    for user in list(node.users):
        assert user.target is operator.getitem
        index = _arguments(user)[1] % len(node.meta["val"])
        user.target, user.args = _aten.slice.Tensor, (source, axis, starts[index], starts[index + 1], 1)


def _unbind(node: Node) -> None:
    source, axis = _arguments(node)
    axis %= len(_shape(source))
    for user in list(node.users):
        assert user.target is operator.getitem
        user.target, user.args = _aten.select.int, (source, axis, _arguments(user)[1] % len(node.meta["val"]))


_PARTS: dict[Any, Callable[[Node], None]] = {
    **dict.fromkeys((_aten.chunk.default, _aten.split.Tensor, _aten.split_with_sizes.default), _parts),
    _aten.unbind.int: _unbind,
}


# --- what does nothing -------------------------------------------------------------------------------------------------

_COPIES = {
    _aten.alias.default,
    _aten.clone.default,
    _aten.contiguous.default,
    _aten.detach.default,
    _aten.detach_.default,
    _aten.dropout.default,
    _aten.lift_fresh_copy.default,
    _aten._to_copy.default,
    _aten.to.dtype,
    _aten.type_as.default,
}


def _remove_if_idle(node: Node) -> None:
    """Take out a copy, a dropout outside of training, and a conversion to the type that the value has."""
    if node.target not in _COPIES:
        return
    source = node.args[0]
    assert isinstance(source, Node)
    if node.target is _aten.dropout.default and node.args[2]:
        raise refusal(node, "drops values out; export the model in eval mode")
    if source.meta["val"].dtype != node.meta["val"].dtype:
        return
    feeds_output = any(user.op == "output" for user in node.users)
    if feeds_output:  # the program's signature knows the output by its name
        _as_reshape(node)
        return
    node.replace_all_uses_with(source)
    node.graph.erase_node(node)
