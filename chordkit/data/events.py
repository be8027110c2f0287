"""From a table to events: which column is what, texts to ids, times to numbers."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from chordkit.data.columns import Columns, Roles, roles_in
from chordkit.data.ordering import numbered
from chordkit.data.readers.table import Table, TableFile, joined
from chordkit.data.selection import Selection, masks
from chordkit.data.times import BadValueError, Times, numbers, read_times
from chordkit.errors import DataError


@dataclass(frozen=True, eq=False)
class Events:
    """One entry per interaction, in file order.

    Attributes:
        users: int32 or int64 [events], index into ``user_ids``.
        items: int32 or int64 [events], index into ``item_ids``.
        user_ids: distinct original ids, in the order in which users will be numbered.
        item_ids: distinct original ids, in the order in which items will be numbered.
        times: of all events each; the first decides and the next where it ties; none when the file itself is in order.
        kept: in words what is asked of an event, and bool [events].
        columns: what was taken for user, item, timestamp (and rating), where a table has columns.
    """

    users: np.ndarray
    items: np.ndarray
    user_ids: list[str]
    item_ids: list[str]
    times: tuple[Times, ...] = ()
    kept: tuple[tuple[str, np.ndarray], ...] = ()
    columns: dict[str, str] = field(default_factory=dict)


def events_of(source: str, parts: list[TableFile], columns: Columns, selection: Selection, *, in_order: bool = False) -> Events:
    """Read what is needed of a table, or of a table in parts.

    Args:
        source: for sentences.
        parts: files of the same columns.
        columns: those that are named.
        selection: what its conditions and times ask for goes with the events.
        in_order: without times the rows are in the order of time.

    Raises:
        DataError: a column is missing, or a row is malformed (the message names the row).
    """
    header = parts[0].names
    roles = roles_in(source, header, columns, rating=selection.min_rating is not None, in_order=in_order)
    strange = [name for name in selection.columns if name not in header]
    if strange:
        raise DataError(f"{source}: where: no column '{strange[0]}'; present are {', '.join(repr(name) for name in header[:40])}")
    if not roles.times and (selection.start is not None or selection.end is not None):
        raise DataError(f"{source}: there are no times to keep a part of; name their column with --time")
    names = list(dict.fromkeys([*roles.names, *selection.columns]))
    table = joined([part.read(names, set(roles.names) - set(selection.columns)) for part in parts])
    kept = list(masks(source, selection.where, table.frame))
    frame, rows = _one_event_a_row(source, table, roles)
    frame = frame.with_columns(pl.col(pl.String).str.strip_chars())
    read = _Read(Table(frame, lambda row: table.place(int(rows[row]))))
    users, user_ids = read.ids("user", roles.user)
    items, item_ids = read.ids("item", roles.item)
    times = [read.times(name, columns.time_format) for name in roles.times]
    kept = [(words, mask[rows]) for words, mask in kept]
    if roles.rating is not None:
        kept.append((f"rating is at least {selection.min_rating:g}", read.ratings(roles.rating) >= selection.min_rating))
    if times and selection.start is not None:
        kept.append((f"not before {selection.start}", times[0].values >= times[0].bound(selection.start, "from")))
    if times and selection.end is not None:
        kept.append((f"before {selection.end}", times[0].values < times[0].bound(selection.end, "to")))
    return Events(users, items, user_ids, item_ids, tuple(times), tuple(kept), roles.told())


def _one_event_a_row(source: str, table: Table, roles: Roles) -> tuple[pl.DataFrame, np.ndarray]:
    """Lists of items, with lists of times beside them or one time for all, become rows; and the table's row of each.

    Raises:
        DataError: a list of times is not as long as that of the items, or a user is a list.
    """
    frame = table.frame.select(roles.names).with_row_index("row")
    lists = [name for name in roles.names if isinstance(frame.schema[name], pl.List)]
    if roles.user in lists or (lists and roles.item not in lists):
        odd = roles.user if roles.user in lists else lists[0]
        raise DataError(f"{source}: column '{odd}' holds lists; only items may, and times and ratings beside them")
    if lists:
        lengths = [frame[name].list.len().fill_null(0) for name in lists]
        for name, length in zip(lists[1:], lengths[1:], strict=True):
            bad = length != lengths[0]
            if bad.any():
                raise DataError(f"{table.place(int(bad.arg_max() or 0))}: '{name}' has another number of parts than '{lists[0]}'")
        frame = frame.filter(lengths[0] > 0).explode(lists)
    return frame.drop("row"), frame["row"].to_numpy()


class _Read:
    """Columns of a table, one event a row, as numbers."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ids(self, role: str, name: str) -> tuple[np.ndarray, list[str]]:
        column = self._table.frame[name]
        if column.dtype == pl.Int64:
            places, distinct = numbered(column.to_numpy())
            return places, pl.Series(distinct).cast(pl.String).to_list()
        empty = column.is_null() | (column == "").fill_null(True)
        if empty.any():
            raise DataError(f"{self._table.place(int(empty.arg_max() or 0))}: {role} (column '{name}') is empty; fill it or remove the row")
        ids = _in_order(column.unique())
        return column.cast(pl.Enum(ids)).to_physical().to_numpy().astype(np.int32), ids

    def times(self, name: str, time_format: str | None) -> Times:
        try:
            return read_times(self._table.frame[name], time_format)
        except BadValueError as error:
            raise self._bad("timestamp", name, error) from None
        except pl.exceptions.PolarsError as error:
            raise DataError(f"time_format: '{time_format}' is no format of a date ({' '.join(str(error).split())[:80]})") from None

    def ratings(self, name: str) -> np.ndarray:
        try:
            return numbers(self._table.frame[name], "give a rating such as 4.5")
        except BadValueError as error:
            raise self._bad("rating", name, error) from None

    def _bad(self, role: str, name: str, error: BadValueError) -> DataError:
        place = self._table.place(error.row)
        if not error.value:
            return DataError(f"{place}: {role} (column '{name}') {error}")
        return DataError(f"{place}: {role} '{error.value[:40]}' {error}, or name another column than '{name}'")


def _in_order(ids: pl.Series) -> list[str]:
    """Distinct ids in numeric order where all are whole numbers as they are normally written, else in text order."""
    whole = ids.cast(pl.Int64, strict=False)
    canonical = not whole.null_count() and bool((whole.cast(pl.String) == ids).all())
    return (whole.sort().cast(pl.String) if canonical else ids.sort()).to_list()
