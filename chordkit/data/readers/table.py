"""What a reader of tables hands over: the columns that were asked for, as texts, and where each row stands."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one file, or of several parts.

    Attributes:
        frame: String columns by their own names; lists of String where a row holds several; Int64 where that was asked for.
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

    def read(self, names: Sequence[str], numbers: Collection[str] = ()) -> Table:
        """The columns ``names``, and of the rest as little as possible.

        Args:
            names: of the columns.
            numbers: those of them that may come as Int64, where nothing but whole numbers as they are normally written is in them.

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

    return Table(stacked([table.frame for table in tables]), place)


def stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One below the other; a column that is Int64 in some of them becomes String as it is in the others."""
    mixed = [name for name in frames[0].columns if len({frame.schema[name] for frame in frames}) > 1]
    texts = pl.col([name for name in mixed if all(frame.schema[name] in (pl.Int64, pl.String) for frame in frames)]).cast(pl.String)
    return pl.concat([frame.with_columns(texts) if mixed else frame for frame in frames])


def with_numbers(frame: pl.DataFrame, numbers: Collection[str]) -> pl.DataFrame:
    """The frame with Int64 for those String columns among ``numbers`` that say the same so."""
    return pl.DataFrame([_as_numbers(series) if series.name in numbers and series.dtype == pl.String else series for series in frame])


def _as_numbers(texts: pl.Series) -> pl.Series:
    if texts.null_count():
        return texts
    found = texts.cast(pl.Int64, strict=False)
    if found.null_count() or not len(found):
        return texts
    least, largest = int(found.min()), int(found.max())  # type: ignore[arg-type]
    # A leading zero, a plus or the minus of -0 makes a text longer than the number is; nothing makes it shorter.
    values = found.to_numpy()
    negative = int(np.count_nonzero(values < 0))
    letters = len(values) + negative
    for digits in range(1, len(str(max(largest, -least)))):
        letters += int(np.count_nonzero(values >= 10**digits))
        letters += int(np.count_nonzero(values <= -(10**digits))) if negative else 0
    return found if letters == texts.str.len_bytes().sum() else texts


def as_texts(frame: pl.DataFrame, numbers: Collection[str] = ()) -> pl.DataFrame:
    """Every column as String, lists as lists of String; points in time as whole numbers in their own unit, days in microseconds; whole
    floating-point numbers without their '.0' and NaN as missing, which is how tables hold ids of which some are missing. Whole numbers
    of which none is missing stay Int64 in the columns ``numbers``.

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
        if series.name in numbers and series.dtype.is_integer() and series.dtype != pl.UInt64 and not series.null_count():
            columns.append(series.cast(pl.Int64))
        else:
            columns.append(series.cast(pl.List(pl.String) if isinstance(series.dtype, pl.List) else pl.String))
    return with_numbers(pl.DataFrame(columns), numbers)


def in_one_line(error: BaseException) -> str:
    """What a library said, short enough for a sentence."""
    return " ".join(str(error).split())[:160]


POLARS_ERRORS: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
"""What polars may end in on a damaged file."""
