"""Which file, or files, a path means."""

import glob
import os
from pathlib import Path

from chordkit.data.readers.unpacking import SUFFIXES, plain_name
from chordkit.errors import DataError

_MOVIELENS_FILES = ("u.data", "ratings.dat", "ratings.csv")
_DATA_SUFFIXES = {".txt", ".csv", ".tsv", ".inter", ".parquet", ".pq", ".json", ".jsonl", ".ndjson"}
_MOST_PARTS = 100_000


def locate(path: Path) -> list[Path]:
    """The data files that a path means: itself, the one data file of a folder, the parts of a data set in a folder, or what a pattern
    matches; parts in the order of their names.

    Raises:
        DataError: nothing is there, or the folder holds no data file or several that are no parts.
    """
    text = os.fspath(path)
    if not path.exists() and glob.has_magic(text):
        parts = sorted(Path(name) for name in glob.iglob(text, recursive=True) if Path(name).is_file())
        if not 0 < len(parts) <= _MOST_PARTS:
            raise DataError(f"{path}: {len(parts) or 'no'} files match this pattern; check it")
        return parts
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    if not path.is_dir():
        return [path]
    for name in _MOVIELENS_FILES:
        if (path / name).is_file():
            return [path / name]
    entries = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith((".", "_")))
    candidates = [entry for entry in entries if _is_data(entry)]
    if len(candidates) == 1 or (candidates and _are_parts(candidates)):
        return candidates
    found = ", ".join(entry.name for entry in (candidates or entries)[:12]) or "nothing"
    if candidates:
        raise DataError(f"{path}: this folder holds several data files: {found}; name one file, or a pattern of those that belong together")
    deeper = f", or a pattern of those in its folders, '{path}/**/*.parquet'" if any(entry.is_dir() for entry in path.iterdir()) else ""
    raise DataError(f"{path}: this folder holds no data file (u.data, .txt, .csv, .tsv, .jsonl, .parquet): {found}; name one file{deeper}")


def _is_data(path: Path) -> bool:
    suffix = plain_name(path).suffix.lower()
    return (suffix in _DATA_SUFFIXES or path.suffix.lower() in SUFFIXES) and not path.stem.lower().startswith("readme")


def _are_parts(paths: list[Path]) -> bool:
    """Written by one program: names that differ in digits (part-00017-a1b2.parquet: the identifier behind it is the program's) only."""
    suffixes = {plain_name(path).suffix.lower() for path in paths}
    return len(suffixes) == 1 and all(path.name.lower().startswith(("part-", "part_", "part.")) or path.name[0].isdigit() for path in paths)
