"""Tables of interactions (CSV, TSV, Parquet): one row per event, columns by name or by position."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import polars as pl

from chordkit.data.assembly import Events
from chordkit.data.parquet import ImmodestError, most_bytes, require_modest
from chordkit.errors import DataError

_ALIASES = {
    "user": ("user", "userid", "reviewerid", "uid", "sessionid", "customerid", "visitorid"),
    "item": ("item", "itemid", "asin", "parentasin", "movieid", "productid", "iid", "artid", "businessid"),
    "timestamp": ("timestamp", "time", "ts", "unixreviewtime", "unixtime", "date", "datetime"),
    "rating": ("rating", "overall", "stars", "score"),
}
_BY_POSITION = re.compile(r"column_[1-9][0-9]{0,3}")
_MOST_COLUMNS = 4096
_EXACT_DIGITS = 15
_POLARS_ERRORS: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


@dataclass(frozen=True)
class Columns:
    """Which column is what. None = recognise it by a common name ("userId", "asin", "unixReviewTime", ...).

    A table without a header line has its columns by position: ``Columns("column_1", "column_2", "column_4", "column_3")``.
    """

    user: str | None = None
    item: str | None = None
    timestamp: str | None = None
    rating: str | None = None

    @property
    def by_position(self) -> bool:
        """True when the table has no header line, because columns are named "column_1", "column_2", ..."""
        given = [name for name in (self.user, self.item, self.timestamp, self.rating) if name is not None]
        return bool(given) and all(_BY_POSITION.fullmatch(name) for name in given)


RATINGS_BY_POSITION = Columns("column_1", "column_2", "column_4", "column_3")


def recognise(header: list[str], columns: Columns = Columns()) -> dict[str, str]:
    """The column of every role ("user", "item", "timestamp", "rating") that is named or recognised; absent roles are left out."""
    plain = {re.sub(r"[^a-z0-9]", "", re.sub(r":.*", "", name.lower())): name for name in reversed(header)}
    found = {}
    for role, aliases in _ALIASES.items():
        named = getattr(columns, role)
        if named is not None:
            found[role] = named
        else:
            match = next((plain[alias] for alias in aliases if alias in plain), None)
            if match is not None:
                found[role] = match
    return found


def read_delimited(path: Path, data: bytes, separator: str, columns: Columns, with_rating: bool) -> Events:
    """Read CSV or TSV text.

    Raises:
        DataError: a column is missing (the message lists those present), or a row is malformed (it names the line).
    """
    has_header = not columns.by_position
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; convert the file with 'iconv -t UTF-8'") from None
    first: list[str] = next((fields for _, fields in _records(text, separator)), [])
    if len(first) > _MOST_COLUMNS:
        raise DataError(f"{path}: {len(first)} columns in the first line, more than {_MOST_COLUMNS}; keep those of user, item and time")
    header = first if has_header else [f"column_{index}" for index in range(1, len(first) + 1)]
    roles = _roles(path, header, columns, with_rating)
    try:
        frame = pl.read_csv(
            BytesIO(_without_empty_lines(text).encode()),
            separator=separator,
            has_header=has_header,
            # All as text: a bad value is then ours to report with its line, and ids like "007" stay what they are.
            infer_schema=False,
            # No projection: polars would then take a line with too many fields for a good one.
        )
        frame = pl.DataFrame({role: frame.to_series(header.index(name)) for role, name in roles.items()})
    except _POLARS_ERRORS as error:
        raise _bad_shape(path, text, separator, len(header)) or DataError(f"{path}: not a readable table ({_one_line(error)})") from None

    def where(role: str, is_bad: Callable[[str], bool]) -> str:
        line = _line_of(text, separator, header.index(roles[role]), has_header, is_bad)
        return f"{path}:{line}" if line else f"{path}"

    return _events(path, frame, roles, where)


def read_parquet(path: Path, columns: Columns, with_rating: bool) -> Events:
    """Read a Parquet table.

    Raises:
        DataError: the file is truncated or damaged, a column is missing, or a row is malformed (the message names the row).
    """
    mend = "download or write it again"
    with path.open("rb") as stream:
        start = stream.read(4)
        stream.seek(max(0, path.stat().st_size - 4))
        if start != b"PAR1" or stream.read(4) != b"PAR1" or path.stat().st_size < 12:
            raise DataError(f"{path}: not a whole Parquet file (the mark 'PAR1' is missing at the start or the end); {mend}")
    try:
        roles = _roles(path, list(pl.read_parquet_schema(path)), columns, with_rating)
        with path.open("rb") as stream:
            require_modest(stream, set(roles.values()))
        frame = pl.read_parquet(path, columns=list(roles.values()))
        frame = frame.select([pl.col(name).alias(role) for role, name in roles.items()])
        if frame["timestamp"].dtype.is_temporal():
            frame = frame.with_columns(pl.col("timestamp").to_physical())
        texts = [frame[role].str.len_bytes().sum() for role in roles if frame[role].dtype == pl.String]
        # Rows share a text of the dictionary until one of them is changed.
        if sum(texts) > most_bytes(path.stat().st_size):
            raise ImmodestError(f"its texts unpack to {sum(texts)} bytes")
        frame = frame.with_columns(pl.all().cast(pl.String))
    except ImmodestError as error:
        raise DataError(f"{path}: far larger than its file ({error}), as no real interactions are; write it as CSV if they are") from None
    except _POLARS_ERRORS as error:
        raise DataError(f"{path}: a damaged Parquet file, or columns of an unusable type ({_one_line(error)}); {mend}") from None

    def where(role: str, is_bad: Callable[[str], bool]) -> str:
        row = next((row for row, value in enumerate(frame[role].to_list(), 1) if is_bad(value or "")), None)
        return f"{path}: row {row}" if row else f"{path}"

    return _events(path, frame, roles, where)


def guess_separator(line: str) -> str:
    """The separator of a header or data line: the one of tab, comma, semicolon and bar that occurs most."""
    return max("\t,;|", key=line.count)


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line, without blanks and quotation marks around them: enough to tell what a file is, not to read it."""
    return [field.strip().strip('"') for field in line.split(separator)]


