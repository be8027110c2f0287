"""What is inside a ``.tflite`` file: for ``bundle inspect``, the documentation's tables, and tests."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from chordkit.errors import InputError
from chordkit.export.targets.litert.flatbuffer import schema

_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class TensorTotals:
    """Tensors of one type: how many, how many of them constant, and the bytes of the constants in the file."""

    tensors: int
    constants: int
    constant_bytes: int


@dataclass(frozen=True)
class Description:
    """Contents of a ``.tflite`` file.

    Attributes:
        file_bytes: size of the file.
        description: free text of the writer; "chordkit" for ours.
        required_version: oldest runtime version, from the metadata; empty if absent.
        operators: number of operators by builtin name.
        tensors: totals by tensor type. Constants that share bytes are counted once.
        inputs: shape of each input by its signature name.
        outputs: shape of each output by its signature name.
    """

    file_bytes: int
    description: str
    required_version: str
    operators: dict[str, int]
    tensors: dict[str, TensorTotals]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants; what is left of the file is structure."""
        return sum(totals.constant_bytes for totals in self.tensors.values())


def describe(data: bytes) -> Description:
    """Read the structure of a ``.tflite`` file of one subgraph.

    Raises:
        InputError: ``data`` is not a ``.tflite`` file, or is a damaged one.
        ImportError: ``ai-edge-litert`` is not installed.
    """
    if data[4:8] != _IDENTIFIER:
        raise InputError("litert artifact: not a .tflite file (no TFL3 identifier at byte 4); export it again")
    try:
        return _describe(schema().Model.GetRootAs(data, 0), data)
    except (ValueError, IndexError, TypeError, AttributeError, KeyError, struct.error):
        # The generated readers follow offsets without checking them: damage shows as any of these.
        raise InputError("litert artifact: the .tflite file is damaged; export it again") from None


def _describe(model: Any, data: bytes) -> Description:
    names = {value: name for name, value in vars(schema().BuiltinOperator).items() if isinstance(value, int)}
    types = {value: name for name, value in vars(schema().TensorType).items() if isinstance(value, int)}
    graph = model.Subgraphs(0)
    codes = [names[model.OperatorCodes(index).BuiltinCode()] for index in range(model.OperatorCodesLength())]
    operators = Counter(codes[graph.Operators(index).OpcodeIndex()] for index in range(graph.OperatorsLength()))

    counts: Counter[str] = Counter()
    constants: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    counted: set[int] = set()
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        kind = types[tensor.Type()]
        counts[kind] += 1
        size = model.Buffers(tensor.Buffer()).DataLength()
        constants[kind] += bool(size)
        if tensor.Buffer() not in counted:
            sizes[kind] += size
            counted.add(tensor.Buffer())

    signature = model.SignatureDefs(0)

    def shapes(length: int, item: Any) -> dict[str, list[int]]:
        entries = [item(index) for index in range(length)]
        return {entry.Name().decode(): graph.Tensors(entry.TensorIndex()).ShapeAsNumpy().tolist() for entry in entries}

    return Description(
        file_bytes=len(data),
        description=(model.Description() or b"").decode(),
        required_version=_required_version(model),
        operators=dict(sorted(operators.items())),
        tensors={kind: TensorTotals(counts[kind], constants[kind], sizes[kind]) for kind in sorted(counts)},
        inputs=shapes(signature.InputsLength(), signature.Inputs),
        outputs=shapes(signature.OutputsLength(), signature.Outputs),
    )


def _required_version(model: Any) -> str:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == b"min_runtime_version":
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().rstrip(b"\0").decode()
    return ""
