"""The numbers that describe a data set."""

from typing import Any

import numpy as np

from chordkit.data.dataset import Dataset
from chordkit.data.times import clock_of, shown


def statistics(dataset: Dataset) -> dict[str, Any]:
    """Describe a data set; all values are plain JSON values.

    Keys: ``name``, ``users``, ``items``, ``interactions``; ``length_min/median/mean/max`` (interactions per user);
    ``item_count_min`` (interactions of the rarest item of the catalogue); ``repeated`` (interactions whose (user, item) pair
    has occurred before); ``times`` (what they count, None where only the order is known), ``first`` and ``last`` of them (ISO 8601, or a
    number; None too); ``ties`` (interactions at the time of the one before: their order is that of the file); ``density`` (distinct
    pairs / (users x items)); ``dropped_users`` (left out by the filters or for having fewer than three interactions) and
    ``dropped_users_too_short`` of them; ``fingerprint``.
    """
    lengths = dataset.lengths
    owners = np.repeat(np.arange(dataset.users, dtype=np.int64), lengths)
    distinct = len(np.unique(owners * (dataset.items + 1) + dataset.flat))
    counts = np.bincount(dataset.flat, minlength=dataset.items + 1)[1:]
    return {
        "name": dataset.name,
        "users": dataset.users,
        "items": dataset.items,
        "interactions": dataset.interactions,
        "length_min": int(lengths.min()),
        "length_median": float(np.median(lengths)),
        "length_mean": float(lengths.mean()),
        "length_max": int(lengths.max()),
        "item_count_min": int(counts.min()),
        "repeated": dataset.interactions - distinct,
        **_times(dataset),
        "ties": int(dataset.provenance.get("ties", 0)),
        "density": distinct / (dataset.users * dataset.items),
        "dropped_users": int(dataset.provenance.get("dropped_users", 0)),
        "dropped_users_too_short": int(dataset.provenance.get("dropped_users_too_short", 0)),
        "fingerprint": dataset.fingerprint,
    }


def _times(dataset: Dataset) -> dict[str, str | None]:
    if dataset.times is None:
        return {"times": None, "first": None, "last": None}
    clock = clock_of(dataset)
    return {"times": clock, "first": shown(int(dataset.times.min()), clock), "last": shown(int(dataset.times.max()), clock)}
