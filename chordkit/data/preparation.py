"""``chordkit data prepare``: any supported file becomes a data set; and the data sets that have a name."""

import os
import re
from pathlib import Path

from chordkit.data.assembly import Events, assemble
from chordkit.data.dataset import Dataset
from chordkit.data.detection import FORMATS, Format, detect, locate, refuse_compressed
from chordkit.data.generator import synthesize
from chordkit.data.sequences import read_sequences
from chordkit.data.tables import (
    RATINGS_BY_POSITION,
    Columns,
    fields_of,
    guess_separator,
    is_number,
    read_delimited,
    read_parquet,
    recognise,
)
from chordkit.errors import DataError
from chordkit.progress import Progress

DATA_VARIABLE = "CHORDKIT_DATA"
CATALOGUE = {
    "ml-100k": "ml-100k/u.data",
    "yelp": "yelp/Yelp.txt",
    "cds": "amazon-cds/CDs.txt",
    "beauty": "amazon-beauty/Beauty.txt",
}


def prepare(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    columns: Columns | None = None,
    min_rating: float | None = None,
    k_core: int = 0,
    name: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a file (or a folder with one data file) of interactions.

    Args:
        path: a MovieLens-100K folder or ``u.data``, a sequence file, an Amazon ratings CSV, or any CSV/TSV/Parquet table.
        format: "auto" (looks inside), "movielens", "sequences", "amazon", "csv" or "parquet".
        columns: which column is what, for tables; what is left out is recognised by common names.
        min_rating: keep only interactions rated at least this; needs a rating column.
        k_core: keep only users and items with at least this many interactions, repeated until it holds for both; 0 = off.
        name: what reports call the data set; the file's name if not given.
        progress: called with (phase, done, total).

    Events of one user are ordered by time; equal times keep the order of the file. Users and items are numbered from 1 in
    the order of their ids (numeric where all ids are whole numbers), so ids that are already 1..n keep their values.

    Raises:
        DataError: one sentence that names the file, the line where there is one, and the mend.
    """
    if k_core < 0:
        raise DataError(f"k_core must be 0 (off) or more, not {k_core}")
    if format not in ("auto", *Format):
        raise DataError(f"unknown data format '{format}'; use auto or one of: {FORMATS}")
    file = locate(Path(path))
    report = progress or (lambda phase, done, total: None)
    report("read", 0, 2)
    try:
        with file.open("rb") as stream:
            head = stream.read(65_536)
        refuse_compressed(file, head)
        kind = Format(format) if format != "auto" else detect(file, head, columns is not None)
        data = b"" if kind is Format.PARQUET else file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check its permissions") from None
    events = _read(file, kind, data, columns, min_rating is not None)
    report("filter", 1, 2)
    if name is None:
        name = file.resolve().parent.name if file.name in ("u.data", "ratings.dat", "ratings.csv") else file.stem
    provenance = {"source": file.name, "format": str(kind)}
    dataset = assemble(name, str(file), events, core=k_core, min_rating=min_rating, provenance=provenance)
    report("filter", 2, 2)
    return dataset


def load_named(
    name_or_path: str | os.PathLike[str],
    *,
    seed: int = 0,
    format: str = "auto",
    columns: Columns | None = None,
    min_rating: float | None = None,
    k_core: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """A data set by what a person would call it: "synthetic", a name of ``CATALOGUE``, a prepared file, or a file to prepare.

    Names of ``CATALOGUE`` are looked for in the folder that the environment variable ``CHORDKIT_DATA`` names. ``seed`` is
    used by "synthetic" alone. A file called like a name is reached as "./name".

    Raises:
        DataError: as :func:`prepare` and :meth:`Dataset.load`; or a filter is asked of data that is ready already.
    """
    text = os.fspath(name_or_path)
    ready = text == "synthetic" or Path(text).suffix == ".safetensors"
    if ready and (k_core or min_rating is not None or columns is not None or format != "auto"):
        raise DataError(f"{text}: k_core, min_rating, columns and format only apply to raw files; prepare the raw file with them")
    if text == "synthetic":
        return synthesize(seed)
    if ready:
        return Dataset.load(text)
    path, name = Path(text), None
    if text in CATALOGUE:
        folder = os.environ.get(DATA_VARIABLE)
        if not folder:
            raise DataError(f"data set '{text}': set {DATA_VARIABLE} to the folder that holds {CATALOGUE[text]}, or give its path")
        path, name = Path(folder) / CATALOGUE[text], text
        if not os.path.exists(path):
            raise DataError(f"data set '{text}': {path} is not there; name the folder that holds {CATALOGUE[text]} in {DATA_VARIABLE}")
    elif not path.exists():
        names = ", ".join(["synthetic", *CATALOGUE])
        raise DataError(f"{text}: no such file or folder, and no data set of this name; known names are {names}")
    return prepare(path, format, columns=columns, min_rating=min_rating, k_core=k_core, name=name, progress=progress)


def _read(path: Path, kind: Format, data: bytes, columns: Columns | None, with_rating: bool) -> Events:
    if kind is Format.PARQUET:
        return read_parquet(path, columns or Columns(), with_rating)
    if kind is Format.SEQUENCES:
        if with_rating:
            raise DataError(f"{path}: a sequence file has no ratings; leave min_rating out")
        return read_sequences(path, data)
    found = re.search(rb"[^\r\n]*\S[^\r\n]*", data)
    if found is None:
        raise DataError(f"{path}: the file is empty; give a file with interactions")
    first = found.group().decode("utf-8", "replace")
    separator = guess_separator(first)
    if kind is Format.CSV:
        return read_delimited(path, data, separator, columns or Columns(), with_rating)
    if kind is Format.MOVIELENS and "::" in first:
        # polars separates by one byte; MovieLens-1M and 10M write two colons.
        data, first, separator = data.replace(b"::", b"\t"), first.replace("::", "\t"), "\t"
    return read_delimited(path, data, separator, columns or _rating_columns(path, first, separator), with_rating)


def _rating_columns(path: Path, first: str, separator: str) -> Columns:
    """Columns of a MovieLens or Amazon file, which may begin with a header line."""
    fields = fields_of(first, separator)
    if {"user", "item", "timestamp"} <= recognise(fields).keys():
        return Columns()
    if len(fields) >= 4 and not is_number(fields[3]):
        raise DataError(f"{path}:1: timestamp '{fields[3][:40]}' is not a number; expected user, item, rating, timestamp")
    if len(fields) >= 4 and len(fields[0]) == 10 and len(fields[1]) > 10 and not fields[0].startswith("A"):
        raise DataError(
            f"{path}:1: '{fields[0]}' looks like an item and '{fields[1][:20]}' like a user (the order of Amazon's 2018 files); "
            "name the columns: user column_2, item column_1, timestamp column_4, rating column_3"
        )
    return RATINGS_BY_POSITION
