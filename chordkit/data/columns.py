"""Which column of a table is what."""

import re
from dataclasses import dataclass

from chordkit.errors import DataError

FILE_ORDER = "file-order"
"""Given as the column of the time: the rows stand in the order of time already."""

ALIASES = {
    "user": ("user", "userid", "reviewerid", "uid", "sessionid", "customerid", "visitorid", "username"),
    "item": ("item", "itemid", "asin", "parentasin", "movieid", "productid", "iid", "artid", "businessid", "articleid", "itemidlist"),
    "timestamp": ("timestamp", "time", "ts", "unixreviewtime", "unixtime", "date", "datetime", "tdat"),
    "rating": ("rating", "overall", "stars", "score"),
}
BY_POSITION = re.compile(r"column_[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class Columns:
    """Which column is what. None = recognise it by a common name ("userId", "asin", "unixReviewTime", ...).

    Attributes:
        user, item, rating: names; fields within fields of JSON are "product.id".
        timestamp: a name; several, separated by commas, order one after the other ("eventdate,timeframe"); :data:`FILE_ORDER` = none.
        time_format: how dates are written where it is not ISO 8601, as strftime has it: "%d/%m/%Y %H:%M".

    A table without a header line has its columns by position: ``Columns("column_1", "column_2", "column_4", "column_3")``.
    """

    user: str | None = None
    item: str | None = None
    timestamp: str | None = None
    rating: str | None = None
    time_format: str | None = None

    @property
    def by_position(self) -> bool:
        """True when the table has no header line, because columns are named "column_1", "column_2", ..."""
        times = [] if self.timestamp in (None, FILE_ORDER) else (self.timestamp or "").split(",")
        given = [name for name in (self.user, self.item, self.rating, *times) if name is not None]
        return bool(given) and all(BY_POSITION.fullmatch(name) for name in given)


RATINGS_BY_POSITION = Columns("column_1", "column_2", "column_4", "column_3")
PAIRS_BY_POSITION = Columns("column_1", "column_2", FILE_ORDER)


@dataclass(frozen=True)
class Roles:
    """The columns that were taken. ``times`` is empty where the rows stand in the order of time."""

    user: str
    item: str
    times: tuple[str, ...] = ()
    rating: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return [self.user, self.item, *self.times, *([self.rating] if self.rating is not None else [])]

    def told(self) -> dict[str, str]:
        """For reports, and for whoever wonders."""
        found = {"user": self.user, "item": self.item, "timestamp": ",".join(self.times) or FILE_ORDER}
        return found | ({"rating": self.rating} if self.rating is not None else {})


def plain_column(name: str) -> str:
    """The name of a column without case, punctuation and RecBole's type behind it."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r":.*", "", name.lower()))


def recognise(header: list[str], columns: Columns = Columns()) -> dict[str, str]:
    """The column of every role ("user", "item", "timestamp", "rating") that is named or recognised; absent roles are left out."""
    plain = {plain_column(name): name for name in reversed(header)}
    found = {}
    for role, aliases in ALIASES.items():
        named = getattr(columns, role)
        if named is not None:
            found[role] = named
        else:
            match = next((plain[alias] for alias in aliases if alias in plain), None)
            if match is not None:
                found[role] = match
    return found


def roles_in(source: str, header: list[str], columns: Columns, *, rating: bool, in_order: bool = False) -> Roles:
    """Find every role in the names of a table.

    Args:
        source: for sentences.
        header: the names.
        columns: those that are named.
        rating: whether ratings are needed.
        in_order: a table without times is in the order of time, as its format says.

    Raises:
        DataError: a column is missing (the message lists those present), or is to be two things.
    """
    found = recognise(header, columns)
    if in_order and "timestamp" not in found:
        found["timestamp"] = FILE_ORDER
    time = found.get("timestamp")
    times = () if time == FILE_ORDER else (time,) if time in header or time is None else tuple(time.split(","))
    wanted = {"user": [found.get("user")], "item": [found.get("item")], "time": list(times)}
    if rating:
        wanted["rating"] = [found.get("rating")]
    missing = [f"for the {role}" if name is None else f"'{name}'" for role, names in wanted.items() for name in names if name not in header]
    if missing:
        present = ", ".join(f"'{name}'" for name in header[:40]) or "none"
        order = f" (--time {FILE_ORDER} where the rows stand in the order of time)" if time is None else ""
        raise DataError(
            f"{source}: no column {' and no column '.join(missing)}; present are {present}; "
            f"name the right one to 'chordkit data prepare' with --user, --item, --time or --rating{order} "
            "(column_1, column_2, ... where there is no header line)"
        )
    roles = Roles(found["user"], found["item"], tuple(name for name in times if name is not None), found["rating"] if rating else None)
    if len(set(roles.names)) < len(roles.names):
        taken = ", ".join(roles.names)
        raise DataError(f"{source}: one column cannot be two things ({taken}); name another one with --user, --item, --time or --rating")
    return roles
