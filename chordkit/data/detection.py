"""What kind of file is it? Decided by looking inside, with the reason in words when it cannot be."""

import re
from enum import StrEnum
from pathlib import Path

from chordkit.data.columns import FILE_ORDER, Columns, recognise
from chordkit.data.readers.delimited import fields_of, guess_separator, require_bytes
from chordkit.data.readers.unpacking import plain_name
from chordkit.data.times import look_like_epochs, looks_like_date
from chordkit.errors import DataError


class Format(StrEnum):
    """The file formats :func:`chordkit.data.prepare` reads."""

    MOVIELENS = "movielens"
    SEQUENCES = "sequences"
    PAIRS = "pairs"
    AMAZON = "amazon"
    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"
    MIND = "mind"


FORMATS = (
    "movielens (user, item, rating, time with tabs, u.data), sequences ('user item item ...'), pairs ('user item', in the order of time), "
    "amazon (user,item,rating,timestamp), csv, jsonl or parquet (named columns), mind (behaviors.tsv)"
)
_DOUBLE_COLON = "::"


def detect(path: Path, head: bytes, columns: Columns | None = None) -> Format:
    """Tell the format of a file from its first bytes.

    Args:
        path: the file.
        head: its first bytes, unpacked.
        columns: those that whoever gives the file has named, which then need not look like what they are.

    Raises:
        DataError: it cannot be told; the message says what was seen and how to name the format, or the columns.
    """
    suffix = plain_name(path).suffix.lower()
    if suffix == ".safetensors":
        raise DataError(f"{path}: this data set is already prepared; use it as it is")
    if head[:4] == b"PAR1" or suffix in {".parquet", ".pq"}:
        return Format.PARQUET
    require_bytes(path, head)
    lines = [line.strip() for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty; give a file with interactions")
    # Of a longer file the last line may have been cut off.
    whole = lines[:-1] if len(lines) > 1 and not head.endswith((b"\n", b"\r")) else lines
    if path.name == "u.data":
        return Format.MOVIELENS
    first = lines[0]
    if first.startswith("{"):
        return Format.JSON_LINES
    if re.match(r"\[\s*($|[{\[])", first):
        raise DataError(f"{path}: this is one JSON array; write an object a line, as 'jq -c .[]' does")
    if _DOUBLE_COLON in first and [is_number(field) for field in first.split(_DOUBLE_COLON)] == [True] * 4:
        return Format.MOVIELENS
    if columns is not None and columns.by_position:
        return Format.CSV
    if _are_pairs(whole):
        return Format.PAIRS
    fields = fields_of(first, guess_separator(first))
    if len(fields) == 1:
        if all(field.isdigit() for field in first.split()):
            return Format.SEQUENCES
    elif {"user", "item"} <= recognise(fields, columns or Columns()).keys() and (recognise(fields).get("timestamp") or suffix == ".inter"):
        return Format.CSV
    elif _is_mind(fields):
        return Format.MIND
    elif len(fields) == 4 and is_number(fields[2]) and is_number(fields[3]):
        if columns is None:
            _require_ratings(path, [fields_of(line, guess_separator(first)) for line in whole])
        if guess_separator(first) == "\t" and is_number(fields[0]) and is_number(fields[1]):
            return Format.MOVIELENS
        return Format.AMAZON
    elif suffix in {".csv", ".tsv"} or columns is not None:
        # The reader says which columns it misses among which.
        return Format.CSV
    raise DataError(f"{path}: cannot tell the format from the first line '{first[:60]}'; name one of: {FORMATS}")


def is_number(text: str) -> bool:
    """True for a finite decimal number."""
    try:
        return abs(float(text)) < float("inf") and "_" not in text
    except ValueError:
        return False


def _are_pairs(lines: list[str]) -> bool:
    """Two fields a line between blanks, and several lines of one user: as SASRec and BERT4Rec publish."""
    rows = [line.split() for line in lines]
    users = [row[0] for row in rows]
    return all(len(row) == 2 and row[0].isdigit() and row[1].isdigit() for row in rows) and len(set(users)) < len(users)


def _is_mind(fields: list[str]) -> bool:
    return (
        len(fields) == 5
        and re.fullmatch(r"\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M", fields[2]) is not None
        and re.match(r"N\d+(-[01])?( |$)", fields[4]) is not None
    )


def _require_ratings(path: Path, rows: list[list[str]]) -> None:
    """Hold that four columns without names look like user, item, rating and time: session logs and other orders look alike.

    Raises:
        DataError: they do not; with the reading that was thought of, what else they may be, and the options that decide.
    """
    columns = [list(column) for column in zip(*(row for row in rows if len(row) == 4), strict=True)]
    if _are_ratings(columns[2]) and _are_times(columns[3]):
        return
    times = [place for place in (3, 2, 1) if _are_times(columns[place])]
    seen = ", ".join(f"column_{place} '{column[0][:30]}'" for place, column in enumerate(columns, 1))
    asked = "--user column_1 --item column_2 --time column_4 --rating column_3"
    if times:
        item = 3 if times[0] == 1 else 2
        other = f"--user column_1 --item column_{item} --time column_{times[0] + 1}"
        asked = f"{asked} (as Amazon's and MovieLens' files), or {other}"
    asked += f"; --time {FILE_ORDER} where the rows stand in the order of time"
    raise DataError(f"{path}: which of its columns is what cannot be told ({seen}); name them: {asked}")


def _are_ratings(values: list[str]) -> bool:
    """From 0 to 10, in steps of a half at the finest."""
    return all(is_number(value) and 0 <= float(value) <= 10 and (2 * float(value)).is_integer() for value in values)


def _are_times(values: list[str]) -> bool:
    """Dates as ISO 8601 writes them, or numbers that count from 1970 in one unit."""
    return all(map(looks_like_date, values)) or (all(map(is_number, values)) and look_like_epochs([float(value) for value in values]))
