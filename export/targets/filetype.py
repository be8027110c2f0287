"""What a file is, by its own bytes: enough to tell that an artifact is none, without the runtime that would load it."""

import struct
from collections.abc import Iterator

_MOST_FIELDS = 10_000  # of an outermost message; a model of ours has ten


def problem_with_flatbuffer(data: memoryview, identifier: str) -> str | None:
    """Why these bytes are no FlatBuffer of this identifier, or None: the root table's offset, then four letters."""
    if len(data) < 12 or bytes(data[4:8]) != identifier.encode():
        return f"the file is no FlatBuffer of kind {identifier}"
    (root,) = struct.unpack_from("<I", data)
    if not 8 <= root <= len(data) - 4:
        return "the file's root table lies outside it"
    vtable = root - struct.unpack_from("<i", data, root)[0]
    if not 0 <= vtable <= len(data) - 4 or not 4 <= struct.unpack_from("<H", data, vtable)[0] <= len(data) - vtable:
        return "the file's root table describes itself outside of the file"
    return None


def problem_with_onnx(data: memoryview) -> str | None:
    """Why these bytes are no ONNX model, or None.

    Protocol buffers have no magic: the fields of the outermost message are walked to the last byte, and of these ONNX's ModelProto has
    an ``ir_version`` (1), opset imports (8) and one ``graph`` (7).
    """
    fields: list[int] = []
    for field, start, _ in fields_of(data, 0):
        if start < 0 or len(fields) >= _MOST_FIELDS:
            return "the file is no ONNX model, or is cut short"
        fields.append(field)
    if fields.count(7) != 1 or 1 not in fields or 8 not in fields:
        return "the file is no ONNX model"
    return None


def fields_of(data: memoryview, position: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a protocol buffer from ``position`` on: number, start and size of each; of a varint its value and 0 instead.

    What is no protocol buffer ends with (0, -1, 0).
    """
    while position < len(data):
        tag, position = read_varint(data, position)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = read_varint(data, position)
            start, size = value, 0
        elif wire == 2:
            size, start = read_varint(data, position)
            position = start + size
        elif wire in (1, 5):
            start, size = position, 8 if wire == 1 else 4
            position += size
        else:
            position = len(data) + 1
        if position > len(data):
            yield 0, -1, 0
            return
        yield field, start, size


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """A base-128 number and the position behind it; a position past the end says that there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    return 0, len(data) + 1


def varint(value: int) -> bytes:
    """A number in base 128, as Protocol Buffers write it: the lowest 7 bits first, bit 7 on all bytes but the last."""
    pieces = []
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*pieces, value])
