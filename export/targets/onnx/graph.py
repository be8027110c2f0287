"""An ONNX graph as it is being written: nodes, shared constants, and names for what a person looks for: weights, layers, tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chordkit.quantization import pack_codes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

ITEMS_KEY = "chordkit.items"
"""Of the file's ``metadata_props``: the number of items; ids must lie in 1..items."""
VERSION_KEY = "chordkit.version"
# Oldest opset (and IR version) that has what a graph uses, so that a file asks for no more than it needs.
_BASE_OPSET = 20  # Gelu, LayerNormalization
_OPSETS = {4: 21, 2: 25}  # INT4, INT2
_IR_VERSIONS = {20: 9, 21: 10, 25: 13}
# Names that are numbers: what a model calls so is left to them.
_NUMBERED = re.compile(r"[cv][0-9]+(_[0-9]+)?")
# What one more node costs in the file, about.
_CAST_BYTES = 40


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name and its shape as stored."""

    name: str
    shape: tuple[int, ...]


class GraphBuilder:
    """Collects nodes in execution order; equal constants become one initialiser."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[NodeProto] = []
        self._initializers: dict[tuple[Any, ...], TensorProto] = {}
        self._filled: dict[tuple[tuple[int, ...], float], Value] = {}
        self._called: dict[str, str] = {}
        self._opset = _BASE_OPSET

    def emit(self, operator: str, inputs: Sequence[Value], shape: Sequence[int], **attributes: Any) -> Value:
        """Append a node with one output of ``shape``."""
        return self.emit_several(operator, inputs, [shape], **attributes)[0]

    def emit_several(self, operator: str, inputs: Sequence[Value], shapes: Sequence[Sequence[int]], **attributes: Any) -> tuple[Value, ...]:
        """Append a node with an output of each of ``shapes``."""
        number = len(self._nodes)
        values = tuple(Value(f"v{number}" + ("" if index == 0 else f"_{index}"), tuple(shape)) for index, shape in enumerate(shapes))
        names = [item.name for item in inputs], [value.name for value in values]
        node = self._onnx.helper.make_node(operator, *names, **attributes)
        if operator in ("Gather", "Slice"):
            # ONNX Runtime 1.18 to 1.21 call what they make of these after them, and refuse two of one name.
            node.name = values[0].name
        self._nodes.append(node)
        return values

    def call(self, value: Value, name: str) -> Value:
        """Give a value a name that a person understands, and a layer's node its name; the first that asks for a name gets it."""
        if name and value.name not in self._called and name not in self._called.values() and not _NUMBERED.fullmatch(name):
            self._called[value.name] = name
        return value

    def constant(self, array: np.ndarray, owner: str = "") -> Value:
        """An initialiser with the values, type and shape of ``array``; its owner's alone, if any."""
        array = np.ascontiguousarray(array)
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return self._initializer(kind, array.shape, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(), owner)

    def filled(self, shape: tuple[int, ...], number: float) -> Value:
        """A float32 constant that is one number all over, in no more bytes than that takes."""
        value = self._onnx.TensorProto(data_type=1, dims=[1], raw_data=np.array([number], "<f4").tobytes())
        key = (shape, number)
        if key not in self._filled:
            attributes = {"value": value} if number else {}
            self._filled[key] = self.emit("ConstantOfShape", [self.constant(np.array(shape, np.int64))], shape, **attributes)
        return self._filled[key]

    def indices(self, numbers: np.ndarray) -> Value:
        """Indices for a ``Gather``, in the smallest type that holds them; a runtime widens them when it loads the file."""
        smallest = np.min_scalar_type(int(numbers.max(initial=0)))
        if smallest.itemsize >= 4 or numbers.size * (4 - smallest.itemsize) < _CAST_BYTES:
            return self.constant(numbers.astype(np.int32))
        return self.emit("Cast", [self.constant(numbers.astype(smallest))], numbers.shape, to=6)  # TensorProto.INT32

    def codes(self, codes: np.ndarray, width: int, owner: str = "") -> Value:
        """Integer codes ``[channels, in]`` as an initialiser of ``width`` bits an element, lowest bits first; its owner's alone, if any."""
        self._opset = max(self._opset, _OPSETS.get(width, 0))
        kind = getattr(self._onnx.TensorProto, f"INT{width}")
        return self._initializer(kind, codes.shape, pack_codes(codes.reshape(1, -1), width).tobytes(), owner)

    def _initializer(self, kind: int, shape: tuple[int, ...], data: bytes, owner: str) -> Value:
        key = (kind, shape, data, owner)
        if key not in self._initializers:
            name = f"c{len(self._initializers)}"
            self._initializers[key] = self._onnx.TensorProto(name=name, data_type=kind, dims=shape, raw_data=data)
        return Value(self._initializers[key].name, tuple(shape))

    def model(
        self,
        inputs: Mapping[str, tuple[np.dtype, tuple[int, ...]]],
        outputs: Mapping[str, tuple[Value, np.dtype]],
        metadata: Mapping[str, str],
        version: str,
    ) -> "ModelProto":
        """The whole model; inputs as given, outputs renamed as told, unused nodes and constants left out."""
        onnx, kind_of = self._onnx, self._onnx.helper.np_dtype_to_tensor_dtype
        results = {value.name: name for name, (value, _) in outputs.items()}
        nodes = self._live(set(results))
        names = {number: name for number, name in self._called.items() if name not in {*inputs, *outputs}} | results
        for node in nodes:
            if node.output[0] in self._called:
                node.name = self._called[node.output[0]]
            for written in (node.input, node.output):
                for index, name in enumerate(written):
                    written[index] = names.get(name, name)
        read = {item for node in nodes for item in node.input}
        graph = onnx.helper.make_graph(
            nodes,
            "reranker",
            [onnx.helper.make_tensor_value_info(key, kind_of(dtype), size) for key, (dtype, size) in inputs.items()],
            [onnx.helper.make_tensor_value_info(key, kind_of(dtype), value.shape) for key, (value, dtype) in outputs.items()],
            [self._renamed(tensor, names) for tensor in self._initializers.values() if names.get(tensor.name, tensor.name) in read],
        )
        opset = onnx.helper.make_opsetid("", self._opset)
        model = onnx.helper.make_model(graph, producer_name="chordkit", producer_version=version, opset_imports=[opset])
        model.ir_version = _IR_VERSIONS[self._opset]
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    @staticmethod
    def _renamed(tensor: "TensorProto", names: Mapping[str, str]) -> "TensorProto":
        tensor.name = names.get(tensor.name, tensor.name)
        return tensor

    def _live(self, results: set[str]) -> "list[NodeProto]":
        needed, kept = set(results), []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        return kept[::-1]
