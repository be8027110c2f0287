"""Java class files (JVM specification, chapter 4): what they refer to, and declarations of one added to another of the same class."""

import struct
from dataclasses import dataclass

_WIDTHS = {3: 5, 4: 5, 5: 9, 6: 9, 7: 3, 8: 3, 9: 5, 10: 5, 11: 5, 12: 5, 15: 4, 16: 3, 17: 5, 18: 5, 19: 3, 20: 3}
"""Bytes of a constant by its tag; 1, text, says its own."""

_TEXT, _INDICES, _WIDE, _METHOD_HANDLE = 1, {7, 8, 16, 19, 20}, {5, 6}, 15
_PAIRS = {9, 10, 11, 12, 17, 18}
_KEPT = {"ConstantValue", "Signature", "Exceptions"}
"""Attributes of a declaration; all that they hold are numbers of constants (and how many there are)."""


@dataclass(frozen=True)
class _Member:
    access: int
    name: int
    descriptor: int
    attributes: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class _Class:
    """``constants``: bytes by number; the second half of a wide one is empty. ``head``: access, own name, super class, interfaces."""

    version: bytes
    constants: list[bytes]
    head: bytes
    fields: list[_Member]
    methods: list[_Member]
    rest: bytes

    def text(self, number: int) -> bytes:
        return self.constants[number][3:]

    def key(self, member: _Member) -> tuple[bytes, bytes]:
        return self.text(member.name), self.text(member.descriptor)


def with_members(whole: bytes, more: bytes) -> bytes:
    """The class file ``whole`` with the members of ``more`` that it lacks. What is added has no code: native methods and constants."""
    known, new = _parse(whole), _parse(more)
    shift = len(known.constants) - 1
    constants = known.constants + [_shifted(constant, shift) for constant in new.constants[1:]]
    fields = known.fields + _lacking(known, new, known.fields, new.fields, shift)
    methods = known.methods + _lacking(known, new, known.methods, new.methods, shift)
    pool = struct.pack(">H", len(constants)) + b"".join(constants)
    return known.version + pool + known.head + _members(fields) + _members(methods) + known.rest


def references(data: bytes) -> set[str]:
    """Names of the classes that a class file names, as paths without ``.class``; of arrays, those of their elements."""
    parsed = _parse(data)
    numbers = [struct.unpack_from(">H", constant, 1)[0] for constant in parsed.constants if constant[:1] == b"\7"]
    names = [parsed.text(number).decode() for number in numbers]
    return {name.lstrip("[").removeprefix("L").removesuffix(";") if name.startswith("[") else name for name in names}


def _lacking(known: _Class, new: _Class, have: list[_Member], offered: list[_Member], shift: int) -> list[_Member]:
    keys = {known.key(member) for member in have}
    found = []
    for member in offered:
        if new.key(member) not in keys and new.text(member.name) != b"<init>":
            kept = [(name + shift, _renumbered(value, shift)) for name, value in member.attributes if new.text(name).decode() in _KEPT]
            found.append(_Member(member.access, member.name + shift, member.descriptor + shift, tuple(kept)))
    return found


def _renumbered(value: bytes, shift: int) -> bytes:
    """An attribute of one number, or of a count and that many."""
    numbers = list(struct.unpack(f">{len(value) // 2}H", value))
    first = 1 if len(numbers) > 1 else 0
    return struct.pack(f">{len(numbers)}H", *numbers[:first], *(number + shift for number in numbers[first:]))


def _shifted(constant: bytes, shift: int) -> bytes:
    """A constant with the numbers of others in it moved on."""
    tag = constant[0] if constant else 0
    if tag in _INDICES:
        return constant[:1] + struct.pack(">H", struct.unpack_from(">H", constant, 1)[0] + shift)
    if tag in _PAIRS:
        return constant[:1] + struct.pack(">HH", *(number + shift for number in struct.unpack_from(">HH", constant, 1)))
    if tag == _METHOD_HANDLE:
        return constant[:2] + struct.pack(">H", struct.unpack_from(">H", constant, 2)[0] + shift)
    return constant


def _members(members: list[_Member]) -> bytes:
    parts = [struct.pack(">H", len(members))]
    for member in members:
        parts.append(struct.pack(">HHHH", member.access, member.name, member.descriptor, len(member.attributes)))
        parts += [struct.pack(">HI", name, len(value)) + value for name, value in member.attributes]
    return b"".join(parts)


def _parse(data: bytes) -> _Class:
    (count,) = struct.unpack_from(">H", data, 8)
    at, constants = 10, [b""]
    while len(constants) < count:
        tag = data[at]
        width = 3 + struct.unpack_from(">H", data, at + 1)[0] if tag == _TEXT else _WIDTHS[tag]
        constants += [data[at : at + width], *([b""] if tag in _WIDE else [])]
        at += width
    (interfaces,) = struct.unpack_from(">H", data, at + 6)
    end = at + 8 + 2 * interfaces
    head = data[at:end]
    fields, end = _parse_members(data, end)
    methods, end = _parse_members(data, end)
    return _Class(data[:8], constants, head, fields, methods, data[end:])


def _parse_members(data: bytes, at: int) -> tuple[list[_Member], int]:
    (count,) = struct.unpack_from(">H", data, at)
    at += 2
    found = []
    for _ in range(count):
        access, name, descriptor, attributes = struct.unpack_from(">HHHH", data, at)
        at += 8
        kept = []
        for _ in range(attributes):
            kind, length = struct.unpack_from(">HI", data, at)
            kept.append((kind, data[at + 6 : at + 6 + length]))
            at += 6 + length
        found.append(_Member(access, name, descriptor, tuple(kept)))
    return found, at
