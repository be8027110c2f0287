"""Algebra of attention: the same numbers, up to rounding, from fewer products.

The factor ``1 / sqrt(head size)`` on the scores can live in the weights of the query (:func:`scaled_queries`). The rest is for where one
query is asked for (:func:`absorbed`): the last block asks for the last position alone. With ``P`` the softmax over the slots ``X``, and
``q`` the query:

* values: ``P (X W^T + b) = (P X) W^T + b``, as the rows of ``P`` sum to one. The value layer runs on one row for each head instead of one
  for each slot.
* keys: ``q (X W^T + b)^T = (q W) X^T + q b^T``; the last term is one number for all slots, which a softmax does not see. The key layer
  runs on one row for each head, transposed (``chord::channel_linear_transposed``).
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind, InputSpec, TensorArgument
from torch.fx import Graph, Node
from torch.nn import Parameter

from chordkit.export.program.operators import LINEAR, LINEAR_TRANSPOSED
from chordkit.export.program.recognise import (
    EXCHANGED,
    LAYERS,
    HeadsLayer,
    arguments,
    ends_in_softmax,
    is_call,
    is_over_slots,
    layer_in_heads,
    only_user,
    transposed,
)
from chordkit.export.program.renewed import renewed
from chordkit.export.program.walk import constant_paths

_aten = torch.ops.aten
_LAYOUTS = (_aten.view.default, _aten.reshape.default, _aten.permute.default)
Keys = Literal["all", "float32", "none"]


def scaled_queries(program: ExportedProgram) -> ExportedProgram:
    """The same re-ranker with a number that scores of attention are multiplied by moved into the layer of their queries.

    Args:
        program: from :func:`chordkit.export.program.export_program`; it is left as it is.
    """
    module = copy.deepcopy(program.graph_module)
    paths, state = constant_paths(program), dict(program.state_dict)
    for factor in list(module.graph.nodes):
        product = arguments(factor)[0] if is_call(factor, _aten.mul.Tensor) and isinstance(factor.args[1], float) else None
        if not is_call(product, _aten.matmul.default) or len(product.users) != 1:
            continue
        query = arguments(product)[0]
        while is_call(query, *_LAYOUTS) and len(query.users) == 1:
            query = arguments(query)[0]
        if not is_call(query, *LAYERS) or len(query.users) != 1:
            continue
        _, weights, *others = arguments(query)
        linear = [others[0], others[2]] if query.target is LINEAR else [weights, others[0]]
        tensors = [tensor for tensor in linear if tensor is not None]
        if any(paths.get(tensor.name) not in state or len(tensor.users) != 1 for tensor in tensors):
            continue
        for tensor in tensors:
            scaled = state[paths[tensor.name]].detach() * factor.args[1]
            state[paths[tensor.name]] = Parameter(scaled) if isinstance(state[paths[tensor.name]], Parameter) else scaled
        factor.replace_all_uses_with(product)
        module.graph.erase_node(factor)
    module.recompile()
    return renewed(program, module=module, state=state)


def absorbed(program: ExportedProgram, *, keys: Keys = "all") -> ExportedProgram:
    """The same re-ranker with the key and value layers of each attention of one query applied behind the attention.

    Args:
        program: from :func:`chordkit.export.program.export_program`; it is left as it is.
        keys: which key layers are too: all, those with float32 weights, or none. What computes with activations of 8 bits cannot have
            the others, as the sum over output channels goes across their scales.

    Returns:
        A program in the same spelling. It is ``program`` itself where no attention has one query.
    """
    if not any(is_call(node, _aten.matmul.default) and node.meta["val"].shape[-2:-1] == (1,) for node in program.graph.nodes):
        return program
    module = copy.deepcopy(program.graph_module)
    rewriting = _Rewriting(module.graph, list(program.graph_signature.input_specs), dict(program.constants))
    for node in list(module.graph.nodes):
        if is_call(node, _aten.matmul.default):
            rewriting.values(node)
            if keys != "none":
                rewriting.keys(node, float32_alone=keys == "float32")
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    signature = ExportGraphSignature(rewriting.inputs, list(program.graph_signature.output_specs))
    return renewed(program, module=module, signature=signature, constants=rewriting.constants)


@dataclass
class _Rewriting:
    graph: Graph
    inputs: list[InputSpec]
    constants: dict[str, Any]

    def values(self, product: Node) -> None:
        """Apply the value layer behind the product of a softmax of one row with the values."""
        softmax, values = arguments(product)
        layer, joined = _layer(values), _joined(product)
        if layer is None or joined is None or not is_over_slots(softmax) or softmax.meta["val"].shape[-2] != 1:
            return
        batch, slots, _ = layer.x.meta["val"].shape
        if softmax.meta["val"].shape[:2] != (batch, layer.heads):
            return
        with self.graph.inserting_before(joined):
            rows = self._call(_aten.view.default, softmax, [batch, layer.heads, slots])
            mixed = self._call(_aten.matmul.default, rows, layer.x)
            result = self._call(layer.node.target, mixed, *arguments(layer.node)[1:])
            if layer.heads > 1:
                own = self._call(_aten.mul.Tensor, result, self._own_channels(layer))
                result = self._call(_aten.sum.dim_IntList, own, [1], True)
            if result.meta["val"].shape != joined.meta["val"].shape:
                result = self._call(_aten.view.default, result, list(joined.meta["val"].shape))
        joined.replace_all_uses_with(result)

    def keys(self, product: Node, *, float32_alone: bool) -> None:
        """Apply the key layer to the query, where the scores go into a softmax."""
        query, keys = arguments(product)
        layer, asked = _layer(transposed(keys)), _layer(query)
        if layer is None or asked is None or product.meta["val"].shape[-2] != 1 or not ends_in_softmax(product):
            return
        if float32_alone and layer.node.target is LINEAR:
            return
        with self.graph.inserting_before(product):
            rows = asked.node
            if layer.heads > 1:
                rows = self._call(_aten.mul.Tensor, rows, self._own_channels(layer))
            if layer.node.target is _aten.linear.default:
                projected = self._call(_aten.matmul.default, rows, arguments(layer.node)[1])
            else:
                projected = self._call(LINEAR_TRANSPOSED, rows, *arguments(layer.node)[1:4])
            slots_last = self._call(_aten.permute.default, layer.x, [0, 2, 1])
            scores = self._call(_aten.matmul.default, projected, slots_last)
            result = self._call(_aten.view.default, scores, list(product.meta["val"].shape))
        product.replace_all_uses_with(result)

    def _call(self, target: Any, *operands: Any) -> Node:
        node = self.graph.call_function(target, operands)
        node.meta["val"] = target(*torch.fx.map_arg(operands, lambda each: each.meta["val"]))
        return node

    def _own_channels(self, layer: HeadsLayer) -> Node:
        """``[heads, out]``: 1 where the channel belongs to the head."""
        channels = int(layer.node.meta["val"].shape[-1])
        name = f"own_channels_{layer.heads}_{channels}"
        found = next((node for node in self.graph.nodes if node.op == "placeholder" and node.name == name), None)
        if found is not None:
            return found
        own = torch.eye(layer.heads).repeat_interleave(channels // layer.heads, dim=1)
        first = next(node for node in self.graph.nodes if node.op == "placeholder")
        with self.graph.inserting_before(first):
            node = self.graph.placeholder(name)
        mode = first.meta["val"].fake_mode
        node.meta["val"] = mode.from_tensor(own, static_shapes=True)
        self.inputs.insert(0, InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(name), name))
        self.constants[name] = own
        return node


def _layer(node: Any) -> HeadsLayer | None:
    """The layer that queries, keys or values come from: split into heads, or of one head as it is."""
    alone = is_call(node, *LAYERS) and len(node.users) == 1 and node.meta["val"].dim() == 3
    return HeadsLayer(node, 1) if alone else layer_in_heads(node)


def _joined(product: Node) -> Node | None:
    """Where the heads that are mixed lie beside each other again."""
    if product.meta["val"].dim() == 3:
        return product
    heads_last = only_user(product, _aten.permute.default)
    exchanged = heads_last is not None and arguments(heads_last)[1] == EXCHANGED
    return only_user(heads_last, _aten.reshape.default, _aten.view.default) if exchanged else None
