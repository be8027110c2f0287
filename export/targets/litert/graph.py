"""The graph between torch and the flatbuffer: LiteRT operators, plus linear layers whose width groups are not yet split.

Shapes are handled lazily. A :class:`View` is a tensor seen through a reshape and a permutation, as in torch; an operator
is emitted for it only when a consumer cannot read the data as it lies. So the head split of a single-head attention, the
transpose of its keys and every ``unsqueeze`` cost nothing in the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chordkit.export.targets.litert.flatbuffer import GraphSpec, OperatorSpec, Quantization, TensorSpec
from chordkit.quantization import narrowest
from chordkit.quantization.tables import is_int4_table

Shape = tuple[int, ...]

_TYPES = {"float32": "FLOAT32", "int32": "INT32", "int16": "INT16", "int8": "INT8", "bool": "BOOL"}


def strip(shape: Sequence[int]) -> Shape:
    """``shape`` without its leading ones: equal for tensors that broadcast alike."""
    kept = list(shape)
    while kept and kept[0] == 1:
        kept.pop(0)
    return tuple(kept)


@dataclass(frozen=True)
class View:
    """``transpose(reshape(tensor, base), perm)``: a torch value and where its data lies."""

    tensor: TensorSpec
    base: Shape
    perm: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """Shape of the value as torch sees it."""
        return tuple(self.base[axis] for axis in self.perm)

    @property
    def squeezed(self) -> tuple[Shape, tuple[int, ...]]:
        """Base and permutation without the axes of size one, which move no data."""
        axes = [axis for axis, size in enumerate(self.base) if size != 1]
        rank = {axis: position for position, axis in enumerate(axes)}
        return tuple(self.base[axis] for axis in axes), tuple(rank[axis] for axis in self.perm if axis in rank)

    @property
    def is_dense(self) -> bool:
        """Whether the data lies in the order of ``shape``."""
        perm = self.squeezed[1]
        return perm == tuple(range(len(perm)))


def view(tensor: TensorSpec, shape: Sequence[int] | None = None) -> View:
    """The plain view of ``tensor`` with the logical ``shape`` (default: its own)."""
    base = tuple(tensor.shape if shape is None else shape)
    return View(tensor, base, tuple(range(len(base))))


@dataclass(eq=False)
class LinearWeights:
    """Weights of a linear layer: float32 ``[out, in]``, or codes on the integer grid with a width for each channel.

    Attributes:
        codes: float32 weights when ``widths`` is None, else int8 codes; ``[out, in]``.
        scales: float32 ``[out]``, one for each channel (ones for float weights).
        widths: uint8 ``[out]`` in {0, 2, 4, 8}, or None.
    """

    codes: np.ndarray
    scales: np.ndarray
    widths: np.ndarray | None


@dataclass(eq=False)
class LinearNode:
    """``output = act(input W^T + bias)``, one layer of the model, before it is split by width.

    Attributes:
        name: module path, for the names of the weights in the file.
        relu: whether the activation is fused.
        transposed: ``output = input W`` instead, a sum over output channels (see :func:`chordkit.export.program.absorbed`).
    """

    name: str
    input: TensorSpec
    output: TensorSpec
    weights: LinearWeights
    bias: np.ndarray | None
    relu: bool = False
    transposed: bool = False

    @property
    def inputs(self) -> list[TensorSpec | None]:
        """Activations read, as an operator has them."""
        return [self.input]

    @property
    def outputs(self) -> list[TensorSpec]:
        """Activations written, as an operator has them."""
        return [self.output]


Node = OperatorSpec | LinearNode


@dataclass
class Builder:
    """Collects nodes; equal constants and equal operators exist once."""

    # Nodes in execution order; who writes a tensor, by id; looked-up rows before scaling and their scales, by id; bits of the narrowest
    # type that the runtime knows, and of a mask: 8 in a file whose weights are no narrower, so that older runtimes load it.
    nodes: list[Node] = field(default_factory=list)
    producers: dict[int, Node] = field(default_factory=dict)
    scaled_rows: dict[int, tuple[TensorSpec, TensorSpec]] = field(default_factory=dict)
    narrowest: int = 2
    mask_bits: int = 8
    _constants: dict[Any, TensorSpec] = field(default_factory=dict)
    _emitted: dict[Any, TensorSpec] = field(default_factory=dict)

    def constant(self, array: np.ndarray, name: str = "") -> TensorSpec:
        """The constant tensor with the values of ``array`` (float32, int32, int16, int8 or bool)."""
        array = np.ascontiguousarray(array)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._constants:
            self._constants[key] = TensorSpec(array.shape, _TYPES[array.dtype.name], array.tobytes(), name=name)
        return self._constants[key]

    def table(self, codes: np.ndarray, scales: np.ndarray, name: str = "") -> TensorSpec:
        """A constant of int8 codes ``[rows, dim]`` with ``scales`` of size one or one for each row; int4 when all fit, and may."""
        type_, data = pack_table(codes, self.narrowest)
        key = (codes.shape, type_, data, scales.tobytes())
        if key not in self._constants:
            self._constants[key] = TensorSpec(tuple(codes.shape), type_, data, Quantization(scales), name)
        return self._constants[key]

    def indices(self, numbers: np.ndarray) -> TensorSpec:
        """Constant indices for a GATHER, in the smallest type that it takes."""
        return self.constant(numbers.astype(np.int16 if numbers.max(initial=0) < 1 << 15 else np.int32))

    def scalar(self, value: float) -> TensorSpec:
        """A float32 scalar."""
        return self.constant(np.asarray(value, np.float32))

    def add(self, node: Node) -> None:
        """Append ``node``."""
        self.nodes.append(node)
        for tensor in node.outputs:
            self.producers[id(tensor)] = node

    def emit(
        self,
        code: str,
        inputs: Sequence[TensorSpec | None],
        shape: Sequence[int],
        options: tuple[str, dict[str, Any]] | None = None,
        type: str = "FLOAT32",
        quantization: Quantization | None = None,
    ) -> TensorSpec:
        """Append an operator with one output of the given shape and type, or return the output of an equal one."""
        key = (code, tuple(id(tensor) for tensor in inputs), tuple(shape), repr(options), type)
        if key not in self._emitted:
            output = TensorSpec(tuple(shape), type, quantization=quantization)
            self.add(OperatorSpec(code, list(inputs), [output], options))
            self._emitted[key] = output
        return self._emitted[key]

    def reshape(self, tensor: TensorSpec, shape: Sequence[int]) -> TensorSpec:
        """``tensor`` with exactly this shape."""
        if tuple(shape) == tensor.shape:
            return tensor
        sizes = self.constant(np.asarray(shape, np.int32))
        return self.emit("RESHAPE", [tensor, sizes], shape, ("ReshapeOptions", {"newShape": list(shape)}), tensor.type)

    def fit(self, tensor: TensorSpec, shape: Sequence[int]) -> TensorSpec:
        """``tensor`` with this shape up to leading ones."""
        return tensor if strip(tensor.shape) == strip(shape) else self.reshape(tensor, shape)

    def dense(self, value: View, *, swap: bool = False) -> tuple[TensorSpec, bool]:
        """The data of ``value`` in row-major order, in a tensor of any shape.

        Args:
            value: what to read.
            swap: the caller can also read the last two axes exchanged.

        Returns:
            The tensor and whether its last two axes are exchanged.
        """
        base, perm = value.squeezed
        order = tuple(range(len(perm)))
        if perm == order:
            return value.tensor, False
        can_swap = swap and 1 not in value.shape[-2:]
        exchanged = (*perm[:-2], perm[-1], perm[-2])
        if can_swap and exchanged == order:
            return value.tensor, True
        # A transpose that keeps rows whole copies them; the other kind moves single elements.
        use_swap = can_swap and exchanged[-1] == order[-1]
        chosen = exchanged if use_swap else perm
        source = self.reshape(value.tensor, base)
        axes = self.constant(np.asarray(chosen, np.int32))
        shape = tuple(base[axis] for axis in chosen)
        return self.emit("TRANSPOSE", [source, axes], shape, ("TransposeOptions", {}), source.type), use_swap

    def read(self, value: View) -> TensorSpec:
        """The value as a tensor of its own shape, up to leading ones."""
        return self.fit(self.dense(value)[0], strip(value.shape))

    def matrix(self, value: View, rank: int) -> tuple[TensorSpec, bool]:
        """The value as an operand of BATCH_MATMUL: a tensor of rank two or more, and whether it lies transposed.

        Where it has to be reshaped, it gets the ``rank`` of the other operand, as far as its own leading ones go.
        """
        tensor, swapped = self.dense(value, swap=True)
        shape = (*value.shape[:-2], value.shape[-1], value.shape[-2]) if swapped else value.shape
        wanted = shape[-max(rank, len(strip(shape[:-2])) + 2) :]
        fits = strip(tensor.shape) == strip(wanted) and tensor.shape[-2:] == wanted[-2:]
        return tensor if fits else self.reshape(tensor, wanted), swapped

    def binary(self, code: str, options: str, first: TensorSpec, second: TensorSpec) -> TensorSpec:
        """An element-wise operator on tensors whose shapes already broadcast."""
        shape = np.broadcast_shapes(first.shape, second.shape)
        return self.emit(code, [first, second], shape, (options, {}))

    def reduce(self, code: str, tensor: TensorSpec, axis: int, *, keep: bool) -> TensorSpec:
        """A reduction over one axis."""
        shape = list(tensor.shape)
        if keep:
            shape[axis] = 1
        else:
            del shape[axis]
        axes = self.constant(np.asarray([axis], np.int32))
        return self.emit(code, [tensor, axes], shape, ("ReducerOptions", {"keepDims": keep}))

    def linear(self, name: str, source: TensorSpec, weights: LinearWeights, bias: np.ndarray | None) -> TensorSpec:
        """Append a linear layer over the last ``in`` values of ``source``; its output is ``[..., out]``."""
        outputs, inputs = weights.codes.shape
        if len(source.shape) < 2:
            source = self.reshape(source, (1, *source.shape))
        keeps = source.shape[-1:] == (inputs,)
        shape = (*source.shape[:-1], outputs) if keeps else (math.prod(source.shape) // inputs, outputs)
        node = LinearNode(name, source, TensorSpec(shape), weights, bias)
        self.add(node)
        return node.output


def stored_widths(widths: np.ndarray) -> np.ndarray:
    """Bits of each channel in the file: channels that are off are zeros among the narrowest others of the layer."""
    return np.where(widths == 0, narrowest(widths, 2), widths)


def pack(codes: np.ndarray, width: int) -> bytes:
    """LiteRT's bytes of integer codes: lowest bits first, row-major, without padding between rows."""
    if width == 8:
        return np.ascontiguousarray(codes, np.int8).tobytes()
    per_byte = 8 // width
    flat = codes.reshape(-1).astype(np.uint8) & ((1 << width) - 1)
    flat = np.pad(flat, (0, -flat.size % per_byte)).reshape(-1, per_byte)
    shifts = np.arange(per_byte, dtype=np.uint8) * width
    return np.bitwise_or.reduce(flat << shifts, axis=1).astype(np.uint8).tobytes()


