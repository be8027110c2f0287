"""What a person calls the items of a data set, where the data has words for them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chordkit.data.dataset import Dataset
from chordkit.data.detection import Format
from chordkit.data.generator import world_behind
from chordkit.data.location import locate
from chordkit.data.preparation import raw_path
from chordkit.errors import DataError, InputError
from chordkit.files import read_bytes

_TITLES, _GENRES = "u.item", "u.genre"
_LARGEST = 4 << 20
_BEFORE_GENRES = 5  # id, title, release, video release, address


@dataclass(frozen=True)
class ItemName:
    """Words for one item; "" where there are none.

    Attributes:
        title: what it is called.
        group: what it is among: genres, an interest.
    """

    title: str = ""
    group: str = ""


def item_names(dataset: Dataset, source: str | os.PathLike[str]) -> Mapping[str, ItemName]:
    """Words for items, by the owner's id; empty where the data set has none.

    MovieLens-100K has titles and genres in ``u.item`` beside its ratings. Items of the synthetic data have no titles, and none are made up;
    what groups them is the interest that they belong to.

    Args:
        dataset: what ``source`` was read as.
        source: as :func:`chordkit.data.load_named` took it.

    Raises:
        DataError: ``u.item`` or ``u.genre`` is there and cannot be read as what its name says.
    """
    world = world_behind(dataset)
    if world is not None:
        return {
            item: ItemName(group=f"interest {interest + 1}") for item, interest in zip(dataset.item_ids[1:], world.interest, strict=True)
        }
    path = raw_path(source)
    if path is None or dataset.provenance.get("format") != Format.MOVIELENS or not (titles := locate(path)[0].parent / _TITLES).is_file():
        return {}
    return _movielens(titles)


def _movielens(path: Path) -> Mapping[str, ItemName]:
    beside = path.parent / _GENRES
    genres = [line.partition("|")[0] for line in _lines(beside) if "|" in line] if beside.is_file() else []
    names = {}
    for number, line in enumerate(_lines(path), 1):
        if not line:
            continue
        fields = line.split("|")
        if len(fields) < _BEFORE_GENRES:
            raise DataError(
                f"{path}:{number}: {len(fields)} fields are too few for MovieLens' items (id|title|...); "
                "take it from the archive, or remove it"
            )
        flags = fields[_BEFORE_GENRES:]
        names[fields[0]] = ItemName(fields[1], ", ".join(genre for genre, flag in zip(genres, flags, strict=False) if flag == "1"))
    return names


def _lines(path: Path) -> list[str]:
    try:
        return read_bytes(path, "list of items", _LARGEST).decode("iso-8859-1").split("\n")
    except InputError as error:
        raise DataError(str(error)) from None
