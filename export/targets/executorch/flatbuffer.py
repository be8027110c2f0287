"""Flatbuffers from dataclasses and the text of a schema, in which equal things exist once.

ExecuTorch writes XNNPACK's graph with ``flatc`` from JSON, which says every shape of every value anew. Readers follow offsets and do not
notice that two of them lead to the same place.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

_TABLE = re.compile(r"table\s+(\w+)\s*\{(.*?)\}", re.DOTALL)
_UNION = re.compile(r"union\s+(\w+)\s*\{(.*?)\}", re.DOTALL)
_ENUM = re.compile(r"enum\s+(\w+)\s*:\s*(\w+)")
_FIELD = re.compile(r"(\w+)\s*:\s*(\[?)\s*(\w+)\s*\]?[^;]*;")
_ROOT = re.compile(r"root_type\s+(\w+)")
_IDENTIFIER = re.compile(r'file_identifier\s+"(....)"')
_SCALARS = {
    "bool": "Bool", "byte": "Int8", "ubyte": "Uint8", "short": "Int16", "ushort": "Uint16", "int": "Int32", "uint": "Uint32",
    "uint32": "Uint32", "int64": "Int64", "long": "Int64", "uint64": "Uint64", "float": "Float32", "double": "Float64",
}  # fmt: skip
_BITS = {"Uint8": 8, "Uint16": 16, "Uint32": 32, "Uint64": 64}


@dataclass(frozen=True)
class _Field:
    name: str
    type: str
    many: bool


@dataclass
class Schema:
    """What a schema's text says of its tables.

    Attributes:
        tables: fields of each, in their order.
        unions: table of each member, in their order, by the union's and the member's name.
        enums: scalar type of each.
        root: name of the outermost table.
        identifier: of the file.
    """

    tables: dict[str, list[_Field]] = field(default_factory=dict)
    unions: dict[str, dict[str, str]] = field(default_factory=dict)
    enums: dict[str, str] = field(default_factory=dict)
    root: str = ""
    identifier: bytes = b""

    @classmethod
    def parse(cls, text: str) -> "Schema":
        """The schema of a ``.fbs`` text."""
        text = re.sub(r"//[^\n]*", "", text)
        unions = {name: [part.strip() for part in body.split(",") if part.strip()] for name, body in _UNION.findall(text)}
        return cls(
            {name: [_Field(field, kind, bool(many)) for field, many, kind in _FIELD.findall(body)] for name, body in _TABLE.findall(text)},
            {
                name: {member.partition(":")[0].strip(): (member.partition(":")[2] or member).strip() for member in members}
                for name, members in unions.items()
            },
            dict(_ENUM.findall(text)),
            "".join(_ROOT.findall(text)),
            "".join(_IDENTIFIER.findall(text)).encode(),
        )

    def scalar(self, kind: str) -> str | None:
        """The builder's name of a scalar type, or of an enumeration's; None for other types."""
        return _SCALARS.get(self.enums.get(kind, kind))


def encode(schema: Schema, value: Any) -> bytes:
    """``value``, a dataclass with the fields of the schema's root, as the bytes of a flatbuffer.

    Fields that are None, missing or zero are left out, as a reader's defaults say the same; the schemas here have no other defaults. Empty
    vectors stay: a reader may look at them without asking.
    """
    return _Encoder(schema).file(value)


class _Encoder:
    def __init__(self, schema: Schema) -> None:
        import flatbuffers

        self._schema, self._builder = schema, flatbuffers.Builder(1 << 14)
        self._written: dict[Any, int] = {}

    def file(self, value: Any) -> bytes:
        root = self._table(self._schema.root, value)
        self._builder.Finish(root, self._schema.identifier)
        return bytes(self._builder.Output())

    def _once(self, key: Any, write: Callable[[], int]) -> int:
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]

    def _table(self, name: str, value: Any) -> int:
        slots: list[tuple[int, str | None, int | float]] = []
        slot = 0
        for each in self._schema.tables[name]:
            content = getattr(value, each.name, None)
            if each.type in self._schema.unions:
                if content is not None:
                    members = self._schema.unions[each.type]
                    member = type(content).__name__
                    slots.append((slot, "Uint8", list(members).index(member) + 1))
                    slots.append((slot + 1, None, self._table(members[member], content)))
                slot += 2
                continue
            scalar = self._schema.scalar(each.type)
            if scalar is not None and not each.many:
                number = _number(scalar, content)
                if number:
                    slots.append((slot, scalar, number))
            elif content is not None:
                slots.append((slot, None, self._offset(each, scalar, content)))
            slot += 1
        return self._once((name, tuple(slots)), lambda: self._write_table(slot, slots))

    def _offset(self, each: _Field, scalar: str | None, content: Any) -> int:
        if not each.many:
            if each.type == "string":
                return self._once(("string", content), lambda: self._builder.CreateString(content))
            return self._table(each.type, content)
        if scalar is not None:
            numbers = tuple(_number(scalar, number) for number in content)
            return self._once((scalar, numbers), lambda: self._vector(scalar, numbers))
        offsets = tuple(self._table(each.type, part) for part in content)
        return self._once(("offsets", offsets), lambda: self._offsets(offsets))

    def _write_table(self, count: int, slots: Sequence[tuple[int, str | None, int | float]]) -> int:
        self._builder.StartObject(count)
        for slot, scalar, number in slots:
            if scalar is None:
                self._builder.PrependUOffsetTRelativeSlot(slot, number, 0)
            else:
                getattr(self._builder, f"Prepend{scalar}Slot")(slot, number, 0)
        return self._builder.EndObject()

    def _vector(self, scalar: str, numbers: Sequence[int | float]) -> int:
        from flatbuffers import number_types

        size = getattr(number_types, f"{scalar}Flags").bytewidth
        self._builder.StartVector(size, len(numbers), size)
        for number in reversed(numbers):
            getattr(self._builder, f"Prepend{scalar}")(number)
        return self._builder.EndVector()

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()


def _number(scalar: str, value: Any) -> int | float:
    if scalar.startswith("Float"):
        return float(value or 0.0)
    number = int(value.value if isinstance(value, IntEnum) else value or 0)
    return number % (1 << _BITS[scalar]) if scalar in _BITS else number
