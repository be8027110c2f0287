"""The ``.tflite`` file as bytes: a small graph description and its flatbuffer writer.

Nothing here knows about torch or about recommenders. The writer shares whatever can be shared (names, shapes, option
tables, scale and zero-point vectors, equal constants), because at d=64 a file written the usual way spends half of
what 2-bit weights save on such metadata.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

DESCRIPTION = "chordkit"
# Model data is mapped, not copied: 16 bytes is what the schema asks of a buffer.
ALIGNMENT = 16
_SCHEMA_VERSION = 3
_PLACEHOLDER_CODE = 127


@functools.cache
def schema() -> ModuleType:
    """The flatbuffer schema classes of the installed LiteRT runtime.

    Raises:
        ImportError: ``ai-edge-litert`` or ``flatbuffers`` is not installed.
    """
    import flatbuffers  # noqa: F401
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


@dataclass(frozen=True, eq=False)
class Quantization:
    """Symmetric quantisation of a constant: one float32 scale for each index of ``axis``, zero-point 0."""

    scales: np.ndarray
    axis: int = 0


@dataclass(eq=False)
class TensorSpec:
    """One tensor of the file.

    Attributes:
        shape: static shape, in elements.
        type: name in the schema's ``TensorType`` ("FLOAT32", "INT8", "INT4", "INT2", "INT32").
        data: the packed bytes of a constant; None for an activation.
        quantization: scales of a quantised constant.
        name: shown by tools; inputs, outputs and weights have one.
        owner: of a constant whose bytes and scales no constant of another owner shares, equal or not; "" = shared with all that are equal.
    """

    shape: tuple[int, ...]
    type: str = "FLOAT32"
    data: bytes | None = None
    quantization: Quantization | None = None
    name: str = ""
    owner: str = ""


@dataclass(eq=False)
class OperatorSpec:
    """One operator: a builtin code, its tensors, and the fields of its option table.

    Attributes:
        code: name in the schema's ``BuiltinOperator``.
        inputs: tensors; None where an optional input (a bias) is absent.
        options: name of the option table without the trailing ``T`` and its fields; None for an operator without options.
    """

    code: str
    inputs: list[TensorSpec | None]
    outputs: list[TensorSpec]
    options: tuple[str, dict[str, Any]] | None = None


@dataclass
class GraphSpec:
    """A whole model: operators in execution order, named inputs and outputs."""

    inputs: dict[str, TensorSpec] = field(default_factory=dict)
    outputs: dict[str, TensorSpec] = field(default_factory=dict)
    operators: list[OperatorSpec] = field(default_factory=list)

    def tensors(self) -> list[TensorSpec]:
        """Every tensor once: inputs, then in order of first use."""
        seen: dict[int, TensorSpec] = {id(tensor): tensor for tensor in self.inputs.values()}
        for operator in self.operators:
            for tensor in (*operator.inputs, *operator.outputs):
                if tensor is not None:
                    seen.setdefault(id(tensor), tensor)
        return list(seen.values())


def version_of(operator: OperatorSpec) -> int:
    """Operator version to declare, so that a runtime too old for a construct refuses the file instead of misreading it.

    Versions are those of LiteRT's registry. For sub-byte and dynamically quantised weights it is the newest of 2.3.0:
    tflite-runtime 2.14, for one, accepts an older number and computes something else.
    """
    types = {tensor.type for tensor in operator.inputs if tensor is not None}
    if operator.code == "FULLY_CONNECTED":
        if types & {"INT8", "INT4", "INT2"}:
            return 14
        return 6 if operator.inputs[2] is None else 5
    if operator.code in ("DEQUANTIZE", "GATHER") and types & {"INT4", "INT2"}:
        return {"DEQUANTIZE": 9, "GATHER": 8}[operator.code]
    if operator.code == "GATHER" and "INT16" in types:
        return 6
    return _VERSIONS.get(operator.code, 1)


# Per-channel DEQUANTIZE; int8 GATHER; MEAN, SUM and REDUCE_MAX, RESHAPE and the rest are used as first defined.
_VERSIONS = {"DEQUANTIZE": 5, "GATHER": 2, "BROADCAST_TO": 2}


class _Writer:
    """Builds the flatbuffer back to front; equal things are written once."""

    def __init__(self) -> None:
        import flatbuffers

        self.schema = schema()
        self.builder = flatbuffers.Builder(1 << 16)
        self._written: dict[Any, int] = {}

    def once(self, key: Any, write: Callable[[], int]) -> int:
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]

    def string(self, text: str) -> int:
        return self.once(("string", text), lambda: self.builder.CreateString(text))

    def array(self, values: np.ndarray, owner: str = "") -> int:
        return self.once((values.dtype.str, values.tobytes(), owner), lambda: self.builder.CreateNumpyVector(values))

    def integers(self, values: Sequence[int]) -> int:
        return self.array(np.asarray(values, np.int32))

    def bytes(self, data: bytes, owner: str = "") -> int:
        def write() -> int:
            builder = self.builder
            builder.StartVector(1, len(data), ALIGNMENT)
            head = builder.head - len(data)
            builder.head = head
            builder.Bytes[head : head + len(data)] = data
            return builder.EndVector()

        return self.once(("bytes", data, owner), write)

    def offsets(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def table(self, kind: str, **fields: Any) -> int:
        """Write a table; fields that are None are left out, field names are those of the schema, capitalised."""
        getattr(self.schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            if value is not None:
                getattr(self.schema, f"{kind}Add{name}")(self.builder, value)
        return getattr(self.schema, f"{kind}End")(self.builder)

    def options(self, operator: OperatorSpec) -> tuple[int | None, int | None]:
        if operator.options is None or not operator.options[1]:
            # A table without a field says no more than none: the runtime's parameters begin at their defaults.
            return None, None
        kind, fields = operator.options

        def write() -> int:
            table = getattr(self.schema, f"{kind}T")()
            for name, value in fields.items():
                if not hasattr(table, name):
                    raise AttributeError(f"{kind} has no field {name}")
                setattr(table, name, value)
            return table.Pack(self.builder)

        return getattr(self.schema.BuiltinOptions, kind), self.once((kind, repr(sorted(fields.items()))), write)

    def quantization(self, quantization: Quantization, owner: str) -> int:
        scales = np.ascontiguousarray(quantization.scales, np.float32)
        scale = self.array(scales, owner)
        zero_point = self.array(np.zeros(scales.size, np.int64))
        return self.table("QuantizationParameters", Scale=scale, ZeroPoint=zero_point, QuantizedDimension=quantization.axis)

    def tensor(self, tensor: TensorSpec, buffer: int) -> int:
        shape = self.integers(tensor.shape)
        name = self.string(tensor.name) if tensor.name else None
        quantization = self.quantization(tensor.quantization, tensor.owner) if tensor.quantization else None
        kind = getattr(self.schema.TensorType, tensor.type)
        # has_rank is left out: the runtimes of 2.x read the shape vector, and a scalar's is empty.
        return self.table("Tensor", Shape=shape, Type=kind, Buffer=buffer, Name=name, Quantization=quantization)

    def tensor_map(self, named: dict[str, TensorSpec], index: dict[int, int]) -> int:
        tables = []
        for name, tensor in named.items():
            text = self.string(name)
            tables.append(self.table("TensorMap", Name=text, TensorIndex=index[id(tensor)]))
        return self.offsets(tables)


def serialize(graph: GraphSpec, required_version: str) -> bytes:
    """Write ``graph`` as the bytes of a ``.tflite`` file.

    The file carries the description "chordkit", the metadata entry ``min_runtime_version`` and one signature,
    ``serving_default``, with the graph's input and output names.

    Args:
        graph: the model; shapes and types are taken as they are.
        required_version: oldest LiteRT version that runs the file.

    Raises:
        ImportError: ``ai-edge-litert`` or ``flatbuffers`` is not installed.
    """
    writer = _Writer()
    tensors = graph.tensors()
    index = {id(tensor): position for position, tensor in enumerate(tensors)}

    # Written first, so last in the file: whoever reads the head of the file sees the structure.
    datas: dict[tuple[bytes, str], int] = {}
    for tensor in tensors:
        if tensor.data is not None:
            datas.setdefault((tensor.data, tensor.owner), len(datas) + 1)
    version = required_version.encode().ljust(ALIGNMENT, b"\0")
    version_buffer = datas.setdefault((version, ""), len(datas) + 1)
    # Each one's table stands in front of its data, where alignment leaves room for it.
    filled = [writer.table("Buffer", Data=writer.bytes(data, owner)) for data, owner in reversed(datas)]
    buffers = writer.offsets([writer.table("Buffer"), *reversed(filled)])

    codes: dict[tuple[str, int], int] = {}
    for operator in graph.operators:
        codes.setdefault((operator.code, version_of(operator)), len(codes))
    code_tables = []
    for name, operator_version in codes:
        builtin = getattr(writer.schema.BuiltinOperator, name)
        deprecated = min(builtin, _PLACEHOLDER_CODE)
        code_tables.append(writer.table("OperatorCode", DeprecatedBuiltinCode=deprecated, Version=operator_version, BuiltinCode=builtin))
    operator_codes = writer.offsets(code_tables)

    operator_tables = []
    for operator in graph.operators:
        inputs = writer.integers([-1 if tensor is None else index[id(tensor)] for tensor in operator.inputs])
        outputs = writer.integers([index[id(tensor)] for tensor in operator.outputs])
        kind, options = writer.options(operator)
        operator_tables.append(
            writer.table(
                "Operator",
                OpcodeIndex=codes[operator.code, version_of(operator)],
                Inputs=inputs,
                Outputs=outputs,
                BuiltinOptionsType=kind,
                BuiltinOptions=options,
            )
        )
    operators = writer.offsets(operator_tables)
    in_buffer = [0 if tensor.data is None else datas[tensor.data, tensor.owner] for tensor in tensors]
    tensor_tables = writer.offsets([writer.tensor(tensor, buffer) for tensor, buffer in zip(tensors, in_buffer, strict=True)])
    subgraph = writer.table(
        "SubGraph",
        Tensors=tensor_tables,
        Inputs=writer.integers([index[id(tensor)] for tensor in graph.inputs.values()]),
        Outputs=writer.integers([index[id(tensor)] for tensor in graph.outputs.values()]),
        Operators=operators,
        Name=writer.string("main"),
    )
    signature = writer.table(
        "SignatureDef",
        Inputs=writer.tensor_map(graph.inputs, index),
        Outputs=writer.tensor_map(graph.outputs, index),
        SignatureKey=writer.string("serving_default"),
        SubgraphIndex=0,
    )
    metadata = writer.table("Metadata", Name=writer.string("min_runtime_version"), Buffer=version_buffer)
    model = writer.table(
        "Model",
        Version=_SCHEMA_VERSION,
        OperatorCodes=operator_codes,
        Subgraphs=writer.offsets([subgraph]),
        Description=writer.string(DESCRIPTION),
        Buffers=buffers,
        Metadata=writer.offsets([metadata]),
        SignatureDefs=writer.offsets([signature]),
    )
    writer.builder.Finish(model, b"TFL3")
    return bytes(writer.builder.Output())
