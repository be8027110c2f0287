"""The numbers that describe a data set."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from chordkit.data.cut import find_cut
from chordkit.data.dataset import Dataset
from chordkit.data.splits import Split
from chordkit.data.times import clock_of, shown


def statistics(dataset: Dataset) -> dict[str, Any]:
    """Describe a data set; all values are plain JSON values.

    Keys: ``name``, ``users``, ``items``, ``interactions``; ``length_min/median/mean/max`` (interactions per user);
    ``item_count_min`` (interactions of the rarest item of the catalogue); ``repeated`` (interactions whose (user, item) pair
    has occurred before); ``times`` (what they count, None where only the order is known), ``first`` and ``last`` of them (ISO 8601, or a
    number; None too); ``item_names`` and ``item_categories`` (items that have one); ``ties`` (interactions at the time of the one before:
    their order is that of the file); ``density`` (distinct pairs / (users x items)); ``dropped_users`` (left out by the filters or for
    having fewer than three interactions) and ``dropped_users_too_short`` of them; ``fingerprint``.
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
        "item_names": sum(map(bool, dataset.item_names)),
        "item_categories": sum(map(bool, dataset.item_categories)),
        **_times(dataset),
        "ties": int(dataset.provenance.get("ties", 0)),
        "density": distinct / (dataset.users * dataset.items),
        "dropped_users": int(dataset.provenance.get("dropped_users", 0)),
        "dropped_users_too_short": int(dataset.provenance.get("dropped_users_too_short", 0)),
        "fingerprint": dataset.fingerprint,
    }


def readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`statistics` says, and whatever stands beside it, as people read it."""
    share, mean = values["density"], values["length_mean"]
    density = f"1 of {1 / share:,.0f} possible" if share < 0.1 else f"{100 * share:.0f} % of all"
    return {**values, "density": f"{density} pairs of a user and an item", "length_mean": f"{mean:,.1f}"}


def split_statistics(dataset: Dataset, parts: Split, at: str | None = None) -> dict[str, Any]:
    """What falls into each part of a split; all values are plain JSON values.

    Keys: ``train_users`` (with two interactions or more) and ``train_interactions``; ``valid_users``, ``valid_targets``; ``test_users``,
    ``test_targets``; ``test_users_untrained`` (of whom nothing is trained on) and ``test_targets_untrained`` (items that nothing is
    trained on); of a split by time ``valid_from`` and ``test_from``.
    """
    lengths = np.array([len(sequence) for sequence in parts.train])
    trained = np.bincount(np.concatenate(parts.train), minlength=dataset.items + 1) > 0
    tested = np.unique(parts.test.users)
    moments = {} if at is None else {f"{part}_from": shown(time, clock_of(dataset)) for part, time in vars(find_cut(dataset, at)).items()}
    return moments | {
        "train_users": int((lengths >= 2).sum()),
        "train_interactions": int(lengths.sum()),
        "valid_users": len(np.unique(parts.valid.users)),
        "valid_targets": len(parts.valid),
        "test_users": len(tested),
        "test_targets": len(parts.test),
        "test_users_untrained": int((lengths[tested] == 0).sum()),
        "test_targets_untrained": int((~trained[parts.test.targets]).sum()),
    }


def _times(dataset: Dataset) -> dict[str, str | None]:
    if dataset.times is None:
        return {"times": None, "first": None, "last": None}
    clock = clock_of(dataset)
    return {"times": clock, "first": shown(int(dataset.times.min()), clock), "last": shown(int(dataset.times.max()), clock)}
