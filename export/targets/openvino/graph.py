"""An OpenVINO graph as it is being written: nodes with names that a person understands, shared constants, packed codes."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chordkit.export.targets.openvino.quiet import runtime
from chordkit.quantization import pack_codes
from chordkit.quantization.tables import is_int4_table

if TYPE_CHECKING:
    from openvino import Model, Node

SECTION = "chordkit"
"""Of the model's ``rt_info``: version, items (the largest id), precision, fingerprint (of the master)."""


class GraphBuilder:
    """Makes nodes; equal constants become one.

    Attributes:
        scope: how the next nodes' names begin.
    """

    def __init__(self) -> None:
        self._openvino = runtime()
        self._operators = self._openvino.opset13  # the oldest that has every operator used
        self._constants: dict[tuple[Any, ...], Node] = {}
        self._names: dict[str, int] = {}
        self.scope = ""

    def emit(self, operator: str, *inputs: Any, **attributes: Any) -> "Node":
        """A node of an operator on nodes; Python's numbers and arrays among ``inputs`` are attributes."""
        return self._named(getattr(self._operators, operator)(*inputs, **attributes), operator)

    def input(self, name: str, dtype: np.dtype, shape: Sequence[int]) -> "Node":
        """An input of the model."""
        node = self._operators.parameter(list(shape), dtype)
        node.set_friendly_name(name)
        node.output(0).get_tensor().set_names({name})
        return node

    def constant(self, array: np.ndarray, kind: str = "constant") -> "Node":
        """A constant with the values, type and shape of ``array``; ``kind`` says in its name what it is."""
        array = np.asarray(array, order="C")
        return self._constant(self._openvino.Type(array.dtype), array.shape, array.tobytes(), kind)

    def codes(self, codes: np.ndarray, width: int) -> "Node":
        """Codes int8 ``[channels, in]`` as float32, from a constant of ``width`` bits an element."""
        if width == 8:
            return self.emit("convert", self.constant(codes, "int8"), "f32")
        # There is no signed type of 2 bits: -2..1 becomes 0..3.
        packed = pack_codes(codes.reshape(1, -1), width) if width == 4 else pack_codes((codes.reshape(1, -1) ^ -2), 2)
        kind = self._openvino.Type.i4 if width == 4 else self._openvino.Type.u2
        wide = self.emit("convert", self._constant(kind, codes.shape, packed.tobytes(), f"int{width}"), "f32")
        return wide if width == 4 else self.emit("subtract", wide, self.constant(np.array(2, np.float32)))

    def table(self, codes: np.ndarray, kind: str) -> "Node":
        """A table's codes as int8, from a constant called ``kind``, of 4 bits an element where they fit."""
        if not is_int4_table(codes):
            return self.constant(codes, kind)
        packed = pack_codes(codes.reshape(1, -1), 4)
        return self.emit("convert", self._constant(self._openvino.Type.i4, codes.shape, packed.tobytes(), kind), "i8")

    def bits(self, places: np.ndarray) -> "Node":
        """Truth values as float32 ones and zeros, from a constant of 2 bits an element."""
        packed = pack_codes(places.astype(np.int8).reshape(1, -1), 2)
        return self.emit("convert", self._constant(self._openvino.Type.u2, places.shape, packed.tobytes(), "places"), "f32")

    def _constant(self, kind: Any, shape: tuple[int, ...], data: bytes, name: str) -> "Node":
        key = (str(kind), shape, data)
        if key not in self._constants:
            tensor = self._openvino.Tensor(kind, list(shape))  # memory of its own: one over an array does not keep the array alive
            tensor.data.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)
            self._constants[key] = self._named(self._openvino.op.Constant(tensor), name)
        return self._constants[key]

    def _named(self, node: "Node", what: str) -> "Node":
        name = f"{self.scope}/{what}" if self.scope else what
        count = self._names[name] = self._names.get(name, 0) + 1
        node.set_friendly_name(name if count == 1 else f"{name}.{count}")
        return node

    def model(self, inputs: Sequence["Node"], outputs: Mapping[str, Any], metadata: Mapping[str, str]) -> "Model":
        """The whole model, of nodes or of one output of a node by its name; what nobody reads is left out."""
        results = []
        for name, output in outputs.items():
            results.append(self._operators.result(output))
            results[-1].set_friendly_name(f"{name}/result")
            results[-1].input(0).get_source_output().get_tensor().set_names({name})
        model = self._openvino.Model(results, list(inputs), "reranker")
        for key, value in metadata.items():
            model.set_rt_info(value, [SECTION, key])
        return model


def serialised(model: "Model") -> tuple[bytes, bytes]:
    """The model's XML and its weights, as OpenVINO writes them."""
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        runtime().serialize(model, graph, weights)
        return graph.read_bytes(), weights.read_bytes()
