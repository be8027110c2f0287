"""What a reader of tables hands over: the columns that were asked for, as texts, and where each row stands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one file, or of several parts.

    Attributes:
        frame: String columns by their own names; lists of String where a row holds several.
        place: where row ``n`` (from 0) stands, for a sentence: "shop.csv:17", "shop.parquet: row 17". May read the file once more.
    """

    frame: pl.DataFrame
    place: Callable[[int], str]


class TableFile(Protocol):
    """A file whose columns are known and not read yet."""

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        ...

    def read(self, names: Sequence[str]) -> Table:
        """The columns ``names``, and of the rest as little as possible.

        Raises:
            DataError: a row is malformed; the message names it.
        """
        ...


def joined(tables: Sequence[Table]) -> Table:
    """The parts of a data set one after the other."""
    if len(tables) == 1:
        return tables[0]

    def place(row: int) -> str:
        for table in tables:
            if row < table.frame.height:
                return table.place(row)
            row -= table.frame.height
        raise IndexError(row)

    return Table(pl.concat([table.frame for table in tables]), place)


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as String, lists as lists of String; points in time as whole numbers in their own unit, days in microseconds; whole
    floating-point numbers without their '.0' and NaN as missing, which is how tables hold ids of which some are missing.

    Raises:
        ValueError: a column is of a type that has no text (structs, binary data, lists of lists).
    """
    columns = []
    for series in frame:
        inner = series.dtype.inner if isinstance(series.dtype, pl.List) else series.dtype
        if inner is None or inner.is_nested() or inner in (pl.Binary, pl.Object):
            raise ValueError(f"'{series.name}' is {series.dtype}")
        if inner.is_temporal():
            if inner == pl.Date:  # a number of days looks like a count of anything
                series = series.cast(pl.List(pl.Datetime("us")) if isinstance(series.dtype, pl.List) else pl.Datetime("us"))
            series = series.cast(pl.List(pl.Int64)) if isinstance(series.dtype, pl.List) else series.to_physical()
        elif series.dtype.is_float():
            series = series.fill_nan(None)
            if series.is_finite().all() and (series == series.cast(pl.Int64, strict=False)).all():
                series = series.cast(pl.Int64)
        columns.append(series.cast(pl.List(pl.String) if isinstance(series.dtype, pl.List) else pl.String))
    return pl.DataFrame(columns)


def in_one_line(error: BaseException) -> str:
    """What a library said, short enough for a sentence."""
    return " ".join(str(error).split())[:160]


POLARS_ERRORS: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
"""What polars may end in on a damaged file."""
