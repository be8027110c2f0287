"""What a person calls the items of a data set and what those are among: read from a table of items, or from the lists of MovieLens."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from chordkit.data.columns import ALIASES, BY_POSITION, plain_column
from chordkit.data.dataset import Dataset
from chordkit.data.readers.delimited import between_tabs
from chordkit.data.readers.memory import TableInMemory, is_table
from chordkit.data.readers.opening import open_table, read_table_bytes
from chordkit.data.readers.table import TableFile
from chordkit.data.readers.unpacking import read_unpacked
from chordkit.errors import DataError

_ALIASES = {
    "id": ("id", "sku", *ALIASES["item"]),
    "name": ("name", "title", "itemname", "itemtitle", "productname", "producttitle", "prodname", "movietitle", "artistname", "trackname"),
    "category": ("category", "categories", "genre", "genres", "maincategory", "itemcategory", "productcategory", "class"),
}
_LONGEST = 1000
_SHOWN = 40
_TITLES, _GENRES = "u.item", "u.genre"
_BEFORE_GENRES = 5  # id, title, release, video release, address
_U_ITEM = re.compile(r"\d+\|[^|]*\|[^|]*\|[^|]*\|[^|]*(\|[01]){19}")
_BESIDE = {"u.data": _TITLES, "ratings.dat": "movies.dat", "ratings.csv": "movies.csv"}
"""What MovieLens' archives hold beside their ratings."""


