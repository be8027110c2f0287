"""Where the bytes of an ``.onnx`` file go."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from chordkit.errors import InputError
from chordkit.export.targets.filetype import fields_of, read_varint
from chordkit.export.targets.ledger import Kind, Ledger, weights_of

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_BITS = {3: 8, 22: 4, 26: 2}
"""Of the types of codes, by ONNX's numbers."""
_FLOAT = 1


@dataclass
class _Constant:
    start: int = 0
    size: int = 0
    type: int = 0
    dims: list[int] = field(default_factory=list)


@dataclass
class _Node:
    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def account(data: memoryview, ledger: Ledger) -> None:
    """Claim the bytes of initialisers by what reads them.

    Raises:
        InputError: the file is damaged.
    """
    constants: dict[str, _Constant] = {}
    nodes: list[_Node] = []
    for number, start, size in _fields(data, 0, len(data)):
        if number == _GRAPH:
            for part, at, length in _fields(data, start, start + size):
                if part == _NODE:
                    nodes.append(_node(data, at, length))
                elif part == _INITIALIZER:
                    name, constant = _constant(data, at, length)
                    constants[name] = constant
    kinds = _kinds(nodes, constants)
    for name, constant in constants.items():
        ledger.claim(constant.start, constant.size, kinds.get(name, Kind.CONSTANTS))


def _kinds(nodes: list[_Node], constants: dict[str, _Constant]) -> dict[str, Kind]:
    readers: dict[str, list[_Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    kinds: dict[str, Kind] = {}
    for node in nodes:
        first, *more = node.inputs or [""]
        if node.operator == "DequantizeLinear" and first in constants and more:
            next_ones = {reader.operator for output in node.outputs for reader in readers.get(output, [])}
            weights = bool(next_ones & {"Gemm", "Concat", "MatMul"})
            kinds[first] = weights_of(_BITS.get(constants[first].type, 8)) if weights else Kind.POSITIONS
            kinds[more[0]] = Kind.SCALES if weights else Kind.POSITIONS
        elif node.operator == "Gather" and more:
            if first in constants:
                kinds[first] = Kind.EMBEDDINGS
            kinds.setdefault(more[0], Kind.ORDERS)
        elif node.operator == "Cast" and any(reader.operator == "Gather" for output in node.outputs for reader in readers.get(output, [])):
            kinds.setdefault(first, Kind.ORDERS)
        elif node.operator in ("Gemm", "MatMul") and more and more[0] in constants and len(constants[more[0]].dims) == 2:
            kinds[more[0]] = Kind.WEIGHTS_32
        elif node.operator == "Add":
            for name in node.inputs:
                constant = constants.get(name)
                if constant is not None and constant.type == _FLOAT and len(constant.dims) == 2 and min(constant.dims) > 1:
                    kinds.setdefault(name, Kind.POSITIONS)
    return kinds


def _fields(data: memoryview, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and size of each length-delimited field, and number, value and 0 of each varint, between two places."""
    for number, at, size in fields_of(data[:stop], start):
        if at < 0:
            raise InputError("the artifact is damaged: it is no ONNX model; export it again")
        yield number, at, size


def _node(data: memoryview, start: int, size: int) -> _Node:
    node = _Node()
    for number, at, length in _fields(data, start, start + size):
        text = bytes(data[at : at + length]).decode(errors="replace") if number in (1, 2, 4) else ""
        if number == 1:
            node.inputs.append(text)
        elif number == 2:
            node.outputs.append(text)
        elif number == 4:
            node.operator = text
    return node


def _constant(data: memoryview, start: int, size: int) -> tuple[str, _Constant]:
    name, constant = "", _Constant()
    for number, at, length in _fields(data, start, start + size):
        if number == 1:
            constant.dims += _varints(data, at, length) if length else [at]
        elif number == 2:
            constant.type = at
        elif number == 8:
            name = bytes(data[at : at + length]).decode(errors="replace")
        elif number == 9:
            constant.start, constant.size = at, length
    return name, constant


def _varints(data: memoryview, start: int, size: int) -> list[int]:
    """Dimensions, packed."""
    values, place, packed = [], 0, data[start : start + size]
    while place < len(packed):
        value, place = read_varint(packed, place)
        if place <= len(packed):
            values.append(value)
    return values
