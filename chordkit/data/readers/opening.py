"""A table of items, whatever it is written as."""

from pathlib import Path

from chordkit.data.readers.delimited import DelimitedFile, guess_separator
from chordkit.data.readers.json_lines import JsonLinesFile
from chordkit.data.readers.parquet import ParquetFile
from chordkit.data.readers.table import TableFile
from chordkit.data.readers.unpacking import read_unpacked
from chordkit.errors import DataError


def read_table_bytes(path: Path, what: str) -> tuple[bytes, str]:
    """A file unpacked, and its first line that is not empty.

    Raises:
        DataError: there is no such file, or nothing in it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file of {what}; check the path")
    data = read_unpacked(path)
    first = next((line for line in data[:65_536].splitlines() if line.strip()), b"").decode("utf-8", "replace")
    if not first:
        raise DataError(f"{path}: the file is empty; give a table of items")
    return data, first


def open_table(path: Path, data: bytes, first: str, *, has_header: bool = True) -> TableFile:
    """The table in ``data``, the bytes of ``path``: Parquet, JSON lines, or lines with a separator that :func:`guess_separator` knows.

    Raises:
        DataError: it is damaged.
    """
    if data.startswith(b"PAR1"):
        return ParquetFile(path)
    if first.startswith("{"):
        return JsonLinesFile(path, data)
    return DelimitedFile(path, data, guess_separator(first), has_header=has_header)
