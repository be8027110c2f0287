"""From events in file order to a data set: rating filter, stable order in time, k-core, dense ids."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chordkit.data.dataset import MINIMUM_LENGTH, Dataset
from chordkit.errors import DataError


@dataclass(frozen=True, eq=False)
class Events:
    """What a reader hands over: one entry per interaction, in file order.

    Attributes:
        users: int64 [events], index into ``user_ids``.
        items: int64 [events], index into ``item_ids``.
        user_ids: distinct original ids, in the order in which users will be numbered.
        item_ids: distinct original ids, in the order in which items will be numbered.
        times: int64 or float64 [events]; None when the file itself is in order.
        ratings: float64 [events]; None when they were not asked for.
        columns: what was taken for user, item, timestamp (and rating), where a table has columns.
    """

    users: np.ndarray
    items: np.ndarray
    user_ids: list[str]
    item_ids: list[str]
    times: np.ndarray | None = None
    ratings: np.ndarray | None = None
    columns: dict[str, str] = field(default_factory=dict)


def k_core(users: np.ndarray, items: np.ndarray, user_minimum: int, item_minimum: int) -> np.ndarray:
    """bool [events]: the largest part in which every user has ``user_minimum`` and every item ``item_minimum`` events.

    Removing a rare item may make a user too short, and the other way round, so it is repeated until nothing changes.
    """
    kept = np.arange(len(users))
    while len(kept):
        user_counts, item_counts = np.bincount(users[kept]), np.bincount(items[kept])
        stay = (user_counts[users[kept]] >= user_minimum) & (item_counts[items[kept]] >= item_minimum)
        if stay.all():
            break
        kept = kept[stay]
    mask = np.zeros(len(users), bool)
    mask[kept] = True
    return mask


def assemble(name: str, source: str, events: Events, *, core: int, min_rating: float | None, provenance: dict[str, Any]) -> Dataset:
    """Filter, order and number the events of one file.

    Users with fewer than three interactions have nothing to train, validate and test on: they are left out and counted
    in ``provenance["dropped_users"]``.

    Raises:
        DataError: nothing is left.
    """
    if not len(events.users):
        raise DataError(f"{source}: holds no interactions; give a file with at least one user of {MINIMUM_LENGTH} interactions")
    kept = np.arange(len(events.users))
    if min_rating is not None and events.ratings is not None:
        kept = kept[events.ratings >= min_rating]
    users, items = events.users[kept], events.items[kept]
    lengths = np.bincount(users, minlength=len(events.user_ids))
    # A user without any event left was removed by the rating filter; one or two events are too few to split.
    too_short = int((lengths < MINIMUM_LENGTH).sum())
    stay = k_core(users, items, MINIMUM_LENGTH if core == 0 else max(core, MINIMUM_LENGTH), core)
    if not stay.any():
        given = {"min_rating": min_rating, "k_core": core or None}
        filters = ", ".join(f"{filter_name}={value:g}" for filter_name, value in given.items() if value is not None)
        detail = f" after {filters}; lower the filter" if filters else "; give longer histories"
        raise DataError(f"{source}: none of {len(events.user_ids)} users has {MINIMUM_LENGTH} interactions left{detail}")
    kept, users, items = kept[stay], users[stay], items[stay]
    # lexsort is stable: events of one user with equal times stay in file order.
    keys = (users,) if events.times is None else (events.times[kept], users)
    order = np.lexsort(keys)
    user_index, user_codes = np.unique(users[order], return_inverse=True)
    item_index, item_codes = np.unique(items[order], return_inverse=True)
    return Dataset(
        name=name,
        flat=(item_codes + 1).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user_codes))]).astype(np.int64),
        item_ids=["", *(events.item_ids[index] for index in item_index)],
        user_ids=[events.user_ids[index] for index in user_index],
        provenance={
            **provenance,
            **({"columns": events.columns} if events.columns else {}),
            "min_rating": min_rating,
            "k_core": core,
            "interactions_read": len(events.users),
            "dropped_users": len(events.user_ids) - len(user_index),
            "dropped_users_too_short": too_short,
            "dropped_items": len(events.item_ids) - len(item_index),
        },
    )
