"""Which interactions of every user a split holds out, and what tells one split from another."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.data.cut import Cut, cut_identity, find_cut
from chordkit.data.dataset import Dataset
from chordkit.errors import DataError

MAXIMUM_HELD_OUT = 5


@dataclass(frozen=True, eq=False)
class Places:
    """Places in the flat array of a data set, and how many items count from there on; all int64 [users].

    Attributes:
        train_until: what lies before it trains.
        valid_from: the first item that validates.
        validated: how many do.
        test_from: the first item that tests.
        tested: how many do.
    """

    train_until: np.ndarray
    valid_from: np.ndarray
    validated: np.ndarray
    test_from: np.ndarray
    tested: np.ndarray


def places_of(dataset: Dataset, held_out: int, validation: int, cut: Cut | None = None) -> Places:
    """See :func:`chordkit.data.split`, for whose sizes these are.

    Raises:
        DataError: ``held_out`` or ``validation`` is not in 1..5.
    """
    for name, count in (("held_out", held_out), ("validation", validation)):
        if not 1 <= count <= MAXIMUM_HELD_OUT:
            raise DataError(f"{name} must lie in 1..{MAXIMUM_HELD_OUT}, not {count}")
    return _last(dataset, held_out, validation) if cut is None else _after(dataset, held_out, validation, cut)


def split_identity(dataset: Dataset, held_out: int, validation: int, at: str | None = None) -> dict[str, Any]:
    """What tells a split from every other, as JSON values; two texts ``at`` that mean one moment are the same.

    Raises:
        DataError: as :func:`chordkit.data.split`.
    """
    found: dict[str, Any] = {"fingerprint": dataset.fingerprint, "held_out": held_out, "validation": validation}
    return found if at is None else found | {"split_at": cut_identity(dataset, find_cut(dataset, at))}


def places_told(dataset: Dataset, identity: Any) -> Places | None:
    """Those of a split of this data set that :func:`split_identity` told of, in a file for instance; None where ``identity`` is of other
    data or other times, or is none."""
    match identity:
        case {"fingerprint": dataset.fingerprint, "held_out": int(held_out), "validation": int(validation), **more}:
            cut = None
            if "split_at" in more:
                match more["split_at"]:
                    case {"valid": int(valid), "test": int(test)} if dataset.times is not None:
                        cut = Cut(valid, test)
                if cut is None or cut_identity(dataset, cut) != more["split_at"]:
                    return None
            try:
                return places_of(dataset, held_out, validation, cut)
            except (DataError, OverflowError):
                return None
    return None


def _last(dataset: Dataset, held_out: int, validation: int) -> Places:
    ends, lengths = dataset.offsets[1:], dataset.lengths
    # At least one item stays for training and one for validation.
    tested = np.minimum(held_out, lengths - 2)
    validated = np.ones_like(tested)
    if validation > 1:
        both = np.maximum(2, np.minimum(held_out + validation, lengths // 2))
        validated = np.clip(both * validation // (held_out + validation), 1, validation)
        tested = np.minimum(held_out, both - validated)
    first_valid = ends - tested - validated
    return Places(first_valid, first_valid, validated, ends - tested, tested)


def _after(dataset: Dataset, held_out: int, validation: int, cut: Cut) -> Places:
    assert dataset.times is not None
    begins, ends = dataset.offsets[:-1], dataset.offsets[1:]
    first_valid, first_test = (begins + np.add.reduceat(dataset.times < moment, begins, dtype=np.int64) for moment in (cut.valid, cut.test))
    # A user's first item has no history to be asked after.
    valid_from, test_from = np.maximum(first_valid, begins + 1), np.maximum(first_test, begins + 1)
    validated, tested = np.clip(first_test - valid_from, 0, validation), np.clip(ends - test_from, 0, held_out)
    return Places(first_valid, valid_from, validated, test_from, tested)
