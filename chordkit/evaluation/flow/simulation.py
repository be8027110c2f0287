"""Days on real histories: every user's clicks in the order of time, asked of the phone before it sees them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from chordkit.coda.building import PoolOptions
from chordkit.coda.health import HEALTH_BYTES
from chordkit.coda.personal import PersonalOptions
from chordkit.coda.phone import HINT_BYTES, Cadence, Phone
from chordkit.coda.pool import source_name
from chordkit.data import Dataset, left_pad
from chordkit.evaluation.flow.cloud import Cloud
from chordkit.progress import Progress

DAY = 86_400_000_000
"""Microseconds."""
CONDITIONS = ("nothing", "strategy", "coda", "both")
TRAFFIC = ("profile", "health", "strategy", "samples", "hint")
"""What travels: the first two to the cloud, the others to the phone."""
TOP = 10


@dataclass(frozen=True, eq=False)
class Clicks:
    """What is asked in a simulation, the same under all conditions: a click that has one before it and came after the start.

    Attributes:
        users: int32 [n], index in the data set.
        places: int32 [n], clicks of the user before it.
        days: int32 [n], since the start.
        back: int32 [n], days that the user was away before the visit it belongs to, the last click of an earlier day; 0 in a first visit.
    """

    users: np.ndarray
    places: np.ndarray
    days: np.ndarray
    back: np.ndarray


@dataclass(frozen=True, eq=False)
class Course:
    """What came of one condition.

    Attributes:
        ndcg: float32 [n], NDCG@10 of each click, seen items not competing.
        likelihood: float32 [n], its log probability, nats.
        traffic: int64 [visits, 5], bytes of each user's each day, as :data:`TRAFFIC` names them.
        visitors: int32 [visits], whose.
        visited: int32 [visits], on which day.
        health: uint8 [visits, 32], the records as they were sent; none where nothing is.
    """

    ndcg: np.ndarray
    likelihood: np.ndarray
    traffic: np.ndarray
    visitors: np.ndarray
    visited: np.ndarray
    health: np.ndarray


def clicks_after(dataset: Dataset, start: int) -> Clicks:
    """The clicks that are asked, by user and then by time; ``start`` in the data set's microseconds."""
    assert dataset.times is not None
    users = np.repeat(np.arange(dataset.users, dtype=np.int32), dataset.lengths)
    places = (np.arange(dataset.interactions) - dataset.offsets[users]).astype(np.int32)
    day = (dataset.times - start) // DAY
    back = np.zeros(dataset.interactions, np.int32)
    for at in np.flatnonzero(places):
        fresh = day[at] != day[at - 1]
        back[at] = day[at] - day[at - 1] if fresh else back[at - 1]
    asked = (dataset.times >= start) & (places > 0)
    return Clicks(users[asked], places[asked], day[asked].astype(np.int32), back[asked])


def simulate(
    dataset: Dataset,
    start: int,
    clouds: tuple[Cloud, Cloud],
    cadence: Cadence,
    learning: PersonalOptions,
    pool: PoolOptions,
    pool_days: int,
    progress: Progress | None = None,
) -> dict[str, Course]:
    """All conditions over all days from ``start`` on.

    Users do not touch one another but through the pool, which is made anew every ``pool_days`` of all that came before: so one user after
    the other runs through a span of days, and the next span goes on with the phones as they were.

    Args:
        dataset: with times.
        start: microseconds.
        clouds: with strategies of one's own, and with one for all.
        cadence: of phones that do everything; conditions leave things out.
        learning: how phones train.
        pool: how pools are made.
        pool_days: days between two pools.
        progress: called with ("simulation", clicks done, all clicks).
    """
    asked = clicks_after(dataset, start)
    runs = {
        "nothing": _Run(clouds[1], replace(cadence, personal=False, learning=False), learning),
        "strategy": _Run(clouds[0], replace(cadence, personal=True, learning=False), learning),
        "coda": _Run(clouds[1], replace(cadence, personal=False, learning=True), learning),
        "both": _Run(clouds[0], replace(cadence, personal=True, learning=True), learning),
    }
    sequences, done, total = dataset.sequences, 0, 4 * len(asked.users)
    times = np.split(dataset.times, dataset.offsets[1:-1]) if dataset.times is not None else []
    for first in range(0, int(asked.days.max()) + 1, pool_days):
        begin, end = start + first * DAY, start + (first + pool_days) * DAY
        before = [sequence[: np.searchsorted(time, begin)] for sequence, time in zip(sequences, times, strict=True)]
        for cloud in clouds:
            cloud.rebuild(before, dataset.user_ids, pool)
        for name in CONDITIONS:
            for user, (sequence, time) in enumerate(zip(sequences, times, strict=True)):
                span = np.searchsorted(time, [begin, end])
                done += runs[name].visit(user, dataset.user_ids[user], sequence, time, span, start)
                if progress is not None:
                    progress("simulation", done, total)
    return {name: run.course(asked) for name, run in runs.items()}


