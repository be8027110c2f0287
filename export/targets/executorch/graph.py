"""The re-ranker rewritten for ExecuTorch: the same computation from operators that XNNPACK takes into one delegate.

A delegate boundary costs as much as a layer at these sizes, and XNNPACK's partitioner leaves out LayerNorm, batched
``matmul`` (for the ``expand`` inside), ``select`` and ``squeeze``. Written as row sums, ``bmm``, slices and reshapes,
everything but the id lookups and the padding mask is one delegate.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chordkit.export.program import Run, constant_paths, future_value, refusal, runs
from chordkit.export.targets.executorch.top import later_by, top_places
from chordkit.quantization import narrowest
from chordkit.quantization.tables import is_int4_table

# Storage groups, the argument of regroup(): XNNPACK has no 2-bit weights, so int2 codes are stored as int4.
INT4, INT8 = 0, 1
_MARKED_LINEAR = "chord.channel_linear.default"
_MARKED_EMBEDDING = "chord.row_embedding.default"
# What one more slice of a layer's output takes in the file.
_SLICE_BYTES = 100
_RANGES = {INT4: (-8, 7), INT8: (-128, 127)}


def storage_groups(widths: np.ndarray) -> np.ndarray:
    """Group of each channel of a layer: ``INT4`` for 4 bits and fewer, ``INT8`` for 8; those that are off go with the narrowest others."""
    widths = np.asarray(widths)
    return np.where(np.where(widths == 0, narrowest(widths, 4), widths) > 4, INT8, INT4)


def groups_in_file(widths: np.ndarray, inputs: int) -> np.ndarray:
    """Group of each channel of a layer of ``inputs`` features, once the short runs are gone."""
    return with_fewer_runs(storage_groups(widths), inputs)


def one_group(widths: np.ndarray, inputs: int) -> np.ndarray:
    """Group of each channel in the layout ``speed``: ``INT8``."""
    return np.full(np.shape(widths), INT8)


def with_fewer_runs(groups: np.ndarray, inputs: int) -> np.ndarray:
    """``groups [channels]`` with short runs of ``INT4`` between others stored as ``INT8``, as long as that costs less than their slices.

    The codes and scales stay what they are, so that nothing is computed differently.
    """
    groups = groups.copy()
    while True:
        found = runs(groups)
        costs = {
            run: (run.stop - run.start) * inputs // 2 - _SLICE_BYTES * ((run.start > 0) + (run.stop < len(groups)))
            for run in found
            if run.group == INT4 and len(found) > 2
        }
        best = min(costs, key=costs.__getitem__, default=None)
        if best is None or costs[best] >= 0:
            return groups
        groups[best.start : best.stop] = INT8


class XnnpackGraph(nn.Module):
    """An exported program as a module that runs (and traces) XNNPACK's forms of its operators.

    Args:
        program: from ``export_program``; marker ops are replaced by ``quantized_decomposed`` operators.
        top: how many of the candidates, or of the catalogue, it gives, as ids int32 and scores; None = scores of all.
        group_of: storage group of each channel of a layer, from their widths and the number of its inputs.

    Raises:
        CapabilityError: an operator has no form here.
    """

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        top: int | None = None,
        group_of: Callable[[np.ndarray, int], np.ndarray] = groups_in_file,
    ) -> None:
        super().__init__()
        self._group_of = group_of
        self._top, self._catalogue = top, "candidates" not in program.graph_signature.user_inputs
        if top is not None:
            columns = program.graph.output_node().args[0][0].meta["val"].shape[1] - int(self._catalogue)
            self.register_buffer("later", later_by(columns))
        constants: dict[str, Any] = {**program.state_dict, **program.constants}
        self._nodes = list(program.graph.nodes)
        self._constants: dict[str, Tensor] = {name: constants[path].detach() for name, path in constant_paths(program).items()}
        self._layers: dict[str, list[Run]] = {}
        self._masks: dict[str, float] = {}  # causal masks by their names, and the number that hides the future
        self._made: dict[str, str] = {}  # constants that were computed here, and the names of their buffers
        for node in self._nodes:
            if node.op != "call_function" or self._is_constant(node):
                continue
            if str(node.target) not in (*_FORMS, _MARKED_LINEAR):
                raise refusal(node, target="executorch")
            if str(node.target) == _MARKED_LINEAR:
                self._add_groups(node)
            else:
                kept = [self._constants.get(argument.name) for argument in node.all_input_nodes]
                if str(node.target) == _MARKED_EMBEDDING:
                    kept = _table(*kept)
                for argument, tensor in zip(node.all_input_nodes, kept, strict=True):
                    if tensor is not None:
                        self._keep(self._made.get(argument.name, argument.name), tensor)
            if node.target is torch.ops.aten.layer_norm.default:
                size = node.args[1][-1]
                self._keep(f"row_mean_{size}", torch.full((1, size), 1.0 / size))

    def _is_constant(self, node: torch.fx.Node) -> bool:
        """Whether ``node`` is made from nothing (``arange``, ``ones``, what follows from them); its value then is one of the constants.

        What follows from weights stays in the graph, so that a file holds each weight as the model has it.
        """
        if any(argument.name not in self._made for argument in node.all_input_nodes):
            return False
        arguments = torch.fx.map_arg((node.args, node.kwargs), lambda argument: self._constants[argument.name])
        self._constants[node.name] = node.target(*arguments[0], **arguments[1])  # type: ignore[operator]
        self._made[node.name] = f"made_{node.name}"
        return True

    def _keep(self, name: str, tensor: Tensor) -> None:
        future = future_value(tensor.numpy())
        if future is not None:
            self._masks[name] = future
            slots = torch.arange(len(tensor), dtype=torch.float32)
            self._keep(f"slots_{len(tensor)}", slots)
            self._keep(f"rows_{len(tensor)}", slots[:, None])
        elif name not in self._buffers:
            # A copy of its own: the serialiser writes the whole storage behind a tensor. Constant ids as embedding_byte wants them.
            self.register_buffer(name, (tensor.long() if tensor.dtype == torch.int32 else tensor).contiguous().clone())

    def _add_groups(self, node: torch.fx.Node) -> None:
        _, codes, scales, widths, bias = (self._constants.get(getattr(argument, "name", "")) for argument in node.args)
        assert codes is not None and scales is not None and widths is not None
        groups = self._group_of(widths.numpy(), codes.shape[1])
        if codes.shape[1] == 1:  # one 4-bit number alone ends XNNPACK's loader with a segmentation fault; a byte each, then
            groups = np.full_like(groups, INT8)
        self._layers[node.name] = runs(groups)
        for group in np.unique(groups):
            members = torch.from_numpy(np.flatnonzero(groups == group))
            self._keep(f"{node.name}_codes_{group}", codes[members])
            self._keep(f"{node.name}_scales_{group}", scales[members])
            self._keep(f"zeros_{members.numel()}", torch.zeros(members.numel(), dtype=torch.int64))
        if bias is not None:
            self._keep(f"{node.name}_bias", bias)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Run the program on its inputs, in their order."""
        scores = self._scores(*inputs)
        if self._top is None:
            return scores
        if self._catalogue:
            scores = scores.narrow(1, 1, scores.shape[1] - 1)
        places = top_places(scores, self._top, self.get_buffer("later"))
        ids = (places + 1).to(torch.int32) if self._catalogue else torch.gather(inputs[-1], 1, places)
        return ids, torch.gather(scores, 1, places)

    def _scores(self, *inputs: Tensor) -> Tensor:
        values: dict[torch.fx.Node, Any] = {}
        remaining = iter(inputs)
        for node in self._nodes:
            if node.op == "placeholder":
                values[node] = self._constant(node.name) if node.name in self._constants else next(remaining)
            elif node.op == "output":
                break
            elif node.name in self._constants:
                values[node] = self._constant(self._made.get(node.name, node.name))
            elif str(node.target) == _MARKED_LINEAR:
                values[node] = self._grouped_linear(node.name, values[node.args[0]])
            elif node.target is torch.ops.aten.layer_norm.default:
                values[node] = self._layer_norm(*torch.fx.map_arg(node.args, values.get))
            elif node.target is torch.ops.aten.linear.default and node.args[1].name not in self._constants:
                values[node] = _computed_linear(*torch.fx.map_arg(node.args, values.get))
            else:
                values[node] = _FORMS[str(node.target)](*torch.fx.map_arg(node.args, values.get), **node.kwargs)
        result = torch.fx.map_arg(self._nodes[-1].args[0], values.get)
        assert isinstance(result[0], Tensor)
        return result[0]

    def _constant(self, name: str) -> Tensor | None:
        """A constant that is kept, or one that is made anew in every call, which XNNPACK does faster than it is worth storing."""
        if name not in self._masks:
            return self._buffers.get(name)
        size = self._constants[name.removeprefix("made_")].shape[0]
        later = self.get_buffer(f"slots_{size}") - self.get_buffer(f"rows_{size}")
        return F.hardtanh(later, 0.0, 1.0) * self._masks[name]

    def _grouped_linear(self, name: str, x: Tensor) -> Tensor:
        outputs = {}
        for group in sorted({run.group for run in self._layers[name]}):
            codes, scales = self.get_buffer(f"{name}_codes_{group}"), self.get_buffer(f"{name}_scales_{group}")
            zeros = self.get_buffer(f"zeros_{codes.shape[0]}")
            low, high = _RANGES[group]
            weight = torch.ops.quantized_decomposed.dequantize_per_channel(codes, scales, zeros, 0, low, high, torch.int8)
            outputs[group] = F.linear(x, weight)
        parts = []
        for run in self._layers[name]:
            whole, size = outputs[run.group], run.stop - run.start
            parts.append(whole if whole.shape[-1] == size else whole.narrow(-1, run.first, size))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        bias = self._buffers.get(f"{name}_bias")
        # Weight-only kernels of XNNPACK multiply their bias by the channel's scale: it is added outside.
        return joined if bias is None else joined + bias

    def _layer_norm(self, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float, *_: Any) -> Tensor:
        row_mean = self.get_buffer(f"row_mean_{shape[-1]}")
        centred = x - F.linear(x, row_mean)
        normed = centred * torch.rsqrt(F.linear(centred * centred, row_mean) + eps)
        normed = normed if weight is None else normed * weight
        return normed if bias is None else normed + bias


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    # One matrix for all of a batch: its rows, as those of one.
    rows = a.reshape(1, -1, a.shape[-1]) if b.dim() == 2 else a.reshape(-1, *a.shape[-2:])
    product = torch.bmm(rows, b.reshape(-1, *b.shape[-2:]))
    return product.reshape(*a.shape[:-1], b.shape[-1])


