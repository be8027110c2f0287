"""Where a split by time cuts: the two moments from which on interactions validate, and test."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.data.dataset import Dataset
from chordkit.data.times import Clock, clock_of, moment, shown
from chordkit.errors import DataError

_SHARE = re.compile(r"(\d+(?:\.\d*)?)\s*%")
_FORM = "give two of them, as 2015-01-01,2015-06-01, or two shares of the interactions, as 80%,90%"


@dataclass(frozen=True)
class Cut:
    """Times of a data set: what is before ``valid`` trains, what is before ``test`` validates, the rest tests."""

    valid: int
    test: int


def find_cut(dataset: Dataset, text: str) -> Cut:
    """What "2015-01-01,2015-06-01" or "80%,90%" mean in a data set.

    Each of the two is a date (UTC where it names no zone), a share of all interactions in the order of time, or, where the data set has the
    file's own count, a number of it. Interactions of one moment stay together.

    Raises:
        DataError: the data set has no times, the text is neither, or nothing lies before, between or behind the two.
    """
    if dataset.times is None:
        raise DataError(
            f"split_at: data set '{dataset.name}' has no times, only the order within each user; prepare it again from a file with times, "
            "or leave the option out"
        )
    parts = text.split(",")
    if len(parts) != 2:
        raise DataError(f"split_at: '{text[:60]}' is not two moments; {_FORM}")
    ordered = np.sort(dataset.times)
    cut = Cut(*(_moment(part.strip(), ordered, clock_of(dataset)) for part in parts))
    counts = np.diff([0, *np.searchsorted(ordered, [cut.valid, cut.test]), len(ordered)])
    if cut.valid >= cut.test or (counts == 0).any():
        clock = clock_of(dataset)
        raise DataError(
            f"split_at: '{text[:60]}' leaves {counts[0]:,} interactions to train, {max(0, counts[1]):,} to validate and {counts[2]:,} to "
            f"test; the first is of {shown(int(ordered[0]), clock)}, the last of {shown(int(ordered[-1]), clock)}: cut between them"
        )
    return cut


def cut_identity(dataset: Dataset, cut: Cut) -> dict[str, Any]:
    """What tells this cut through these times from every other, as JSON values: the fingerprint of a data set knows no times."""
    assert dataset.times is not None
    return {"valid": cut.valid, "test": cut.test, "times": hashlib.sha256(dataset.times.astype("<i8").tobytes()).hexdigest()[:16]}


def _moment(text: str, ordered: np.ndarray, clock: Clock) -> int:
    share = _SHARE.fullmatch(text)
    if share is not None:
        place = int(float(share[1]) * len(ordered) / 100)
        if not 0 < place < len(ordered):
            raise DataError(
                f"split_at: '{text[:20]}' of {len(ordered):,} interactions leave none on one side; give a share between 0 and 100 %"
            )
        return int(ordered[place])
    try:
        return moment(text, clock)
    except (ValueError, DataError) as error:
        raise DataError(f"split_at: {error}; {_FORM}") from None
