"""What kind of file is it? Decided by looking inside, with the reason in words when it cannot be."""

import re
from enum import StrEnum
from pathlib import Path

from chordkit.data.tables import fields_of, guess_separator, is_number, recognise
from chordkit.errors import DataError


class Format(StrEnum):
    """The file formats :func:`chordkit.data.prepare` reads."""

    MOVIELENS = "movielens"
    SEQUENCES = "sequences"
    AMAZON = "amazon"
    CSV = "csv"
    PARQUET = "parquet"


FORMATS = (
    "movielens (user, item, rating, time with tabs, u.data), sequences ('user item item ...'), "
    "amazon (user,item,rating,timestamp), csv or parquet (named columns)"
)
_MOVIELENS_FILES = ("u.data", "ratings.dat", "ratings.csv")
_COMPRESSED = (
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"x\x01",
    b"x\x5e",
    b"x\x9c",
    b"x\xda",
    *(f"BZh{level}1AY".encode() for level in range(1, 10)),
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
_DATA_SUFFIXES = {".txt", ".csv", ".tsv", ".inter", ".parquet", ".pq"}


def locate(path: Path) -> Path:
    """The data file that a path means: itself, or the one data file of a folder.

    Raises:
        DataError: nothing is there, or the folder holds no data file or several.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    if not path.is_dir():
        return path
    for name in _MOVIELENS_FILES:
        if (path / name).is_file():
            return path / name
    entries = sorted(entry for entry in path.iterdir() if entry.is_file())
    candidates = [entry for entry in entries if entry.suffix.lower() in _DATA_SUFFIXES and not entry.stem.lower().startswith("readme")]
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(entry.name for entry in (candidates or entries)[:12]) or "nothing"
    why = "several data files" if candidates else "no data file (u.data, .txt, .csv, .tsv, .parquet)"
    raise DataError(f"{path}: this folder holds {why}: {found}; name one file")


def refuse_compressed(path: Path, head: bytes) -> None:
    """Nothing is unpacked here: how large a file is then, nobody can tell before.

    Raises:
        DataError: the file begins as gzip, zip, zlib, bzip2, xz or Zstandard files do.
    """
    if head.startswith(_COMPRESSED):
        raise DataError(f"{path}: a compressed file; unpack it first")


def detect(path: Path, head: bytes, named: bool = False) -> Format:
    """Tell the format of a file from its first bytes.

    Args:
        path: the file.
        head: its first bytes.
        named: whether its columns are named by whoever gives it, so that they need not look like what they are.

    Raises:
        DataError: it cannot be told; the message says what was seen and how to name the format, or the columns.
    """
    if path.suffix.lower() == ".safetensors":
        raise DataError(f"{path}: this data set is already prepared; use it as it is")
    if head[:4] == b"PAR1" or path.suffix.lower() in {".parquet", ".pq"}:
        return Format.PARQUET
    lines = [line.strip() for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty; give a file with interactions")
    if path.name == "u.data":
        return Format.MOVIELENS
    first = lines[0]
    if "::" in first and [is_number(field) for field in first.split("::")] == [True] * 4:
        return Format.MOVIELENS
    fields = fields_of(first, guess_separator(first))
    if len(fields) == 1:
        if all(field.isdigit() for field in first.split()):
            return Format.SEQUENCES
    elif {"user", "item", "timestamp"} <= recognise(fields).keys():
        return Format.CSV
    elif len(fields) == 4 and is_number(fields[2]) and is_number(fields[3]):
        if not named:
            # Of a longer file the last line may have been cut off.
            whole = lines[:-1] if len(lines) > 1 and not head.endswith((b"\n", b"\r")) else lines
            _require_ratings(path, [fields_of(line, guess_separator(first)) for line in whole])
        if guess_separator(first) == "\t" and is_number(fields[0]) and is_number(fields[1]):
            return Format.MOVIELENS
        return Format.AMAZON
    elif path.suffix.lower() in {".csv", ".tsv"}:
        # The reader says which columns it misses among which.
        return Format.CSV
    raise DataError(f"{path}: cannot tell the format from the first line '{first[:60]}'; name one of: {FORMATS}")


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
    raise DataError(f"{path}: which of its columns is what cannot be told ({seen}); name them: {asked}")


def _are_ratings(values: list[str]) -> bool:
    """From 0 to 10, in steps of a half at the finest."""
    return all(is_number(value) and 0 <= float(value) <= 10 and (2 * float(value)).is_integer() for value in values)


def _are_times(values: list[str]) -> bool:
    """Seconds, milliseconds, microseconds or nanoseconds between 1980 and 2100, or dates as ISO 8601 writes them."""
    if all(re.match(r"\d{4}-\d\d-\d\d([T ]|$)", value) for value in values):
        return True
    if not all(is_number(value) for value in values):
        return False
    return any(all(3.1e8 <= float(value) / unit <= 4.2e9 for value in values) for unit in (1, 1e3, 1e6, 1e9))