class _Run:
    """One condition: the phones of all users."""

    def __init__(self, cloud: Cloud, cadence: Cadence, learning: PersonalOptions) -> None:
        self._cloud, self._cadence, self._learning = cloud, cadence, learning
        self._engine = cloud.engine()
        self._phones: dict[int, Phone] = {}
        self._marks: dict[tuple[int, int], tuple[float, float]] = {}
        self._visits: dict[tuple[int, int], tuple[np.ndarray, bytes]] = {}

    def visit(self, user: int, name: str, sequence: np.ndarray, times: np.ndarray, span: np.ndarray, start: int) -> int:
        """Run a user's phone through the clicks ``span`` of a sequence; how many of them were asked."""
        if span[0] == span[1]:
            return 0
        subject = source_name(name).to_bytes(8, "little")
        phone = self._phones.get(user)
        if phone is None:
            phone = self._phones[user] = Phone(self._cloud.release, self._engine, self._cadence, subject=subject, learning=self._learning)
            phone.stream.extend(sequence[: span[0]].tolist())
        phone.wake()
        for first, last, day in _moments(times, span, start):
            traffic = np.zeros(len(TRAFFIC), np.int64)
            ranks = self._ask(phone, user, sequence, first, last)
            for item, rank in zip(sequence[first:last].tolist(), ranks, strict=True):
                phone.click(item, hit=rank <= TOP)
            request = phone.request()
            if request is not None:
                answer = self._cloud.answer(request, name, subject)
                phone.receive(answer)
                traffic[0] += request.bytes
                traffic[2:] += len(answer.envelope or b""), len(answer.samples or b""), HINT_BYTES
            phone.learn()
            self._note(user, day, traffic, phone, last == span[1] or (times[last] - start) // DAY != day)
        return int(span[1] - max(1, span[0]))

    def _ask(self, phone: Phone, user: int, sequence: np.ndarray, first: int, last: int) -> list[int]:
        """Mark the clicks first .. last - 1, none of which the phone has had; their ranks. A user's first click is not asked for."""
        asked = range(max(1, first), last)
        ranks = [] if first else [TOP + 1]
        if not len(asked):
            return ranks
        length = phone.encoder.max_length
        scores = phone.scores(left_pad([sequence[max(0, at - length) : at] for at in asked], length)).astype(np.float64)
        scores[:, 0] = -np.inf
        for row, at in zip(scores, asked, strict=True):
            own = row[sequence[at]]
            row[sequence[:at]] = -np.inf
            row[sequence[at]] = own
            rank = int((~(row < own)).sum())
            likelihood = own - row.max() - np.log(np.exp(row - row.max()).sum())
            self._marks[user, at] = (1.0 / np.log2(rank + 1.0) if rank <= TOP else 0.0), float(likelihood)
            ranks.append(rank)
        return ranks

    def _note(self, user: int, day: int, traffic: np.ndarray, phone: Phone, over: bool) -> None:
        """Count what travelled; at the end of a day the phone tells how it fared, unless nothing ever leaves it."""
        before, health = self._visits.get((user, day), (np.zeros(len(TRAFFIC), np.int64), b""))
        traffic = before + traffic
        if over and (self._cadence.personal or self._cadence.learning):
            health = phone.report()
            traffic[1] += HEALTH_BYTES
        self._visits[user, day] = traffic, health

    def course(self, asked: Clicks) -> Course:
        """What was found, in the order of ``asked``."""
        marks = np.array([self._marks[key] for key in zip(asked.users.tolist(), asked.places.tolist(), strict=True)], np.float32)
        visits = sorted(self._visits)
        records = [np.frombuffer(self._visits[key][1], np.uint8) for key in visits if self._visits[key][1]]
        return Course(
            ndcg=marks[:, 0].copy(),
            likelihood=marks[:, 1].copy(),
            traffic=np.array([self._visits[key][0] for key in visits]),
            visitors=np.array([user for user, _ in visits], np.int32),
            visited=np.array([day for _, day in visits], np.int32),
            health=np.stack(records) if records else np.zeros((0, HEALTH_BYTES), np.uint8),
        )


def _moments(times: np.ndarray, span: np.ndarray, start: int) -> Iterator[tuple[int, int, int]]:
    """(first, last, day) of the clicks of one moment: what is asked for in it is there from the next one on."""
    edges = [int(span[0]), *(np.flatnonzero(np.diff(times[span[0] : span[1]])) + span[0] + 1).tolist(), int(span[1])]
    for first, last in pairwise(edges):
        yield first, last, int((times[first] - start) // DAY)