@dataclass(frozen=True)
class ItemColumns:
    """Which column of a table of items is what.

    Attributes:
        id: the owner's id, as the interactions have it; None = the column called as theirs, or the one with a common name.
        name: what a person calls the item; None = the one with a common name, "" = there is none.
        categories: what the item is among; None = the one with a common name, if there is one.
    """

    id: str | None = None
    name: str | None = None
    categories: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> "ItemColumns":
        """Of "sku,title" or "sku,title,brand,kind", or without names "sku,,brand".

        Raises:
            DataError: it is none of these.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) < 2 or not parts[0] or not any(parts[1:]) or not all(parts[2:]):
            raise DataError(f"item_columns: '{text[:60]}' are not the columns of id, name and categories, such as sku,title,brand")
        return cls(parts[0], parts[1], tuple(parts[2:]))

    @property
    def by_position(self) -> bool:
        """True when the table has no header line, because columns are named "column_1", "column_2", ..."""
        given = [name for name in (self.id, self.name, *(self.categories or ())) if name]
        return bool(given) and all(BY_POSITION.fullmatch(name) for name in given)


class _Taken(NamedTuple):
    """The columns of a table of items; ``name`` is "" where there is none."""

    id: str
    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """What a table of items says.

    Attributes:
        source: for sentences.
        names: by the owner's id.
        categories: by the owner's id, of the same items.
        columns: what was taken for id, name and category.
        repeated: rows of an id that another row had named before; the first one counts.
    """

    source: str
    names: dict[str, str]
    categories: dict[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    repeated: int = 0


def with_words(dataset: Dataset, words: Words) -> Dataset:
    """The data set with these names and categories; what it had stays where ``words`` has nothing. Its provenance counts what fits.

    Raises:
        DataError: no item of the data set is among them.
    """
    ids = set(dataset.item_ids[1:])
    known = len(ids & words.names.keys())
    if not known:
        theirs, ours = (", ".join(f"'{each[:_SHOWN]}'" for each in list(some)[:3]) for some in (words.names, dataset.item_ids[1:]))
        raise DataError(
            f"{words.source}: none of its {len(words.names):,} ids ({theirs or 'none'}) is an item of the data set ({ours}); "
            "name its columns with --item-columns ID,NAME,CATEGORY, or give the list of these items"
        )
    names, categories = (
        _filled(dataset.item_ids, new, old) for new, old in ((words.names, dataset.item_names), (words.categories, dataset.item_categories))
    )
    told = {"source": words.source, "columns": dict(words.columns), "unknown": len(words.names) - known, "repeated": words.repeated}
    return replace(dataset, item_names=names, item_categories=categories, provenance={**dataset.provenance, "item_names": told})


def read_words(source: Any, columns: ItemColumns | None = None, item_column: str | None = None) -> Words:
    """Read a table of items.

    Args:
        source: a CSV, TSV, JSON lines or Parquet file, packed or not; MovieLens' ``u.item`` or ``movies.dat``; a table in memory; or
            simply names by id.
        columns: which column is what; what is left out is recognised by common names.
        item_column: how the interactions call their column of items: it decides between several that may hold the ids.

    Raises:
        DataError: a column is missing or cannot be told, or a row is malformed; one sentence with the file, the place and the mend.
    """
    columns = columns or ItemColumns()
    if isinstance(source, Mapping) and all(isinstance(value, str) for value in source.values()):
        names = {str(item): _text("the names", str(item), name) for item, name in source.items()}
        return Words("the names", names, dict.fromkeys(names, ""))
    if is_table(source):
        return _of_table("the table of items", TableInMemory(source), columns, item_column)
    path = Path(source)
    data, first = read_table_bytes(path, "item names")
    if columns == ItemColumns() and (path.name == _TITLES or _U_ITEM.fullmatch(first)):
        return _movielens(path, data)
    if "::" in first:
        data = between_tabs(_as_utf8(data), b"::")
        first = first.replace("::", "\t")
        columns = ItemColumns("column_1", "column_2", ("column_3",)) if columns == ItemColumns() else columns
    return _of_table(path.name, open_table(path, data, first, has_header=not columns.by_position), columns, item_column)


def beside(ratings: Path, item_column: str | None) -> Path | None:
    """MovieLens' list of titles beside its file of ratings; None for other files, and where it is not there.

    Args:
        ratings: the file.
        item_column: how it calls its column of items: by their names alone "ratings.csv" and "movies.csv" might be anybody's.
    """
    if ratings.name not in _BESIDE or (ratings.suffix == ".csv" and item_column != "movieId"):
        return None
    titles = ratings.parent / _BESIDE[ratings.name]
    return titles if titles.is_file() else None


def _filled(ids: Sequence[str], new: Mapping[str, str], old: Sequence[str]) -> list[str]:
    """One text an id; empty where there is none at all."""
    texts = ["", *(new.get(item) or before for item, before in zip(ids[1:], old[1:] or [""] * (len(ids) - 1), strict=True))]
    return texts if any(texts) else []


def _of_table(shown: str, table: TableFile, columns: ItemColumns, item_column: str | None) -> Words:
    taken = _columns_in(shown, table.names, columns, item_column)
    read = table.read(list(dict.fromkeys(filter(None, [taken.id, taken.name, *taken.categories]))))
    ids, names, *among = (
        read.frame[name].to_list() if name else [None] * read.frame.height for name in (taken.id, taken.name, *taken.categories)
    )
    found = Words(shown, {}, {}, {"id": taken.id, "name": taken.name or "none", "category": ", ".join(taken.categories) or "none"})
    for row, (item, name, *groups) in enumerate(zip(ids, names, *among, strict=True)):
        if not isinstance(item, str) or not (item := item.strip()):
            raise DataError(f"{read.place(row)}: the id (column '{taken.id}') is empty or a list; mend or remove the row")
        if item not in found.names:
            found.names[item] = _text(shown, item, " ".join(filter(None, name)) if isinstance(name, list) else name)
            found.categories[item] = _text(shown, item, ", ".join(_parts(groups)))
    return replace(found, repeated=read.frame.height - len(found.names))


def _columns_in(shown: str, header: Sequence[str], columns: ItemColumns, item_column: str | None) -> _Taken:
    """The columns of a table of items, each named or surely recognised."""
    found = {role: [name for name in header if plain_column(name) in aliases] for role, aliases in _ALIASES.items()}
    if columns.id is None and item_column is not None and item_column in header:
        found["id"] = [item_column]
    named = {"id": columns.id, "name": columns.name, "category": columns.categories}
    wanted = [role for role, given in named.items() if given is None]
    unclear = [role for role in wanted if len(found[role]) > 1 or (role != "category" and not found[role])]
    strange = [name for name in (columns.id, columns.name, *(columns.categories or ())) if name and name not in header]
    if strange or unclear:
        present = ", ".join(f"'{name}'" for name in header[:_SHOWN]) or "none"
        what = f"no column '{strange[0]}'" if strange else f"which column holds the {' and the '.join(unclear)} of an item cannot be told"
        raise DataError(
            f"{shown}: {what}; present are {present}; name them with --item-columns ID,NAME,CATEGORY (the last may be several, or none; "
            "column_1, column_2, ... where there is no header line)"
        )
    categories = tuple(found["category"]) if columns.categories is None else columns.categories
    return _Taken(columns.id or found["id"][0], found["name"][0] if columns.name is None else columns.name, categories)


def _parts(values: Iterable[Any]) -> list[str]:
    """Each category once, of texts such as "Drama|War" and of lists."""
    several = (part for value in values for part in (value if isinstance(value, list) else (value or "").split("|")))
    return list(dict.fromkeys(part.strip() for part in several if part and part.strip()))


def _text(source: str, item: str, value: str | None) -> str:
    """In one line, of a length that a person reads."""
    text = " ".join((value or "").split())
    if len(text) > _LONGEST:
        raise DataError(
            f"{source}: item '{item[:_SHOWN]}' has a name or category of {len(text):,} characters; name a column of shorter ones"
        )
    return text


def _movielens(path: Path, data: bytes) -> Words:
    """``u.item`` of MovieLens-100K, whose genres are flags in the order of ``u.genre``."""
    listed = path.parent / _GENRES
    genres = [line.partition("|")[0] for line in _lines(read_unpacked(listed)) if "|" in line] if listed.is_file() else []
    names, categories = {}, {}
    for number, line in enumerate(_lines(data), 1):
        if not line:
            continue
        fields = line.split("|")
        if len(fields) < _BEFORE_GENRES:
            raise DataError(
                f"{path}:{number}: {len(fields)} fields are too few for MovieLens' items (id|title|...); "
                "take it from the archive, or remove it"
            )
        names[fields[0]] = _text(path.name, fields[0], fields[1])
        flags = fields[_BEFORE_GENRES:]
        categories[fields[0]] = ", ".join(genre for genre, flag in zip(genres, flags, strict=False) if flag == "1")
    return Words(path.name, names, categories, {"id": "column_1", "name": "column_2", "category": _GENRES if genres else "none"})


def _lines(data: bytes) -> list[str]:
    return [line.rstrip("\r") for line in _as_utf8(data).decode().split("\n")]


def _as_utf8(data: bytes) -> bytes:
    """MovieLens' older archives are ISO 8859-1."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("iso-8859-1").encode()
    return data
