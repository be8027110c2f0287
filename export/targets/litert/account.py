"""Where the bytes of a ``.tflite`` file go."""

import re

from chordkit.export.targets.flatbuffer_reader import Table
from chordkit.export.targets.ledger import Kind, Ledger, weights_of

# Numbers of the schema: fields of its tables, types, operators.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_OPERATORS = 0, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = range(5)
_SCALE, _ZERO_POINT = 2, 3
_ADD, _GATHER, _FULLY_CONNECTED, _BATCH_MATMUL = 0, 36, 9, 126
_FLOAT32 = 0
_WEIGHTS = re.compile(r"/int([248])(/\d+)?$")


def account(data: memoryview, ledger: Ledger) -> None:
    """Claim the bytes of constants, scales and zero-points.

    Raises:
        InputError: the file is damaged.
    """
    model = Table.root(data)
    codes = [code.number(3, "i") or code.number(0, "b") for code in model.tables(_MODEL_CODES)]
    buffers = [buffer.vector(0) for buffer in model.tables(_MODEL_BUFFERS)]
    for graph in model.tables(_MODEL_GRAPHS):
        roles: dict[int, Kind] = {}
        for operator in graph.tables(_GRAPH_OPERATORS):
            index, inputs = operator.number(0, "I"), operator.numbers(1, "i")
            code = codes[index] if index < len(codes) else -1
            if len(inputs) < 2:
                continue
            if code == _GATHER:
                roles.setdefault(inputs[0], Kind.EMBEDDINGS)
                roles.setdefault(inputs[1], Kind.ORDERS)
            elif code in (_FULLY_CONNECTED, _BATCH_MATMUL):
                roles.setdefault(inputs[1], Kind.WEIGHTS_32)
            elif code == _ADD:
                roles.update(dict.fromkeys(set(inputs) - roles.keys(), Kind.POSITIONS))
        for number, tensor in enumerate(graph.tables(_GRAPH_TENSORS)):
            kind = _kind_of(tensor, roles.get(number))
            buffer = tensor.number(_TENSOR_BUFFER, "I")
            if 0 < buffer < len(buffers):
                ledger.claim(*buffers[buffer], kind)
            quantization = tensor.table(_TENSOR_QUANTIZATION)
            if quantization is not None:
                own = kind in (Kind.EMBEDDINGS, Kind.POSITIONS)
                scales, zeros = quantization.vector(_SCALE), quantization.vector(_ZERO_POINT)
                ledger.claim(scales.start, 4 * scales.size, kind if own else Kind.SCALES)
                ledger.claim(zeros.start, 8 * zeros.size, Kind.ZERO_POINTS)


def _kind_of(tensor: Table, role: Kind | None) -> Kind:
    name, shape = tensor.text(_TENSOR_NAME), tensor.numbers(_TENSOR_SHAPE, "i")
    weights = _WEIGHTS.search(name)
    if weights:
        return weights_of(int(weights.group(1)))
    if role in (Kind.WEIGHTS_32, Kind.POSITIONS):
        return role if tensor.number(_TENSOR_TYPE, "b") == _FLOAT32 and len(shape) == 2 and min(shape) > 1 else Kind.CONSTANTS
    if role is not None:
        return role
    return Kind.POSITIONS if len(shape) == 2 and "embedding" in name else Kind.CONSTANTS
