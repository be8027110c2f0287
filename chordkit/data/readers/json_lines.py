"""JSON lines: an object a line, whose fields are named by their paths, "product.id"; and Python's dictionaries, as Steam's reviews are
published."""

import ast
import json
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from chordkit.data.readers.table import POLARS_ERRORS, Table
from chordkit.errors import DataError

_SAMPLE = 1000
_MOST_NAMES = 4096
_LONGEST_LITERAL = 1 << 20


class JsonLinesFile:
    """Objects, one a line; the names are those of the first thousand.

    Raises:
        DataError: the first line is no object.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data
        self._literal = False
        first = next(self._lines(), (1, b""))[1]
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            self._literal = True
        names: dict[str, bool] = {}
        for (number, line), _ in zip(self._lines(), range(_SAMPLE), strict=False):
            for name, is_list in _leaves(self._object(number, line)):
                names.setdefault(name, is_list)
                if len(names) > _MOST_NAMES:
                    raise DataError(f"{path}:{number}: more than {_MOST_NAMES} fields; keep those of user, item and time")
        self._is_list = names

    @property
    def names(self) -> list[str]:
        return list(self._is_list)

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        if not self._literal:
            try:
                return Table(self._select(pl.read_ndjson(BytesIO(self._data), schema=_schema(names, self._is_list)), names), self._place)
            except POLARS_ERRORS:
                pass  # whichever line it is, the slow way names it, or reads what polars does not
        rows: dict[str, list[Any]] = {name: [] for name in names}
        for number, line in self._lines():
            found = self._object(number, line)
            for name in names:
                rows[name].append(_text(_at(found, name), self._is_list[name]))
        types = {name: pl.List(pl.String) if self._is_list[name] else pl.String for name in names}
        return Table(pl.DataFrame(rows, schema=types), self._place)

    def _select(self, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        columns = []
        for name in names:
            first, *rest = name.split(".") if name not in frame.columns else [name]
            column = pl.col(first)
            for part in rest:
                column = column.struct.field(part)
            columns.append(column.alias(name))
        return frame.select(columns)

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            if self._literal and len(line) > _LONGEST_LITERAL:
                raise ValueError("the line is longer than 1 MiB")
            found = ast.literal_eval(line.decode()) if self._literal else json.loads(line)
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            said = " ".join(str(error).split())[:80]
            raise DataError(f"{self._path}:{number}: not a JSON object ({said}); mend or remove the line") from None
        if not isinstance(found, dict):
            raise DataError(f"{self._path}:{number}: not a JSON object but {type(found).__name__}; write an object a line")
        return found

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(BytesIO(self._data), 1):
            if line := line.strip().removeprefix(b"\xef\xbb\xbf"):
                yield number, line

    def _place(self, row: int) -> str:
        for order, (number, _) in enumerate(self._lines()):
            if order == row:
                return f"{self._path}:{number}"
        return f"{self._path}"


def _leaves(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, bool]]:
    for name, each in value.items():
        if isinstance(each, dict):
            yield from _leaves(each, f"{before}{name}.")
        elif not isinstance(each, list) or not any(isinstance(part, dict | list) for part in each):
            yield f"{before}{name}", isinstance(each, list)


def _at(value: Any, name: str) -> Any:
    if isinstance(value, dict) and name in value:
        return value[name]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text(value: Any, is_list: bool) -> Any:
    """As polars writes it into a column of texts."""
    if is_list:
        return [_text(each, False) for each in value] if isinstance(value, list) else None
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or isinstance(value, dict | list) else str(value)


def _schema(names: Sequence[str], is_list: dict[str, bool]) -> dict[str, pl.DataType | type[pl.DataType]]:
    tree: dict[str, Any] = {}
    for name in names:
        *groups, last = name.split(".")
        level = tree
        for group in groups:
            level = level.setdefault(group, {})
        level[last] = pl.List(pl.String) if is_list[name] else pl.String
    return {name: _type(value) for name, value in tree.items()}


def _type(value: Any) -> Any:
    return pl.Struct({name: _type(inner) for name, inner in value.items()}) if isinstance(value, dict) else value
