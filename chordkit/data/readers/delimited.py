"""CSV, TSV and the like, and lines of fields between blanks."""

import codecs
import csv
import re
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path

import polars as pl

from chordkit.data.readers.table import POLARS_ERRORS, Table, in_one_line, stacked, with_numbers
from chordkit.errors import DataError

_MOST_COLUMNS = 4096
# A field that begins with a quotation mark and ends without one, as names in tab-separated files do.
_STRAY_QUOTE = re.compile(rb'(?:^|\t)"(?:[^"\t\r\n]|"")*(?:\t|\r|\n|\Z)', re.MULTILINE)
_PIECE = 1 << 25
"""Bytes that are read at once: as texts, a column of short numbers takes several times the room that it has in the file."""
_LIST_TYPES = (":token_seq", ":float_seq")
"""What RecBole writes behind the name of a column whose fields are lists, their parts between blanks."""


class DelimitedFile:
    """Lines of fields; the first one names the columns, or they are "column_1", "column_2", ...

    Raises:
        DataError: it is not UTF-8, or has thousands of columns.
    """

    def __init__(self, path: Path, data: bytes, separator: str, *, has_header: bool) -> None:
        self._path, self._separator, self._has_header = path, separator, has_header
        require_bytes(path, data)
        self._data = data.removeprefix(codecs.BOM_UTF8)
        if not data.isascii():
            _require_utf8(path, self._data)
        quoted = b'"' in data
        self._quote = '"' if quoted and not (separator == "\t" and _STRAY_QUOTE.search(self._data)) else None
        first: list[str] = next((fields for _, fields in self._records()), [])
        if len(first) > _MOST_COLUMNS:
            raise DataError(f"{path}: {len(first)} columns in the first line, more than {_MOST_COLUMNS}; keep those of user, item and time")
        self._names = first if has_header else [f"column_{index}" for index in range(1, len(first) + 1)]

    @property
    def names(self) -> list[str]:
        return self._names

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        twice = next((name for name in names if self._names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{self._path}:1: two columns are called '{twice}'; rename one of them, or name another column")
        try:
            frame = stacked([self._read_piece(piece, again, names, numbers) for piece, again in self._pieces()])
        except POLARS_ERRORS as error:
            raise self._bad_shape() or DataError(f"{self._path}: not a readable table ({in_one_line(error)})") from None
        lists = [name for name in names if name.endswith(_LIST_TYPES)]
        return Table(frame.with_columns(pl.col(lists).str.strip_chars().str.split(" ")) if lists else frame, self._place)

    def _read_piece(self, piece: bytes, again: bool, names: Sequence[str], numbers: Collection[str]) -> pl.DataFrame:
        frame = pl.read_csv(
            piece,
            separator=self._separator,
            quote_char=self._quote,
            has_header=self._has_header,
            # All as text: a bad value is then ours to report with its line, and ids like "007" stay what they are.
            infer_schema=False,
            # No projection: polars would then take a line with too many fields for a good one.
        )
        frame = frame.slice(1) if again and not self._has_header else frame
        return with_numbers(pl.DataFrame({name: frame.to_series(self._names.index(name)) for name in names}), numbers)

    def _pieces(self) -> Iterator[tuple[bytes, bool]]:
        """Whole lines of the file, and whether its first line, by which polars counts the columns, stands before them once more."""
        data = _without_empty_lines(self._data)
        if self._quote is not None or len(data) <= _PIECE:
            yield data, False
            return
        view, first, end = memoryview(data), data[: data.find(b"\n") + 1], 0
        while end < len(data):
            begin, end = end, data.find(b"\n", end + _PIECE) + 1 or len(data)
            yield (b"".join([first, view[begin:end]]), True) if begin else (bytes(view[:end]), False)

    def _place(self, row: int) -> str:
        for order, (line, _) in enumerate(self._records()):
            if order == row + self._has_header:
                return f"{self._path}:{line}"
        return f"{self._path}"

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line number, fields) of every record that is not empty; a whole pass only where a place in the file must be named."""
        lines, plain = TextIOWrapper(BytesIO(self._data), "utf-8", newline=""), self._quote is None
        reader = csv.reader(lines, delimiter=self._separator, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
        line = 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error:
            return

    def _bad_shape(self) -> DataError | None:
        """An error that names the first line with too many fields, or the one with an open quotation mark, if there is one."""
        line, width = 1, len(self._names)
        for line, fields in self._records():
            if len(fields) > width:
                return DataError(f"{self._path}:{line}: {len(fields)} fields where the first line has {width}; quote or mend the line")
        if self._data.count(b'"') % 2:
            return DataError(f"{self._path}:{line}: a quotation mark is never closed; close or remove it")
        return None


def _require_utf8(path: Path, data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mend = "convert the file, with 'iconv -f LATIN1 -t UTF-8' where it is that"
        raise DataError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; {mend}") from None


def require_bytes(path: Path, data: bytes) -> None:
    """Hold that a text of this beginning is written in bytes, as UTF-8 is, and not in pairs of them.

    Raises:
        DataError: it is UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (len(data) > 1 and any(data[1:40:2]) != any(data[:40:2])):
        raise DataError(f"{path}: this is UTF-16; convert the file with 'iconv -f UTF-16 -t UTF-8'")


def guess_separator(line: str) -> str:
    """The separator of a header or data line: the one of tab, comma, semicolon and bar that occurs most."""
    return max("\t,;|", key=line.count)


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line, without blanks and quotation marks around them: enough to tell what a file is, not to read it."""
    return [field.strip().strip('"') for field in line.split(separator)]


def between_tabs(data: bytes, separator: bytes | None) -> bytes:
    """The same lines with tabs between their fields, for separators that polars does not know: two colons, or (None) any blanks."""
    if separator is not None:
        return data.replace(separator, b"\t")
    return re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", data))


def _without_empty_lines(data: bytes) -> bytes:
    """polars takes an empty line for a row of nothing."""
    data = data.lstrip(b"\r\n")
    return re.sub(rb"(\r?\n){2,}", b"\n", data) if b"\n\n" in data or b"\n\r\n" in data else data
