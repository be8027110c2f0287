"""Tables of a flatbuffer by the numbers of their fields, each bound checked: enough to see where its bytes lie, without its runtime."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from chordkit.errors import InputError

_MOST_TABLES = 1 << 20
"""In one vector; a file that says more is damaged."""


class Vector(NamedTuple):
    """Where a vector's elements begin, and how many they are; of a piece of the file, how many bytes."""

    start: int
    size: int


class Table:
    """One table.

    Args:
        data: the file.
        position: of the table in it.

    Raises:
        InputError: it is not in the file; so do all methods where something that they need is not.
    """

    def __init__(self, data: memoryview, position: int) -> None:
        self._data, self._position = data, position
        self._fields = position - self._number("<i", position)
        self._size = self._number("<H", self._fields)

    @classmethod
    def root(cls, data: memoryview) -> "Table":
        """The outermost table of a file, or of a part of one."""
        return cls(data, Table._read(data, "<I", 0))

    @staticmethod
    def _read(data: memoryview, form: str, position: int) -> int:
        if not 0 <= position <= len(data) - struct.calcsize(form):
            raise InputError("the artifact is damaged: a table of it lies outside of the file; export it again")
        value: int = struct.unpack_from(form, data, position)[0]
        return value

    def _number(self, form: str, position: int) -> int:
        return self._read(self._data, form, position)

    def _place(self, slot: int) -> int:
        entry = 4 + 2 * slot
        offset = self._number("<H", self._fields + entry) if entry < self._size else 0
        return self._position + offset if offset else 0

    def _target(self, slot: int) -> int:
        place = self._place(slot)
        return place + self._number("<I", place) if place else 0

    def number(self, slot: int, form: str, default: int = 0) -> int:
        """A scalar of the ``struct`` form ``form``."""
        place = self._place(slot)
        return self._number(f"<{form}", place) if place else default

    def table(self, slot: int) -> "Table | None":
        """A table, or None where there is none."""
        target = self._target(slot)
        return Table(self._data, target) if target else None

    def vector(self, slot: int) -> Vector:
        """A vector, empty where there is none."""
        target = self._target(slot)
        return Vector(target + 4, self._number("<I", target)) if target else Vector(0, 0)

    def numbers(self, slot: int, form: str) -> list[int]:
        """The elements of a vector of scalars."""
        start, count = self.vector(slot)
        size = struct.calcsize(form)
        if start + count * size > len(self._data):
            raise InputError("the artifact is damaged: a vector of it lies outside of the file; export it again")
        return [self._number(f"<{form}", start + index * size) for index in range(count)]

    def text(self, slot: int) -> str:
        """A string, empty where there is none."""
        start, count = self.vector(slot)
        return bytes(self._data[start : start + count]).decode(errors="replace")

    def tables(self, slot: int) -> list["Table"]:
        """The tables of a vector of tables."""
        return list(self._tables(slot))

    def _tables(self, slot: int) -> Iterator["Table"]:
        start, count = self.vector(slot)
        if count > _MOST_TABLES:
            raise InputError("the artifact is damaged: it says that it has a million tables; export it again")
        for index in range(count):
            place = start + 4 * index
            yield Table(self._data, place + self._number("<I", place))