def _computed_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    # XNNPACK takes constant weights alone, and what it leaves must be an operator that every runtime has.
    product = torch.mm(x, weight.permute(1, 0)) if x.dim() == 2 else _matmul(x, weight.permute(1, 0))
    return product if bias is None else product + bias


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    return _squeeze(x.narrow(dim, index, 1), dim)


def _squeeze(x: Tensor, dim: int) -> Tensor:
    shape = list(x.shape)
    del shape[dim]
    return x.reshape(shape)


def _unsqueeze(x: Tensor, dim: int) -> Tensor:
    shape = list(x.shape)
    shape.insert(dim, 1)
    return x.reshape(shape)


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    if approximate == "none":
        return F.gelu(x)
    # XNNPACK has the exact form alone, and takes the other one for it without a word.
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _table(ids: Tensor | None, codes: Tensor | None, scales: Tensor | None) -> list[Tensor | None]:
    """A table as ``embedding_4bit`` reads it, the first of two codes in a byte's upper half, where all codes are int4; else as it is."""
    if codes is None or scales is None or not is_int4_table(codes.numpy()):
        return [ids, codes, scales]
    halves = (codes + 8).to(torch.uint8)
    return [ids, halves[:, 0::2] << 4 | halves[:, 1::2], scales.unsqueeze(1)]