def pack_table(codes: np.ndarray, narrowest: int = 2) -> tuple[str, bytes]:
    """Type and bytes of a table: INT4 when it may, every code fits the int4 grid and rows fill whole bytes, else INT8."""
    if narrowest <= 4 and is_int4_table(codes):
        nibbles = codes.astype(np.uint8) & 15
        return "INT4", (nibbles[:, 0::2] | nibbles[:, 1::2] << 4).astype(np.uint8).tobytes()
    return "INT8", np.ascontiguousarray(codes, np.int8).tobytes()


def consumers(nodes: Sequence[Node]) -> dict[int, list[Node]]:
    """Which nodes read each tensor, by ``id``."""
    readers: dict[int, list[Node]] = {}
    for node in nodes:
        for tensor in node.inputs:
            if tensor is not None:
                readers.setdefault(id(tensor), []).append(node)
    return readers


def without_dead_nodes(nodes: Sequence[Node], outputs: Sequence[TensorSpec]) -> list[Node]:
    """The nodes that the outputs depend on, in order."""
    live = {id(tensor) for tensor in outputs}
    kept: list[Node] = []
    for node in reversed(nodes):
        if any(id(tensor) in live for tensor in node.outputs):
            kept.append(node)
            live.update(id(tensor) for tensor in node.inputs if tensor is not None)
    return kept[::-1]


