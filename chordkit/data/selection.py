"""Which interactions of a file are kept."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from chordkit.data.ordering import stable_order
from chordkit.errors import DataError

Dedupe = Literal["first", "last", "consecutive"]
DEDUPES: tuple[Dedupe, ...] = ("first", "last", "consecutive")


@dataclass(frozen=True)
class Condition:
    """A column must have a value, or must not."""

    column: str
    equal: bool
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Of "event=purchase" or "event!=view".

        Raises:
            DataError: it is neither.
        """
        found = re.fullmatch(r"([^=!]+)(!?=)(.*)", text, re.DOTALL)
        if found is None:
            raise DataError(f"where: '{text[:60]}' is no condition; write COLUMN=VALUE or COLUMN!=VALUE")
        return cls(found[1].strip(), found[2] == "=", found[3].strip())


@dataclass(frozen=True)
class Selection:
    """All that may leave interactions out, in the order in which it is applied.

    Attributes:
        where: of conditions on one column with "=" one must hold, of all others every one.
        min_rating: the lowest rating that is kept.
        start: the first time that is kept, a date or a number as in the file.
        end: the first time that is kept no more.
        dedupe: of a user's interactions with one item only the first or the last is kept; or, "consecutive", of those that follow each
            other the first.
        sample_users: as many users, drawn at random with ``seed``.
        k_core: users and items with fewer interactions are left out, repeatedly; 0 = off.
    """

    where: tuple[Condition, ...] = ()
    min_rating: float | None = None
    start: str | None = None
    end: str | None = None
    dedupe: Dedupe | None = None
    sample_users: int | None = None
    seed: int = 0
    k_core: int = 0

    def __post_init__(self) -> None:
        if self.k_core < 0:
            raise DataError(f"k_core must be 0 (off) or more, not {self.k_core}")
        if self.sample_users is not None and self.sample_users < 1:
            raise DataError(f"sample_users must be 1 or more, not {self.sample_users}")
        if self.dedupe is not None and self.dedupe not in DEDUPES:
            raise DataError(f"dedupe: '{self.dedupe}' is not one of {', '.join(DEDUPES)}")

    @property
    def columns(self) -> list[str]:
        """Those that conditions are about, each once."""
        return list(dict.fromkeys(condition.column for condition in self.where))


def masks(source: str, conditions: Sequence[Condition], frame: pl.DataFrame) -> Iterable[tuple[str, np.ndarray]]:
    """In words, and bool [rows]: for each column what its conditions keep. An empty field is "" here.

    Raises:
        DataError: the conditions on a column keep nothing: a value is misspelled, or the column is another.
    """
    for column in dict.fromkeys(condition.column for condition in conditions):
        mine = [condition for condition in conditions if condition.column == column]
        values = frame[column].fill_null("").str.strip_chars()
        wanted = [condition.value for condition in mine if condition.equal]
        refused = [condition.value for condition in mine if not condition.equal]
        keep = ~values.is_in(refused)
        if wanted:
            keep &= values.is_in(wanted)
        words = [f"{column} is {' or '.join(wanted)}"] * bool(wanted) + [f"{column} is not {' or '.join(refused)}"] * bool(refused)
        if len(values) and not keep.any():
            there = ", ".join(f"'{value[:40]}'" for value in values.unique(maintain_order=True)[:8])
            raise DataError(f"{source}: where: of no interaction {' and '.join(words)}; the column has values such as {there}")
        yield " and ".join(words), keep.to_numpy()


def runs(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """bool [events], of events in the order of users and time: false where the event before is of the same user and item."""
    first = np.ones(len(users), bool)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return first


def once(users: np.ndarray, items: np.ndarray, which: Dedupe) -> np.ndarray:
    """bool [events], of events in the order of users and time: the one of each user and item that is kept."""
    if which == "consecutive":
        return runs(users, items)
    order = stable_order(users, items)
    first = runs(users[order], items[order])
    keep = np.zeros(len(users), bool)
    keep[order[first if which == "first" else np.append(first, True)[1:]]] = True
    return keep
