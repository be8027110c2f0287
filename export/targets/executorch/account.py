"""Where the bytes of a ``.pte`` file go."""

import struct
from dataclasses import dataclass

from chordkit.errors import InputError
from chordkit.export.targets.flatbuffer_reader import Table, Vector
from chordkit.export.targets.ledger import Kind, Ledger, weights_of
from chordkit.export.targets.native.account import MAGIC, account_master

# Numbers of the schemas: fields of their tables, members of their unions, types.
_PLANS, _SEGMENTS, _CONSTANTS, _NAMED = 1, 4, 5, 7
_VALUES, _CHAINS, _OPERATORS, _DELEGATES = 2, 5, 6, 7
_TENSOR_VALUE, _KERNEL_CALL = 5, 1
_SIZES, _BUFFER = 2, 5
_XVALUES, _CONSTANT_DATA = 2, 8
_QUANTIZED, _PER_CHANNEL = 2, 1
_FP32 = 1
_BITS = {6: 8, 8: 4}  # qcint8, qcint4
_HEADER = struct.Struct("<4s4sIQQ")
_XNNPACK_HEADER = struct.Struct("<HIIIQ")


@dataclass
class _File:
    """A program with its segments in place: start and size of each."""

    data: memoryview
    program: Table
    segments: list[Vector]
    ledger: Ledger


def account(data: memoryview, ledger: Ledger) -> None:
    """Claim the bytes of constants by the operators that read them, and of weights and scales by XNNPACK's graph.

    Raises:
        InputError: the file is damaged.
    """
    if len(data) < _HEADER.size:
        raise InputError("the artifact is damaged: it is too short for an ExecuTorch program; export it again")
    *_, base = _HEADER.unpack_from(data, 4)
    program = Table.root(data)
    segments = [Vector(base + part.number(0, "Q"), part.number(1, "Q")) for part in program.tables(_SEGMENTS)]
    file = _File(data, program, segments, ledger)
    for plan in program.tables(_PLANS):
        _claim_constants(file, plan)
        for delegate in plan.tables(_DELEGATES):
            processed = delegate.table(1)
            if processed is not None and processed.number(0, "b") == 1:
                _claim_graph(file, _segment(file, processed.number(1, "I")))


def _segment(file: _File, index: int) -> Vector:
    if index >= len(file.segments):
        raise InputError("the artifact is damaged: a segment of it is missing; export it again")
    return file.segments[index]


def _claim_constants(file: _File, plan: Table) -> None:
    where = file.program.table(_CONSTANTS)
    if where is None:
        return
    segment = _segment(file, where.number(0, "I"))
    offsets = where.numbers(1, "Q")
    roles = _roles(plan)
    for number, value in enumerate(plan.tables(_VALUES)):
        tensor = value.table(1) if value.number(0, "B") == _TENSOR_VALUE else None
        index = tensor.number(_BUFFER, "I") if tensor is not None else 0
        if tensor is None or not 0 < index < len(offsets):
            continue
        stop = min([offset for offset in offsets if offset > offsets[index]], default=segment.size)
        start, size = segment.start + offsets[index], stop - offsets[index]
        if bytes(file.data[start : start + len(MAGIC)]) == MAGIC:
            account_master(file.data[start : start + size], file.ledger, start)
        else:
            file.ledger.claim(start, size, roles.get(number, Kind.CONSTANTS))


def _roles(plan: Table) -> dict[int, Kind]:
    """Kinds of values that operators read as tables or as layers."""
    names = [operator.text(0) for operator in plan.tables(_OPERATORS)]
    constant = {
        number
        for number, value in enumerate(plan.tables(_VALUES))
        if value.number(0, "B") == _TENSOR_VALUE and (tensor := value.table(1)) is not None and tensor.number(_BUFFER, "I")
    }
    roles: dict[int, Kind] = {}
    for chain in plan.tables(_CHAINS):
        for instruction in chain.tables(2):
            call = instruction.table(1)
            if instruction.number(0, "B") != _KERNEL_CALL or call is None:
                continue
            operator, inputs = call.number(0, "i"), call.numbers(1, "i")
            name = names[operator] if operator < len(names) else ""
            if "embedding" in name and len(inputs) > 2:
                tables = [0, 1] if "quantized" in name else [0]
                ids = inputs[1] if "quantized" not in name else inputs[5 if "byte" in name or "4bit" in name else 1]
                for table in tables:
                    roles.setdefault(inputs[table], Kind.POSITIONS if ids in constant else Kind.EMBEDDINGS)
            elif name == "chord::linear" and len(inputs) > 2:
                roles.setdefault(inputs[1], Kind.WEIGHTS_8)
                roles.setdefault(inputs[2], Kind.SCALES)
    return roles


def _claim_graph(file: _File, segment: Vector) -> None:
    """Weights, named or behind the graph, and scales of one XNNPACK delegate."""
    part = file.data[segment.start : segment.start + segment.size]
    if bytes(part[4:8]) != b"XH00" or len(part) < 8 + _XNNPACK_HEADER.size:
        return
    _, at, size, constants, _ = _XNNPACK_HEADER.unpack_from(part, 8)
    graph = Table.root(part[at : at + size])
    named = {entry.text(0): entry.number(1, "I") for entry in file.program.tables(_NAMED)}
    places: list[Vector] = []
    for entry in graph.tables(_CONSTANT_DATA):
        key = entry.text(2)
        if key in named:
            places.append(_segment(file, named[key]))
        else:
            offset = entry.number(0, "Q")
            places.append(Vector(0, 0) if offset >= len(part) else Vector(segment.start + constants + offset, entry.number(1, "Q")))
    for value in graph.tables(_XVALUES):
        inner = value.table(1)
        if inner is None:
            continue
        kind: Kind | None = None
        if value.number(0, "B") == _QUANTIZED:
            quantization = inner.table(2)
            tensor = inner.table(0)
            if quantization is not None and inner.number(1, "B") == _PER_CHANNEL:
                scales = quantization.vector(0)
                file.ledger.claim(segment.start + at + scales.start if scales.size else 0, 4 * scales.size, Kind.SCALES)
                if 0 < (own := quantization.number(2, "I")) < len(places):
                    file.ledger.claim(*places[own], Kind.SCALES)
        else:
            tensor = inner
        if tensor is None:
            continue
        index, sort, shape = tensor.number(3, "I"), tensor.number(0, "h"), tensor.numbers(2, "I")
        if sort in _BITS:
            kind = weights_of(_BITS[sort])
        elif sort == _FP32:
            kind = Kind.WEIGHTS_32 if len(shape) == 2 and min(shape) > 1 else Kind.CONSTANTS
        if kind is not None and 0 < index < len(places):
            file.ledger.claim(*places[index], kind)