def hoisted(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with those that XNNPACK does not run moved to the front, as far as data allows.

    The runtime hands maximal runs of supported nodes to XNNPACK; lookups in the middle would cut a run in two.
    """
    waiting = list(nodes)
    pending = {id(tensor) for node in nodes for tensor in node.outputs}
    order: list[Node] = []
    while waiting:
        ready = [node for node in waiting if not any(id(tensor) in pending for tensor in node.inputs)]
        batch = [node for node in ready if not _in_xnnpack(node)] or ready[:1]
        order += batch
        pending.difference_update(id(tensor) for node in batch for tensor in node.outputs)
        taken = {id(node) for node in batch}
        waiting = [node for node in waiting if id(node) not in taken]
    return order


def _in_xnnpack(node: Node) -> bool:
    if isinstance(node, LinearNode):
        return True
    sub_byte = any(tensor is not None and tensor.type in ("INT2", "INT4") for tensor in node.inputs)
    return not (node.code in ("GATHER", "CAST", "TOPK_V2") or (node.code == "DEQUANTIZE" and sub_byte))


def to_spec(nodes: Sequence[Node], inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec]) -> GraphSpec:
    """The finished graph; every linear layer must have been split."""
    operators = []
    for node in nodes:
        assert isinstance(node, OperatorSpec)
        operators.append(node)
    return GraphSpec(inputs, outputs, operators)