def _row_embedding(ids: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    if codes.dtype == torch.uint8:
        return torch.ops.quantized_decomposed.embedding_4bit(codes, scales, None, -8, 7, ids.long())
    if codes.shape[1] == 1:  # embedding_byte takes rows of two numbers and more
        return F.embedding(ids.long(), codes).to(torch.float32) * F.embedding(ids.long(), scales.unsqueeze(1))
    return torch.ops.quantized_decomposed.embedding_byte(codes, scales, None, -128, 127, ids.long())


def _same(name: str) -> Callable[..., Any]:
    namespace, operator, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), operator), overload)


_FORMS: dict[str, Callable[..., Any]] = {
    **{
        name: _same(name)
        for name in (
            "aten.abs.default",
            "aten.add.Tensor",
            "aten.amax.default",
            "aten.cat.default",
            "aten.clamp.default",
            "aten.div.Tensor",
            "aten.embedding.default",
            "aten.eq.Scalar",
            "aten.exp.default",
            "aten.expand.default",
            "aten.gt.Scalar",
            "aten.index_select.default",
            "aten.layer_norm.default",
            "aten.linear.default",
            "aten.logical_and.default",
            "aten.logical_not.default",
            "aten.logical_or.default",
            "aten.lt.Scalar",
            "aten.mean.dim",
            "aten.mul.Tensor",
            "aten.permute.default",
            "aten.relu.default",
            "aten.reshape.default",
            "aten.rsqrt.default",
            "aten.sigmoid.default",
            "aten.slice.Tensor",
            "aten.softmax.int",
            "aten.sqrt.default",
            "aten.sub.Tensor",
            "aten.sum.dim_IntList",
            "aten.tanh.default",
            "aten.view.default",
            "aten.where.self",
        )
    },
    "aten.gelu.default": _gelu,
    "aten.matmul.default": _matmul,
    "aten.select.int": _select,
    "aten.squeeze.dim": _squeeze,
    "aten.unsqueeze.default": _unsqueeze,
    _MARKED_EMBEDDING: _row_embedding,
}
