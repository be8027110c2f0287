"""How much a Parquet table is once it is unpacked, by its footer and the heads of its pages: 119 KB may be 2.5 GB.

Both are structures of Thrift's compact protocol (github.com/apache/parquet-format, ``parquet.thrift``); polars does not tell what they say.
"""

import os
from collections.abc import Collection
from typing import Any, BinaryIO

_MOST_ROWS = 1 << 20
_MOST_BYTES = 64 << 20
_RATIO = 64
_MOST_PAGES = 1 << 20
_MOST_HEAD_BYTES = 1 << 16
_DEEPEST = 16


class ImmodestError(ValueError):
    """A table is far larger than its file."""


def most_bytes(size: int) -> int:
    """What a table in a file of ``size`` bytes may take: 64 bytes for each, or 64 MiB; compression seldom makes a tenth of interactions."""
    return max(_MOST_BYTES, _RATIO * size)


def require_modest(stream: BinaryIO, columns: Collection[str]) -> None:
    """Refuse a table of which ``columns`` would take far more memory than the file has bytes.

    Allowed are :func:`most_bytes`, and a row for each byte of the file, or a million: interactions have several bytes a row.

    Raises:
        ImmodestError: it is larger; in a few words, for the caller's sentence.
        ValueError: its footer or the head of a page cannot be read.
    """
    size = stream.seek(0, os.SEEK_END)
    most_rows, most, pages = max(_MOST_ROWS, size), most_bytes(size), 0
    footer = _footer(stream, size)
    # The tree of names, a group before what is in it; a row group has a chunk for every leaf, in this order.
    leaves = [_struct(element).get(4) for element in _list(footer, 2) if not _struct(element).get(5)]
    unpacked, values = 0, dict.fromkeys(columns, 0)
    for group in map(_struct, _list(footer, 4)):
        chunks = [_struct(_struct(chunk).get(3)) for chunk in _list(group, 1)]
        paths = [_list(about, 3) for about in chunks]
        if [path[-1] if path else None for path in paths] != leaves:
            raise ValueError("its footer names other columns than it has")
        for about, path in zip(chunks, paths, strict=True):
            name = path[0].decode(errors="replace") if isinstance(path[0], bytes) else ""
            if name not in values:
                continue
            start = min((_whole(about, number) for number in (9, 11) if about.get(number)), default=0)
            end = start + _whole(about, 7)
            while start < end:
                head, taken = _page(stream, start)
                kind = next((each for number in (5, 8) if isinstance(each := head.get(number), dict)), None)
                unpacked += _whole(head, 2)
                values[name] += _whole(kind, 1) if kind is not None else 0
                start, pages = start + taken + _whole(head, 3), pages + 1
                if max(values.values()) > most_rows or unpacked > most or pages > _MOST_PAGES:
                    raise ImmodestError(f"{size} bytes unpack to more than {most_rows} rows or {most} bytes")
    if _whole(footer, 3) > most_rows:
        raise ImmodestError(f"{size} bytes unpack to more than {most_rows} rows")


def _footer(stream: BinaryIO, size: int) -> dict[int, Any]:
    stream.seek(size - 8)
    length = int.from_bytes(stream.read(4), "little")
    if length > size - 12:
        raise ValueError("its footer is larger than itself")
    stream.seek(size - 8 - length)
    return _Compact(stream.read(length)).struct()


def _page(stream: BinaryIO, start: int) -> tuple[dict[int, Any], int]:
    """The head of the page at ``start`` and its length; statistics in it may be long, so that it is read in two steps."""
    for length in (512, _MOST_HEAD_BYTES):
        stream.seek(start)
        compact = _Compact(stream.read(length))
        try:
            return compact.struct(), compact.place
        except ValueError:
            if length == _MOST_HEAD_BYTES:
                raise
    raise AssertionError


def _struct(value: object) -> dict[int, Any]:
    if not isinstance(value, dict):
        raise ValueError("its footer has no struct where there must be one")
    return value


def _whole(values: dict[int, Any], field: int) -> int:
    value = values.get(field)
    if type(value) is not int or value < 0:
        raise ValueError("its footer or a page has no size where there must be one")
    return value


def _list(values: dict[int, Any], field: int) -> list[Any]:
    value = values.get(field)
    if not isinstance(value, list):
        raise ValueError("its footer has no list where there must be one")
    return value


class _Compact:
    """Reader of Thrift's compact protocol: a struct is a dictionary by field number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The struct that begins here.

        Raises:
            ValueError: it breaks off, or is nested more than 16 deep.
        """
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            # A field's own truth is its type.
            found[field] = (head & 15) == 1 if head & 15 in (1, 2) else self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._number()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            if count > len(self._data) - self.place:
                raise ValueError("its footer breaks off")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("its footer has a field of an unknown type")

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise ValueError("its footer breaks off")
        self.place += 1
        return self._data[self.place - 1]

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self.place:
            raise ValueError("its footer breaks off")
        self.place += count
        return self._data[self.place - count : self.place]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128 or shift > 63:
                return value

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
