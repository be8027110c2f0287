"""Which row of a checkpoint is which item of a data set."""

import os
from collections.abc import Sequence

import numpy as np

from chordkit.data import Dataset
from chordkit.documents import parse_json
from chordkit.errors import InputError
from chordkit.files import read_bytes

SAME, NUMBERS = "same", "numbers"
"""In place of ids: rows are in the data set's order; the id of an item is the number of its row."""


def read_item_ids(path: str | os.PathLike[str]) -> list[str]:
    """The original ids of a checkpoint's rows from a JSON list of texts or numbers; the first, the padding's, is anything.

    Raises:
        InputError: no such file, or another content.
    """
    mend = "give a JSON list with one id a row of the item table, the first for padding"
    try:
        ids = parse_json(read_bytes(path, "list of item ids"), None)
    except ValueError as error:
        raise InputError(f"{path}: not a list of item ids ({error}); {mend}") from None
    if not isinstance(ids, list) or not all(isinstance(each, str) or type(each) is int for each in ids[1:]):
        raise InputError(f"{path}: not a list of item ids; {mend}")
    return ["", *map(str, ids[1:])]


def rows_of(data: Dataset, item_ids: Sequence[str] | str, rows: int, name: str) -> tuple[np.ndarray, list[str]]:
    """The checkpoint's row of every item of ``data``, int64 [items + 1], and the ids of rows that the data set has no item for.

    Args:
        data: the data set.
        item_ids: ids by row, the first the padding's; or :data:`SAME` or :data:`NUMBERS`.
        rows: of the checkpoint's item table, that of the padding included.
        name: the checkpoint's, for sentences.

    Raises:
        InputError: ids and rows are not equally many, an id is there twice, or the checkpoint lacks an item of the data set.
    """
    if isinstance(item_ids, str):
        if item_ids not in (SAME, NUMBERS):
            raise InputError(f"item_ids = {item_ids!r}: give the ids by row, {SAME!r} or {NUMBERS!r}")
        if item_ids == SAME:
            if rows != data.items + 1:
                raise InputError(
                    f"{name}: it has {rows - 1} items and data set '{data.name}' {data.items}, so their order is not the same: "
                    "give the ids of its rows with --item-ids"
                )
            return np.arange(rows), []
        item_ids = ["", *map(str, range(1, rows))]
    if len(item_ids) != rows:
        raise InputError(f"{name}: its item table has {rows} rows, with that of the padding, and --item-ids {len(item_ids)} ids")
    row_of = {item: row for row, item in enumerate(item_ids) if row}
    if len(row_of) != rows - 1:
        twice = next(item for row, item in enumerate(item_ids) if row and row_of[item] != row)
        raise InputError(f"{name}: --item-ids has the id {twice!r} twice")
    missing = [item for item in data.item_ids[1:] if item not in row_of]
    if missing:
        raise InputError(
            f"{name}: {len(missing)} of {data.items} items of data set '{data.name}' have no row in the checkpoint, the first is "
            f"{missing[0]!r}: prepare the data set from the events that the model was trained on, or check --item-ids"
        )
    known = set(data.item_ids)
    return np.array([0, *(row_of[item] for item in data.item_ids[1:])]), [item for item in item_ids[1:] if item not in known]
