"""``chordkit data prepare``: any supported file becomes a data set; and the data sets that have a name."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chordkit.data.assembly import assemble
from chordkit.data.columns import PAIRS_BY_POSITION, RATINGS_BY_POSITION, Columns, recognise
from chordkit.data.dataset import Dataset
from chordkit.data.detection import FORMATS, Format, detect, is_number
from chordkit.data.events import Events, events_of
from chordkit.data.generator import synthesize
from chordkit.data.location import locate
from chordkit.data.names import ItemColumns, beside, read_words, with_words
from chordkit.data.readers.delimited import DelimitedFile, between_tabs, fields_of, guess_separator
from chordkit.data.readers.json_lines import JsonLinesFile
from chordkit.data.readers.memory import TableInMemory, is_table
from chordkit.data.readers.mind import MindFile
from chordkit.data.readers.parquet import ParquetFile
from chordkit.data.readers.sequences import read_sequences
from chordkit.data.readers.table import TableFile
from chordkit.data.readers.unpacking import plain_name, read_unpacked
from chordkit.data.selection import Condition, Dedupe, Selection
from chordkit.errors import DataError
from chordkit.progress import Progress

DATA_VARIABLE = "CHORDKIT_DATA"
CATALOGUE = {
    "ml-100k": "ml-100k/u.data",
    "yelp": "yelp/Yelp.txt",
    "cds": "amazon-cds/CDs.txt",
    "beauty": "amazon-beauty/Beauty.txt",
}
_LOOK = 65_536
_OFF = ("k_core", "where")
"""Options that ask for nothing when they are 0 or empty; the others, when they are None."""
_ALWAYS = ("item_names", "item_columns")
"""Options that data which is ready takes too."""


def prepare(
    source: Any,
    format: str = "auto",
    *,
    columns: Columns | None = None,
    min_rating: float | None = None,
    k_core: int = 0,
    where: Sequence[str] = (),
    start: str | None = None,
    end: str | None = None,
    dedupe: Dedupe | None = None,
    sample_users: int | None = None,
    seed: int = 0,
    catalogue: Dataset | str | os.PathLike[str] | None = None,
    item_names: Any = None,
    item_columns: ItemColumns | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read interactions, leave out what is not wanted, order and number the rest.

    Args:
        source: a file of any format that docs/data.md lists, packed or not; a folder with one data file or with parts; a pattern of parts
            ("log/*.parquet"); or a table in memory: a polars or pandas frame, a Hugging Face data set, a dictionary of columns.
        format: "auto" (looks inside), or one of :class:`Format`.
        columns: which column is what, for tables; what is left out is recognised by common names.
        min_rating: keep only interactions rated at least this; needs a rating column.
        k_core: keep only users and items with at least this many interactions, repeated until it holds for both; 0 = off.
        where: conditions, "event=purchase" or "event!=view"; see :class:`Selection`.
        start: the first time that is kept, a date or a number as in the file.
        end: the first time that is kept no more.
        dedupe: what is kept of a user's interactions with one item: "first", "last", or "consecutive" for the first of a run.
        sample_users: keep as many users, drawn at random.
        seed: of that draw.
        catalogue: a data set, or its file, whose items keep their numbers and names, present or not, whatever ``k_core`` says; items that
            it does not have come after them, so that a model of its items can be grown by the new ones.
        item_names: a table of items with their names and categories, a file or in memory, or names by id; see
            :func:`chordkit.data.names.read_words`. None = those in MovieLens' archive where the ratings are MovieLens'.
        item_columns: which column of ``item_names`` is what; what is left out is recognised by common names.
        name: what reports call the data set; the file's name if not given.
        progress: called with (phase, done, total).

    Events of one user are ordered by time; equal times keep the order of the file. Users and items are numbered from 1 in
    the order of their ids (numeric where all ids are whole numbers), so ids that are already 1..n keep their values.

    Raises:
        DataError: one sentence that names the file, the line where there is one, and the mend.
    """
    conditions = tuple(Condition.parse(text) for text in where)
    selection = Selection(conditions, min_rating, start, end, dedupe, sample_users, seed, k_core)
    if format not in ("auto", *Format):
        raise DataError(f"unknown data format '{format}'; use auto or one of: {FORMATS}")
    report = progress or (lambda phase, done, total: None)
    report("read", 0, 2)
    numbered = catalogue if isinstance(catalogue, Dataset | None) else Dataset.load(catalogue)
    files: list[Path] = []
    if is_table(source):
        shown = "the table"
        label = origin = name or shown
        kind, events = "memory", events_of(shown, [TableInMemory(source)], columns or Columns(), selection)
    else:
        files = locate(Path(source))
        shown, origin = os.fspath(source if len(files) > 1 else files[0]), files[0].name
        label, kind, events = _read(Path(source), shown, files, format, columns, selection)
    report("filter", 1, 2)
    dataset = assemble(name or label, shown, events, selection, {"source": origin, "format": str(kind)}, numbered)
    report("filter", 2, 2)
    titles = beside(files[0], events.columns.get("item")) if item_names is item_columns is None and len(files) == 1 else None
    if titles is not None and (words := read_words(titles)).names.keys() & set(dataset.item_ids):
        return with_words(dataset, words)
    return _named(dataset, item_names, item_columns)


def _named(dataset: Dataset, item_names: Any, item_columns: ItemColumns | None) -> Dataset:
    if item_names is None:
        if item_columns is not None:
            raise DataError("item_columns: there is no table of items that has them; name it with item_names (--item-names)")
        return dataset
    return with_words(dataset, read_words(item_names, item_columns, dataset.provenance.get("columns", {}).get("item")))


