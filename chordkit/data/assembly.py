"""From events in file order to a data set: what is left out, stable order in time, dense ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chordkit.data.dataset import MINIMUM_LENGTH, Dataset
from chordkit.data.events import Events
from chordkit.data.ordering import stable_order
from chordkit.data.selection import Selection, once
from chordkit.errors import DataError


def k_core(users: np.ndarray, items: np.ndarray, user_minimum: int, item_minimum: np.ndarray) -> np.ndarray:
    """bool [events]: the largest part in which every user has ``user_minimum`` events, and every item what ``item_minimum``, int64 [items],
    asks of it.

    Removing a rare item may make a user too short, and the other way round, so it is repeated until nothing changes.
    """
    mask = np.ones(len(users), bool)
    user_counts, item_counts = np.bincount(users), np.bincount(items)
    while True:
        stay = (user_counts >= user_minimum)[users]
        stay &= (item_counts >= item_minimum[: len(item_counts)])[items]
        stay &= mask
        gone = np.flatnonzero(mask != stay)
        if not len(gone):
            return mask
        user_counts -= np.bincount(users[gone], minlength=len(user_counts))
        item_counts -= np.bincount(items[gone], minlength=len(item_counts))
        mask = stay


_ONCE: dict[str, str] = {
    "first": "of each user and item the first",
    "last": "of each user and item the last",
    "consecutive": "of a run of one item the first",
}


class _Left:
    """The events that are left, in the order of users and time, and what left them out.

    Attributes:
        users: int [left], index into the ids of the events.
        items: the same.
        order: int64 [left], where in the file.
        dropped: one record a step.
    """

    def __init__(self, events: Events) -> None:
        # Stable: events of one user with equal times stay in file order.
        self.order = stable_order(events.users, *(each.values for each in events.times))
        self.users, self.items = events.users[self.order], events.items[self.order]
        self.dropped: list[dict[str, Any]] = []
        self._counted = self._counts()

    def keep(self, why: str, stay: np.ndarray) -> None:
        """Leave out the events that do not ``stay``; say how many interactions, users and items are gone with them."""
        before = self._counted
        if not stay.all():
            self.order, self.users, self.items = self.order[stay], self.users[stay], self.items[stay]
            self._counted = self._counts()
        gone = dict(zip(("interactions", "users", "items"), (b - a for b, a in zip(before, self._counted, strict=True)), strict=True))
        self.dropped.append({"kept": why, **gone})

    def _counts(self) -> tuple[int, int, int]:
        users, items = (int(np.count_nonzero(np.bincount(each))) for each in (self.users, self.items))
        return len(self.order), users, items


def assemble(
    name: str, source: str, events: Events, selection: Selection, provenance: dict[str, Any], catalogue: Dataset | None = None
) -> Dataset:
    """Leave out, order and number the events of one file; the items of ``catalogue``, if there is one, as they are numbered there.

    Users with fewer than three interactions have nothing to train, validate and test on: they are left out and counted
    in ``provenance["dropped_users"]``. ``provenance["dropped"]`` has a row for every step: what was kept, and what is gone.

    Raises:
        DataError: nothing is left, or nothing of it is in the catalogue.
    """
    if not len(events.users):
        raise DataError(f"{source}: holds no interactions; give a file with at least one user of {MINIMUM_LENGTH} interactions")
    left = _Left(events)
    for why, mask in events.kept:
        left.keep(why, mask[left.order])
    ties = _ties(events, left)
    if selection.dedupe is not None:
        left.keep(_ONCE[selection.dedupe], once(left.users, left.items, selection.dedupe))
    if selection.sample_users is not None:
        drawn = np.zeros(len(events.user_ids), bool)
        present = np.flatnonzero(np.bincount(left.users))
        drawn[np.random.default_rng(selection.seed).permutation(present)[: selection.sample_users]] = True
        left.keep(f"{selection.sample_users} users at random, seed {selection.seed}", drawn[left.users])
    # A user without any event left was removed by a filter; one or two events are too few to split.
    counts = np.bincount(left.users)
    too_short = int(((counts > 0) & (counts < MINIMUM_LENGTH)).sum())
    core = selection.k_core
    minimum = max(core, MINIMUM_LENGTH)
    numbers = _numbers(source, events.item_ids, catalogue)
    kind = "items" if catalogue is None else "new items"
    words = f"users of at least {minimum} interactions" + (f", {kind} of at least {core}" if core else "")
    # What is in the catalogue has been learned from more than these events.
    stay = k_core(left.users, left.items, minimum, np.where(numbers > 0, 0, core))
    if not stay.any():
        raise _nothing_left(source, events, selection)
    left.keep(words, stay)
    lengths = np.bincount(left.users)
    user_index = np.flatnonzero(lengths)
    present = np.flatnonzero(np.bincount(left.items))
    new = present[numbers[present] == 0]
    before = [""] if catalogue is None else list(catalogue.item_ids)
    numbers[new] = len(before) + np.arange(len(new))
    # Of several columns the first alone is a time: the others order within it.
    times, clock = events.times[0].clocked() if events.times else (None, None)
    return Dataset(
        name=name,
        flat=numbers.astype(np.int32)[left.items],
        offsets=np.concatenate([[0], np.cumsum(lengths[user_index])]).astype(np.int64),
        item_ids=[*before, *(events.item_ids[index] for index in new)],
        user_ids=[events.user_ids[index] for index in user_index],
        times=None if times is None else times[left.order],
        item_names=_longer(catalogue.item_names, len(new)) if catalogue else (),
        item_categories=_longer(catalogue.item_categories, len(new)) if catalogue else (),
        provenance={
            **provenance,
            **({"columns": events.columns} if events.columns else {}),
            **({"times": str(clock)} if clock else {}),
            "min_rating": selection.min_rating,
            "k_core": core,
            "interactions_read": len(events.users),
            "ties": ties,
            "dropped": left.dropped,
            "dropped_users": len(events.user_ids) - len(user_index),
            "dropped_users_too_short": too_short,
            "dropped_items": len(events.item_ids) - len(present),
            **({"catalogue": _told(catalogue, len(present) - len(new), len(new))} if catalogue else {}),
        },
    )


def _numbers(source: str, item_ids: Sequence[str], catalogue: Dataset | None) -> np.ndarray:
    """int64 [items]: the number of each in the catalogue; 0 = it is new.

    Raises:
        DataError: all of them are.
    """
    if catalogue is None:
        return np.zeros(len(item_ids), np.int64)
    place = {item: number for number, item in enumerate(catalogue.item_ids) if number}
    found = np.array([place.get(item, 0) for item in item_ids], np.int64)
    if not found.any():
        ours, theirs = (", ".join(f"'{item[:40]}'" for item in ids[:3]) for ids in (item_ids, catalogue.item_ids[1:]))
        raise DataError(
            f"{source}: none of its items ({ours}) is in the catalogue of '{catalogue.name}' ({theirs}); give the data set of the same "
            "items, or leave --catalogue out"
        )
    return found


def _longer(words: Sequence[str], new: int) -> list[str]:
    return [*words, *[""] * new] if words else []


def _told(catalogue: Dataset, present: int, new: int) -> dict[str, Any]:
    return {"name": catalogue.name, "fingerprint": catalogue.fingerprint, "items": catalogue.items, "present": present, "new": new}


def _ties(events: Events, left: _Left) -> int:
    """Events of the time of the one before of the same user: their order is that of the file."""
    if not events.times or len(left.order) < 2:
        return 0
    same = left.users[1:] == left.users[:-1]
    for times in events.times:
        values = times.values[left.order]
        same &= values[1:] == values[:-1]
    return int(np.count_nonzero(same))


def _nothing_left(source: str, events: Events, selection: Selection) -> DataError:
    given = {"k_core": selection.k_core or None, "sample_users": selection.sample_users}
    filters = [why for why, _ in events.kept] + [f"{name}={value:g}" for name, value in given.items() if value is not None]
    detail = f" after {', '.join(filters)}; lower the filter" if filters else "; give longer histories"
    return DataError(f"{source}: none of {len(events.user_ids)} users has {MINIMUM_LENGTH} interactions left{detail}")
