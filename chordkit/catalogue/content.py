"""Vectors that the owner has for items: of a text, an image, whatever tells what an item is."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chordkit.data import Dataset
from chordkit.data.readers.memory import TableInMemory, is_table
from chordkit.data.readers.opening import open_table, read_table_bytes
from chordkit.errors import DataError

LONGEST = 4096
"""Numbers of a vector."""


def read_content(source: Any, dataset: Dataset) -> np.ndarray:
    """A vector for each item of a data set, float32 [items + 1, n], NaN where there is none.

    Args:
        source: a CSV, TSV, JSON lines or Parquet file, packed or not, or a table in memory. Its first column is the owner's id of the item,
            the others are numbers, or one is a list of numbers. Ids that are none of the data set are left out.
        dataset: whose items they are.

    Raises:
        DataError: no id is one of the data set, a value is no finite number, or vectors have several lengths; the message names the place.
    """
    shown = "the content" if is_table(source) else Path(source).name
    table = TableInMemory(source) if is_table(source) else open_table(Path(source), *read_table_bytes(Path(source), "content"))
    if len(table.names) < 2:
        raise DataError(f"{shown}: a table of content has a column of item ids, then numbers or one list of numbers; it has {table.names}")
    read = table.read(table.names)
    ids = read.frame[table.names[0]]
    numbers = _numbers(shown, read.frame.drop(table.names[0]), read.place)
    place = {item: index for index, item in enumerate(dataset.item_ids) if index}
    rows = np.array([place.get(item, 0) for item in ids.to_list()], np.int64)
    if not rows.any():
        shown_ids = ", ".join(repr(str(item)[:40]) for item in ids.head(3).to_list())
        raise DataError(
            f"{shown}: none of its ids ({shown_ids}) is an item of {dataset.name}; its first column has to be the id of the clicks"
        )
    content = np.full((dataset.items + 1, numbers.shape[1]), np.nan, np.float32)
    content[rows[rows > 0]] = numbers[rows > 0]
    return content


def _numbers(shown: str, frame: pl.DataFrame, place: Any) -> np.ndarray:
    """float32 [rows, n]."""
    lists = [name for name in frame.columns if isinstance(frame[name].dtype, pl.List)]
    if lists and frame.width > 1:
        raise DataError(f"{shown}: a list of numbers ('{lists[0]}') stands alone beside the id; leave the other columns out")
    if lists:
        vectors = frame[lists[0]]
        lengths = vectors.list.len()
        odd = (lengths != lengths[0]).fill_null(True).arg_true()
        if len(odd) or not lengths[0]:
            row = int(odd[0]) if len(odd) else 0
            raise DataError(f"{place(row)}: {lengths[row] or 0} numbers where the first item has {lengths[0] or 0}; give all items as many")
        flat, columns = vectors.explode(), int(lengths[0])
    else:
        flat, columns = pl.concat([frame[name].rename("value") for name in frame.columns]), frame.width
    if columns > LONGEST:
        raise DataError(f"{shown}: {columns:,} numbers an item are more than {LONGEST:,}; give shorter vectors")
    values = flat.cast(pl.Float32, strict=False).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        row = int(wrong[0]) // columns if lists else int(wrong[0]) % frame.height
        raise DataError(f"{place(row)}: {str(flat[int(wrong[0])])[:40]!r} is no finite number; mend it or leave the item out")
    return values.reshape(-1, columns) if lists else values.reshape(columns, -1).T
