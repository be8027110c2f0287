"""Two settings of benchmarks/coda.py: users whom the cloud's model never saw beside those it knows, and a model that is weeks old."""

from pathlib import Path

import numpy as np
from coda_cloud import DRAW, HELD_OUT, LEAST, Cloud, Phone, Samples, make_phone

from chordkit.data import Dataset
from chordkit.errors import DataError

PRIVATE_SHARE = 0.3
PAST, FIRST_RELEASE, A_RELEASE = 0.5, 14, 7
"""Share of the interactions, in time, that an old model has learned from; days from then to the first pool, and between two."""
_DAY = 86_400 * 1_000_000


class Fresh:
    """The cloud's model has learned from 70 % of the users, and the pool is of the same histories, all but their newest ten items."""

    def __init__(self, dataset: Dataset, seed: int, folder: Path, epochs: int) -> None:
        order = np.random.default_rng(DRAW).permutation(dataset.users)
        private = order[: int(PRIVATE_SHARE * dataset.users)]
        known = np.sort(order[len(private) :])
        self._sequences = dataset.sequences
        self.cloud = Cloud(
            Dataset.from_sequences(dataset.name, [self._sequences[user] for user in known], dataset.item_ids), seed, folder, epochs
        )
        self._samples = Samples(self.cloud, self.cloud.trained_on, known.tolist())
        shuffled = np.random.default_rng(DRAW + 1).permutation(known)
        long = dataset.lengths >= LEAST
        self.groups = {"private": private[long[private]], "known": shuffled[: len(private)][long[shuffled[: len(private)]]]}

    def phone(self, user: int, days: int = 0) -> Phone:
        """A user who trains ``days`` items before the test."""
        return make_phone(self.cloud, user, self._sequences[user], self._samples, days=days)


class Stale:
    """The cloud's model has learned from the first half of all interactions; phones train weeks later, and a new pool is made every week
    of the histories of those who clicked since. A phone gets samples of the last pool before its first test item."""

    def __init__(self, dataset: Dataset, seed: int, folder: Path, epochs: int) -> None:
        if dataset.times is None:
            raise DataError(f"data set '{dataset.name}' has no times; --stale needs them")
        moment = np.sort(dataset.times)[int(PAST * dataset.interactions)]
        self._sequences, self._times = dataset.sequences, np.split(dataset.times, dataset.offsets[1:-1])
        self._moment = moment
        before = np.array([int(np.searchsorted(times, moment)) for times in self._times])
        known = np.flatnonzero(before >= 3)
        past = [self._sequences[user][: before[user]] for user in known]
        self.cloud = Cloud(Dataset.from_sequences(dataset.name, past, dataset.item_ids), seed, folder, epochs)
        self._learned = Samples(self.cloud, self.cloud.trained_on, known.tolist())
        self._releases: dict[int, Samples] = {}
        self._day = np.array([self._times[user][-HELD_OUT] if len(self._times[user]) >= LEAST else 0 for user in range(dataset.users)])
        there = np.random.default_rng(DRAW).permutation(np.flatnonzero(self._day >= moment + FIRST_RELEASE * _DAY))
        self.groups = {"new": there[before[there] < 3], "known": there[before[there] >= 3]}

    def phone(self, user: int, days: int = 0) -> Phone:
        """A user who trains ``days`` items before the test."""
        week = int((self._day[user] - self._moment - FIRST_RELEASE * _DAY) // (A_RELEASE * _DAY))
        if week not in self._releases:
            self._releases[week] = self._release(self._moment + (FIRST_RELEASE + week * A_RELEASE) * _DAY)
        return make_phone(self.cloud, user, self._sequences[user], self._releases[week], self._learned, days)

    def _release(self, until: int) -> Samples:
        counts = [int(np.searchsorted(times, until)) for times in self._times]
        users = [user for user, count in enumerate(counts) if count and self._times[user][count - 1] > self._moment]
        return Samples(self.cloud, [self._sequences[user][: counts[user]] for user in users], users)
