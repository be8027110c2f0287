"""Splits, the last items of every user held out or all that comes after a moment, and the windows a backbone is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.data.cut import find_cut
from chordkit.data.dataset import Dataset
from chordkit.data.places import places_of, places_told
from chordkit.errors import DataError


@dataclass(frozen=True, eq=False)
class SplitPart:
    """Questions for a recommender: "after this history, which item came next?" A user may have several.

    Attributes:
        histories: int32 [rows, max_length], the most recent items before the target, left padded with 0.
        targets: int32 [rows], the item that came next.
        users: int32 [rows], index of the user that each row belongs to; rows are ordered by user, then by time.
        flat: int32 [interactions], the data set's own array.
        starts: int64 [rows]; ``flat[starts[r]:stops[r]]`` is everything before row r's target, however long.
        stops: int64 [rows].
    """

    histories: np.ndarray
    targets: np.ndarray
    users: np.ndarray
    flat: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def first_rows(self) -> np.ndarray:
        """int64 [users]: of each user that has rows the first one."""
        return np.unique(self.users, return_index=True)[1]

    def full_history(self, row: int) -> np.ndarray:
        """Every item before the target of ``row``, also those that no longer fit in ``histories`` (for masking seen items)."""
        return self.flat[self.starts[row] : self.stops[row]]

    def recent(self, length: int) -> np.ndarray:
        """int32 [rows, length]: the last ``length`` items before every target, left padded with 0 (for profiles, which may look back
        farther than ``histories``)."""
        return _gather(self.flat, self.starts, self.stops, length)

    def past(self, rows: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row among ``rows``, item) pairs, int64 and int32, of everything before the rows' targets."""
        starts, lengths = self.starts[rows], self.stops[rows] - self.starts[rows]
        row = np.repeat(np.arange(len(lengths)), lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return row, self.flat[starts[row] + within]

    def seen(self, rows: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`past`, but for the targets themselves: what does not compete when seen items are masked."""
        row, items = self.past(rows)
        other = items != self.targets[rows][row]
        return row[other], items[other]

    def of_users(self, users: np.ndarray) -> "SplitPart":
        """The rows of the users with these indices, in the order of this part."""
        kept = np.isin(self.users, users)
        return SplitPart(self.histories[kept], self.targets[kept], self.users[kept], self.flat, self.starts[kept], self.stops[kept])


@dataclass(frozen=True, eq=False)
class Split:
    """What is learned from, what decides when to stop, and what is reported.

    Attributes:
        train: one int32 sequence per user (views), empty for a user who came later than the moment from which on items validate.
        valid: up to ``validation`` rows per user.
        test: up to ``held_out`` rows per user; a row's history holds all items before its target, those that validate included.
        items: size of the catalogue, padding not counted.
        max_length: width of ``histories``.
    """

    train: list[np.ndarray]
    valid: SplitPart
    test: SplitPart
    items: int
    max_length: int


def split(dataset: Dataset, max_length: int = 50, held_out: int = 1, validation: int = 1, at: str | None = None) -> Split:
    """Hold out the last interactions of every user: up to ``held_out`` test items, and before them up to ``validation``. Or, with ``at``,
    what came after a moment.

    With ``held_out=1`` this is leave-one-out: last item = test, last but one = validation, the rest = training. A larger
    value keeps the last ``held_out`` items as test targets (fewer for a user who would otherwise have nothing left to train
    on), which shrinks the noise of a metric where users are few. With ``validation`` above 1 at most half of a user's items are
    held out.

    With ``at``, two moments as in :func:`chordkit.data.cut.find_cut` ("2015-01-01,2015-06-01", "80%,90%"), all that came before the first
    is for training; of what came between the two each user's first ``validation`` items validate, and of the rest the first ``held_out``
    test. Nothing is trained on that came later than what it is asked. A user may have nothing to train on, or no rows; the first item of
    a user is never asked for, because nothing lies before it.

    Raises:
        DataError: ``max_length`` is below 1, ``held_out`` or ``validation`` is not in 1..5, or ``at`` cannot be done: no times, or a part
            without any row.
    """
    if max_length < 1:
        raise DataError(f"max_length must be at least 1, not {max_length}")
    places = places_of(dataset, held_out, validation, None if at is None else find_cut(dataset, at))
    for what, rows in (("validate", places.validated), ("test", places.tested)):
        if not rows.any():
            raise DataError(f"split_at: '{at}': no user has an item to {what} with another one before it; cut at other moments")
    return Split(
        train=[dataset.flat[start:stop] for start, stop in zip(dataset.offsets[:-1], places.train_until, strict=True)],
        valid=_run_of_each(dataset, places.valid_from, places.validated, max_length),
        test=_run_of_each(dataset, places.test_from, places.tested, max_length),
        items=dataset.items,
        max_length=max_length,
    )


def learned_of(dataset: Dataset, identity: Any, part: SplitPart) -> int | None:
    """How many targets of ``part`` a model has learned from that was trained on the split ``identity``, which
    :func:`split_identity` told of; None where that is of other data, or none."""
    trained = places_told(dataset, identity)
    return None if trained is None else int((part.stops < trained.train_until[part.users]).sum())


def _run_of_each(dataset: Dataset, first: np.ndarray, count: np.ndarray, max_length: int) -> SplitPart:
    """The rows whose targets are, for every user, the ``count`` items from position ``first`` of the flat array on."""
    rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    users = np.repeat(np.arange(dataset.users), count)
    return _part(dataset, users, first[users] + rank, max_length)


def _part(dataset: Dataset, users: np.ndarray, positions: np.ndarray, max_length: int) -> SplitPart:
    """The rows whose targets sit at ``positions`` of the flat array."""
    starts = dataset.offsets[:-1][users]
    histories = _gather(dataset.flat, starts, positions, max_length)
    return SplitPart(histories, dataset.flat[positions], users.astype(np.int32), dataset.flat, starts, positions)


def _gather(flat: np.ndarray, starts: np.ndarray, stops: np.ndarray, width: int) -> np.ndarray:
    """int32 [rows, width]: the last ``width`` entries of every ``flat[start:stop]``, left padded with 0."""
    index = stops[:, None] + np.arange(-width, 0)
    inside = index >= starts[:, None]
    return np.where(inside, flat[np.where(inside, index, 0)], 0).astype(np.int32)


def windows(sequences: Sequence[np.ndarray], max_length: int, stride: int) -> np.ndarray:
    """Cut training windows: int32 [n, max_length + 1], left padded with 0.

    Column t predicts column t + 1, so ``[:, :-1]`` is the input and ``[:, 1:]`` the targets. The first window of a sequence
    ends at its newest item and each further one ``stride`` items earlier, until the oldest item has been covered; every
    transition is in at least one window when ``stride <= max_length``. A sequence of one item has nothing to predict and gives none.

    Raises:
        DataError: ``max_length`` or ``stride`` is below 1, ``stride`` exceeds ``max_length`` (transitions would be skipped), or no
            sequence has two items.
    """
    if max_length < 1 or not 1 <= stride <= max_length:
        raise DataError(f"windows need max_length >= 1 and 1 <= stride <= max_length, not max_length={max_length}, stride={stride}")
    kept = [np.asarray(sequence, np.int32) for sequence in sequences if len(sequence) > 1]
    if not kept:
        raise DataError("no user has two interactions left to train on; use a data set with longer sequences")
    lengths = np.array([len(sequence) for sequence in kept], np.int64)
    starts = np.cumsum(lengths) - lengths
    count = 1 + np.maximum(0, -(-(lengths - max_length - 1) // stride))
    owner = np.repeat(np.arange(len(kept)), count)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    stops = starts[owner] + lengths[owner] - rank * stride
    return _gather(np.concatenate(kept), starts[owner], stops, max_length + 1)
