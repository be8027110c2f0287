"""Tables that are in memory already: frames of polars and pandas, data sets of Hugging Face, dictionaries of columns."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from chordkit.data.readers.table import Table, as_texts, in_one_line
from chordkit.errors import DataError


def is_table(value: object) -> bool:
    """Whether :class:`TableInMemory` takes it."""
    return isinstance(value, pl.DataFrame | pl.LazyFrame | Mapping) or hasattr(value, "columns") or hasattr(value, "column_names")


class TableInMemory:
    """Columns by name.

    Args:
        value: a polars or pandas frame, something with ``column_names`` (Hugging Face), or a mapping from names to columns.
    """

    def __init__(self, value: Any) -> None:
        self._value = value.collect() if isinstance(value, pl.LazyFrame) else value
        names = getattr(value, "column_names", None)
        names = names if isinstance(names, list) else getattr(self._value, "columns", None)
        self._names = [str(name) for name in (list(self._value) if names is None else names)]
        twice = next((name for name in self._names if self._names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"the table: two columns are called '{twice}'; rename one of them")

    @property
    def names(self) -> list[str]:
        return self._names

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        try:
            frame = pl.DataFrame([_column(name, self._value[name]) for name in names])
            return Table(as_texts(frame, numbers), lambda row: f"row {row + 1}")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError) as error:
            raise DataError(f"the table: columns of different lengths, or of an unusable type ({in_one_line(error)})") from None


def _column(name: str, values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.alias(name)
    if hasattr(values, "isna") and hasattr(values, "to_numpy"):  # pandas: its missing values are NaN, NaT or NA
        values = [None if missing else value for value, missing in zip(values.tolist(), values.isna().tolist(), strict=True)]
    else:
        values = values.tolist() if hasattr(values, "tolist") else values
        values = [None if isinstance(value, float) and value != value else value for value in values]
    return pl.Series(name, list(values), strict=False)