def is_number(text: str) -> bool:
    """True for a finite decimal number."""
    try:
        return bool(np.isfinite(float(text))) and "_" not in text
    except ValueError:
        return False


def _roles(path: Path, header: list[str], columns: Columns, with_rating: bool) -> dict[str, str]:
    roles = recognise(header, columns)
    if not with_rating:
        roles.pop("rating", None)
    needed = ["user", "item", "timestamp"] + ["rating"] * with_rating
    missing = [f"'{roles[role]}'" if role in roles else f"for the {role}" for role in needed if roles.get(role) not in header]
    if missing:
        present = ", ".join(f"'{name}'" for name in header[:40]) or "none"
        raise DataError(
            f"{path}: no column {' and no column '.join(missing)}; present are {present}; "
            "name the right one to 'chordkit data prepare' with --user, --item, --time or --rating "
            "(column_1, column_2, ... where there is no header line)"
        )
    names = [roles[role] for role in needed]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: one column cannot be two things ({', '.join(names)}); name another one in 'columns'")
    return {role: roles[role] for role in needed}


def _events(path: Path, frame: pl.DataFrame, roles: dict[str, str], where: Callable[[str, Callable[[str], bool]], str]) -> Events:
    """Turn text columns user, item, timestamp (and rating) into events."""
    frame = frame.with_columns(pl.all().str.strip_chars())
    codes: dict[str, np.ndarray] = {}
    ids: dict[str, list[str]] = {}
    for role in ("user", "item"):
        column = frame[role]
        if column.null_count() or (column == "").any():
            place = where(role, lambda value: not value.strip())
            raise DataError(f"{place}: {role} (column '{roles[role]}') is empty; fill it or remove the row")
        ids[role] = _in_order(column.unique())
        codes[role] = column.cast(pl.Enum(ids[role])).to_physical().to_numpy().astype(np.int64)
    numbers: dict[str, np.ndarray] = {}
    for role in ("timestamp", "rating"):
        if role in frame.columns:
            numbers[role] = _numbers(role, frame[role], roles[role], where)
    return Events(codes["user"], codes["item"], ids["user"], ids["item"], numbers["timestamp"], numbers.get("rating"), roles)


def _in_order(ids: pl.Series) -> list[str]:
    """Distinct ids in numeric order where all are whole numbers as they are normally written, else in text order."""
    whole = ids.cast(pl.Int64, strict=False)
    canonical = not whole.null_count() and bool((whole.cast(pl.String) == ids).all())
    return (whole.sort().cast(pl.String) if canonical else ids.sort()).to_list()


def _numbers(role: str, column: pl.Series, name: str, where: Callable[[str, Callable[[str], bool]], str]) -> np.ndarray:
    """int64 when every value is a whole number (no digit of a nanosecond is lost), else float64.

    Times are there to be ordered. Where a float64 would lose digits, they are int64 ranks: equal values have equal ones.
    """
    whole = column.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    values = column.cast(pl.Float64, strict=False)
    bad = values.is_null() | ~values.is_finite().fill_null(False)
    if bad.any():
        value = column.filter(bad)[0]
        place = where(role, lambda text: text.strip() == (value or ""))
        if not value:
            raise DataError(f"{place}: {role} (column '{name}') is empty; fill it or remove the row")
        unit = "give seconds since 1970" if role == "timestamp" else "give a rating such as 4.5"
        raise DataError(f"{place}: {role} '{value[:40]}' is not a number; {unit}, or name another column than '{name}'")
    if role == "timestamp" and column.str.count_matches(r"\d").max() > _EXACT_DIGITS:  # type: ignore[operator]
        return _ranks(column)
    return values.to_numpy()


def _ranks(column: pl.Series) -> np.ndarray:
    """Where each of these numbers stands among them all, by their exact values, int64."""
    exact = {text: Decimal(text) for text in column.unique()}
    ranks = {value: rank for rank, value in enumerate(sorted(set(exact.values())))}
    return column.replace_strict({text: ranks[value] for text, value in exact.items()}, return_dtype=pl.Int64).to_numpy()


def _without_empty_lines(text: str) -> str:
    """polars takes an empty line for a row of nothing."""
    text = text.lstrip("\r\n")
    return re.sub(r"(\r?\n){2,}", "\n", text) if "\n\n" in text or "\n\r\n" in text else text


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of every non-empty record; only used where a place in the file must be named."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error:
        return


def _line_of(text: str, separator: str, index: int, has_header: bool, is_bad: Callable[[str], bool]) -> int:
    """Line of the first record whose field ``index`` is bad (a missing field counts as ""), or 0."""
    for order, (line, fields) in enumerate(_records(text, separator)):
        if (order or not has_header) and is_bad(fields[index] if index < len(fields) else ""):
            return line
    return 0


def _bad_shape(path: Path, text: str, separator: str, width: int) -> DataError | None:
    """An error that names the first line with too many fields, or the one with an open quotation mark, if there is one."""
    line = 1
    for line, fields in _records(text, separator):
        if len(fields) > width:
            return DataError(f"{path}:{line}: {len(fields)} fields where the first line has {width}; quote or mend the line")
    return DataError(f"{path}:{line}: a quotation mark is never closed; close or remove it") if text.count('"') % 2 else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
