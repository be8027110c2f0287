"""Parquet tables."""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from chordkit.data.readers.parquet_size import ImmodestError, most_bytes, require_modest
from chordkit.data.readers.table import POLARS_ERRORS, Table, as_texts, in_one_line
from chordkit.errors import DataError

_MEND = "download or write it again"


class ParquetFile:
    """A table by its footer.

    Raises:
        DataError: it is truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(max(0, path.stat().st_size - 4))
            if start != b"PAR1" or stream.read(4) != b"PAR1" or path.stat().st_size < 12:
                raise DataError(f"{path}: not a whole Parquet file (the mark 'PAR1' is missing at the start or the end); {_MEND}")
        try:
            self._names = list(pl.read_parquet_schema(path))
        except POLARS_ERRORS as error:
            raise self._damaged(error) from None

    @property
    def names(self) -> list[str]:
        return self._names

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        path = self._path
        try:
            with path.open("rb") as stream:
                require_modest(stream, set(names))
            frame = pl.read_parquet(path, columns=list(names))
            texts = [frame[name].str.len_bytes().sum() for name in names if frame[name].dtype == pl.String]
            # Rows share a text of the dictionary until one of them is changed.
            if sum(texts) > most_bytes(path.stat().st_size):
                raise ImmodestError(f"its texts unpack to {sum(texts)} bytes")
            return Table(as_texts(frame, numbers), lambda row: f"{path}: row {row + 1}")
        except ImmodestError as error:
            raise DataError(
                f"{path}: far larger than its file ({error}), as no real interactions are; write it as CSV if they are"
            ) from None
        except POLARS_ERRORS as error:
            raise self._damaged(error) from None

    def _damaged(self, error: BaseException) -> DataError:
        return DataError(f"{self._path}: a damaged Parquet file, or columns of an unusable type ({in_one_line(error)}); {_MEND}")