def load_named(source: Any, *, seed: int = 0, format: str = "auto", progress: Progress | None = None, **options: Any) -> Dataset:
    """A data set by what a person would call it: "synthetic", a name of ``CATALOGUE``, a prepared file, or what :func:`prepare` takes.

    Names of ``CATALOGUE`` are looked for in the folder that the environment variable ``CHORDKIT_DATA`` names. ``seed`` is
    used by "synthetic" and by a draw of users. A file called like a name is reached as "./name". ``options`` are those of
    :func:`prepare`, of which data that is ready takes names of items alone.

    Raises:
        DataError: as :func:`prepare` and :meth:`Dataset.load`; or a filter is asked of data that is ready already.
    """
    if is_table(source):
        return prepare(source, format, seed=seed, progress=progress, **options)
    text = os.fspath(source)
    ready = text == "synthetic" or Path(text).suffix == ".safetensors"
    if ready and (
        format != "auto"
        or any(bool(value) if name in _OFF else value is not None for name, value in options.items() if name not in _ALWAYS)
    ):
        raise DataError(f"{text}: filters, columns and format only apply to raw files; prepare the raw file with them")
    if ready:
        return _named(
            synthesize(seed) if text == "synthetic" else Dataset.load(text), options.get("item_names"), options.get("item_columns")
        )
    name = text if text in CATALOGUE else None
    path = raw_path(text)
    if path is None or not (path.exists() or glob.has_magic(text)):
        names = ", ".join(["synthetic", *CATALOGUE])
        raise DataError(f"{text}: no such file or folder, and no data set of this name; known names are {names}")
    return prepare(path, format, seed=seed, name=name, progress=progress, **options)


def raw_path(name_or_path: str | os.PathLike[str]) -> Path | None:
    """The raw file or folder that :func:`load_named` prepares, there or not; None where it prepares none ("synthetic", a prepared file).

    Raises:
        DataError: a name of ``CATALOGUE`` whose data is not where ``CHORDKIT_DATA`` says.
    """
    text = os.fspath(name_or_path)
    if text == "synthetic" or Path(text).suffix == ".safetensors":
        return None
    if text not in CATALOGUE:
        return Path(text)
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise DataError(f"data set '{text}': set {DATA_VARIABLE} to the folder that holds {CATALOGUE[text]}, or give its path")
    path = Path(folder) / CATALOGUE[text]
    if not os.path.exists(path):
        raise DataError(f"data set '{text}': {path} is not there; name the folder that holds {CATALOGUE[text]} in {DATA_VARIABLE}")
    return path


def _read(
    source: Path, shown: str, files: list[Path], format: str, columns: Columns | None, selection: Selection
) -> tuple[str, Format, Events]:
    """The name that a file gives to its data set, its format, and what is in it, or in all parts; ``shown`` stands in sentences."""
    first = files[0]
    kind = Format(format) if format != "auto" else detect(first, read_unpacked(first, _LOOK), columns)
    name = first.resolve().parent.name if first.name in ("u.data", "ratings.dat", "ratings.csv") else plain_name(first).stem
    if len(files) > 1:
        name = source.name if source.is_dir() else source.resolve().parent.name
    if kind is Format.SEQUENCES:
        return name, kind, _sequences(files, selection)
    parts = [_open(file, kind, columns) for file in files]
    for file, (part, _, _) in zip(files[1:], parts[1:], strict=True):
        if part.names != parts[0][0].names:
            raise DataError(f"{file}: other columns than in {first.name}; parts of one data set have the same")
    _, taken, in_order = parts[0]
    return name, kind, events_of(shown, [part for part, _, _ in parts], taken, selection, in_order=in_order)


def _sequences(files: list[Path], selection: Selection) -> Events:
    if len(files) > 1:
        raise DataError(f"{files[0].parent}: sequence files are no parts of each other; name one file")
    asked = {"min_rating": selection.min_rating, "where": selection.where, "from": selection.start, "to": selection.end}
    for option, value in asked.items():
        if value not in (None, ()):
            raise DataError(f"{files[0]}: a sequence file has no ratings, times or other columns; leave {option} out")
    return read_sequences(files[0], read_unpacked(files[0]))


def _open(path: Path, kind: Format, columns: Columns | None) -> tuple[TableFile, Columns, bool]:
    """A table, which column is what as far as its format or its reader says so, and whether rows without times are in order."""
    if kind is Format.PARQUET:
        return ParquetFile(path), columns or Columns(), False
    data = read_unpacked(path)
    found = re.search(rb"[^\r\n]*\S[^\r\n]*", data)
    if found is None:
        raise DataError(f"{path}: the file is empty; give a file with interactions")
    if kind is Format.JSON_LINES:
        return JsonLinesFile(path, data), columns or Columns(), False
    if kind is Format.MIND:
        return MindFile(path, data), columns or Columns(), False
    if kind is Format.PAIRS:
        return DelimitedFile(path, between_tabs(data, None), "\t", has_header=False), columns or PAIRS_BY_POSITION, True
    line = found.group().decode("utf-8", "replace")
    separator = guess_separator(line)
    if kind is Format.MOVIELENS and "::" in line:
        # polars separates by one byte; MovieLens-1M and 10M write two colons.
        data, line, separator = between_tabs(data, b"::"), line.replace("::", "\t"), "\t"
    if kind is not Format.CSV and columns is None:
        columns = _rating_columns(path, line, separator)
    columns = columns or Columns()
    in_order = plain_name(path).suffix.lower() == ".inter"
    return DelimitedFile(path, data, separator, has_header=not columns.by_position), columns, in_order


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
