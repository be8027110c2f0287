"""Times as people write them, as numbers to be ordered by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

import numpy as np
import polars as pl

from chordkit.data.dataset import Dataset
from chordkit.errors import DataError

_EXACT_DIGITS = 15
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")
_EPOCH = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EARLIEST, _LATEST = 3.1e8, 4.2e9
"""Seconds since 1970 of about 1980 and 2103: of one unit's range nothing lies in another's."""


class Clock(StrEnum):
    """What the times of a data set count."""

    EPOCH = "microseconds since 1970"
    COUNT = "as the file counts"
    RANK = "ranks of the file's times"


@dataclass(frozen=True, eq=False)
class Times:
    """Of every interaction.

    Attributes:
        values: int64 or float64 [rows].
        unit: "s", "ms", "us" or "ns" since 1970 where they are that; None for counters, ranks and what else orders.
        rounded: float64 [rows] where the values are ranks, because these would lose digits that order.
    """

    values: np.ndarray
    unit: str | None
    rounded: np.ndarray | None = None

    def clocked(self) -> tuple[np.ndarray, Clock]:
        """int64 [rows], what a data set keeps of them, and what that counts; it never falls where the values rise."""
        values = self.values if self.rounded is None else self.rounded
        if self.unit is not None:
            return _microseconds(values, _EPOCH[self.unit]), Clock.EPOCH
        if values.dtype == np.int64:
            return values, Clock.COUNT
        if (np.abs(values) < 2**53).all() and (values == np.rint(values)).all():
            return values.astype(np.int64), Clock.COUNT
        return np.unique(self.values, return_inverse=True)[1].astype(np.int64), Clock.RANK

    def bound(self, text: str, option: str) -> float | int:
        """What ``--from`` or ``--to`` means beside these times.

        Raises:
            DataError: it is neither a number nor a date, or a date beside times that are none.
        """
        if self.rounded is not None:
            raise DataError(f"{option}: the file's times have too many digits to compare; write them as whole numbers or dates")
        return _one_time(text, self.unit, option)


def moment(text: str, clock: Clock) -> int:
    """A moment beside the times of a data set: a date as ISO 8601 writes it (UTC where it names no zone), or a whole number of its count.

    Raises:
        ValueError: it is not what they count; in a few words, for the caller's sentence.
    """
    if clock is Clock.EPOCH and looks_like_date(text):
        return int(_one_time(text, "us", "a moment"))
    if clock is Clock.COUNT and re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    wanted = {Clock.EPOCH: "a date such as 2015-01-01", Clock.COUNT: "a whole number, as the file counts"}
    raise ValueError(f"'{text[:40]}' is not {wanted[clock]}" if clock in wanted else "only the order of its times is known")


def clock_of(dataset: Dataset) -> Clock:
    """What the times of a data set count; microseconds since 1970 unless its provenance says otherwise."""
    said = dataset.provenance.get("times")
    return Clock(said) if said in list(Clock) else Clock.EPOCH


def shown(time: int, clock: str) -> str:
    """A time of a data set, for people; :func:`moment` reads it back."""
    return str(np.datetime64(time, "us")).removesuffix(".000000") + "Z" if clock == Clock.EPOCH else str(time)


def looks_like_date(text: str) -> bool:
    """Whether it begins as ISO 8601 writes a date."""
    return _DATE.match(text) is not None


def look_like_epochs(values: Sequence[float]) -> bool:
    """Whether all of them are seconds, milliseconds, microseconds or nanoseconds between about 1980 and 2103."""
    return any(all(_EARLIEST <= value / scale <= _LATEST for value in values) for scale in _EPOCH.values())


class BadValueError(ValueError):
    """``value``, of ``row``, is empty, or no number and no time; the message says what is wrong, and the mend."""

    def __init__(self, row: int, value: str, words: str) -> None:
        super().__init__(words)
        self.row, self.value = row, value


def read_times(column: pl.Series, time_format: str | None) -> Times:
    """Numbers as they are, and dates in nanoseconds since 1970 (UTC where they name no zone).

    Args:
        column: texts, without blanks around them, or Int64.
        time_format: how dates are written; None = numbers, or ISO 8601.

    Raises:
        BadValueError: one is empty or neither, or two units are mixed.
    """
    if time_format is not None:
        column = column.cast(pl.String)
        return _dates(column, column.str.to_datetime(time_format, strict=False, time_unit="ns"))
    first = [] if column.dtype == pl.Int64 else column.drop_nulls().head(1).to_list()
    if first and looks_like_date(first[0]):
        return _dates(column, _iso(column))
    values = numbers(column, "give seconds since 1970, or a date as 2026-03-14T09:30:00, or say with --time-format how it is written")
    if values.dtype == np.float64 and column.str.count_matches(r"\d").max() > _EXACT_DIGITS:  # type: ignore[operator]
        return Times(_ranks(column), _unit(column, values), values)
    return Times(values, _unit(column, values))


def numbers(column: pl.Series, mend: str) -> np.ndarray:
    """int64 when every value is a whole number (no digit of a nanosecond is lost), else float64.

    Raises:
        BadValueError: one is empty, or no finite number.
    """
    whole = column.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    values = column.cast(pl.Float64, strict=False)
    bad = values.is_null() | ~values.is_finite().fill_null(False)
    if bad.any():
        raise _bad(column, bad, f"is not a number; {mend}")
    return values.to_numpy()


def _microseconds(values: np.ndarray, scale: int) -> np.ndarray:
    if values.dtype == np.int64:
        return values * (10**6 // scale) if scale <= 10**6 else values // (scale // 10**6)
    return np.rint(values * (1e6 / scale)).astype(np.int64)


def _one_time(text: str, unit: str | None, option: str) -> float | int:
    text = text.strip()
    try:
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else float(number)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{option}: '{text[:40]}' is no time; give a date as 2026-03-14, or a number as in the file") from None
    if unit is None:
        raise DataError(f"{option}: the file's times are no dates; give a number as in the file")
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (seconds.days * 86_400 + seconds.seconds) * _EPOCH[unit] + seconds.microseconds * _EPOCH[unit] // 10**6


def _iso(column: pl.Series) -> pl.Series:
    try:
        found = column.str.to_datetime(strict=False, time_unit="ns")
    except pl.exceptions.PolarsError:
        found = pl.Series(values=[None] * len(column), dtype=pl.Datetime("ns"))
    found = found.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if found.dtype.time_zone else found  # type: ignore[attr-defined]
    # Of mixed notations polars reads those that are written as the first.
    left = column.filter(found.is_null()).drop_nulls().unique()
    if not len(left):
        return found
    slow = {text: _one_iso(text) for text in left}
    rest = column.replace_strict(slow, default=None, return_dtype=pl.Int64).cast(pl.Datetime("ns"))
    return found.zip_with(found.is_not_null(), rest)


def _one_iso(text: str) -> int | None:
    try:
        return int(_one_time(text, "ns", "")) if looks_like_date(text) else None
    except DataError:
        return None


def _dates(column: pl.Series, found: pl.Series) -> Times:
    if found.null_count():
        raise _bad(column, found.is_null(), "is not a date as the first row has one; write all of them alike")
    if found.dtype.time_zone is not None:  # type: ignore[attr-defined]
        found = found.dt.convert_time_zone("UTC")
    return Times(found.to_physical().to_numpy(), "ns")


def _bad(column: pl.Series, bad: pl.Series, words: str) -> BadValueError:
    row = int(bad.arg_max() or 0)
    value = str(column[row] or "")
    return BadValueError(row, value, words if value else "is empty; fill it or remove the row")


def _unit(column: pl.Series, values: np.ndarray) -> str | None:
    """The one unit of numbers that all are times since 1970.

    Raises:
        BadValueError: they are of two units; ordered as numbers they would stand one behind all of the other.
    """
    first: tuple[str, int] | None = None
    covered = 0
    for unit, scale in _EPOCH.items():
        inside = (values >= _EARLIEST * scale) & (values <= _LATEST * scale)
        if not inside.any():
            continue
        covered += int(inside.sum())
        row = int(inside.argmax())
        if first is not None:
            words = f"is in {_WORDS[unit]} and '{column[first[1]]}' in {_WORDS[first[0]]}; write all times in one unit"
            raise BadValueError(row, str(column[row]), words)
        first = unit, row
    return first[0] if first is not None and covered == len(values) else None


def _ranks(column: pl.Series) -> np.ndarray:
    """Where each of these numbers stands among them all, by their exact values, int64."""
    exact = {text: Decimal(text) for text in column.unique()}
    ranks = {value: rank for rank, value in enumerate(sorted(set(exact.values())))}
    return column.replace_strict({text: ranks[value] for text, value in exact.items()}, return_dtype=pl.Int64).to_numpy()
