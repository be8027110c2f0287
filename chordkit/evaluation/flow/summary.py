"""What a simulation says: means over users with intervals, differences paired over the same users, and what it weighed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from chordkit.coda.health import Fleet, fleet
from chordkit.data import Dataset
from chordkit.data.times import Clock, shown
from chordkit.estimate import Estimate
from chordkit.evaluation.flow.run import FlowOptions
from chordkit.evaluation.flow.simulation import CONDITIONS, DAY, TRAFFIC, Clicks, Course, clicks_after
from chordkit.evaluation.summary import plain
from chordkit.training import bootstrap

MEASURES = ("ndcg", "likelihood")
PAIRS = (("strategy", "nothing"), ("coda", "nothing"), ("both", "nothing"), ("both", "strategy"), ("both", "coda"))
AWAY = 7
"""Days after which somebody comes back from being away."""


@dataclass(frozen=True)
class Group:
    """Some of the clicks.

    Attributes:
        name: which.
        users: whose.
        clicks: how many.
        values: of each condition and measure: mean over users, whose own value is the mean over their clicks and the seeds.
        gains: of each pair "first - second" and measure, paired over the users.
    """

    name: str
    users: int
    clicks: int
    values: dict[str, dict[str, Estimate]]
    gains: dict[str, dict[str, Estimate]]


@dataclass(frozen=True)
class Days:
    """A span of days, from ``first`` to before ``last``, both counted from the start."""

    first: int
    last: int
    arrived: int
    group: Group


@dataclass(frozen=True)
class FlowSummary:
    """The result of a simulation.

    Attributes:
        dataset: its name.
        seeds: that it was run with.
        start: first day, as the data set's times are written.
        users: that were asked anything.
        known: of these, those that the phones knew before the start.
        visits: days of users on which they clicked.
        one_day: users who came on one day alone.
        groups: of clicks; the first is all of them.
        spans: of days.
        each_seed: all clicks, of one seed each: how much of a difference is the training's luck no interval over users says.
        traffic: mean bytes a user and day, by condition and kind.
        health: by condition, what all records say together, the first seed's.
        options: of the simulation, in short.
    """

    dataset: str
    seeds: tuple[int, ...]
    start: str
    users: int
    known: int
    visits: int
    one_day: int
    groups: tuple[Group, ...]
    spans: tuple[Days, ...]
    each_seed: tuple[Group, ...]
    traffic: dict[str, dict[str, float]]
    health: dict[str, Fleet | None]
    options: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The document ``flow.json``."""
        return {"format": "chordkit-flow", "version": 1, **plain(self)}


def summarise_flow(
    dataset: Dataset, options: FlowOptions, seeds: tuple[int, ...], found: Sequence[Mapping[str, Course]], span: int = 14
) -> FlowSummary:
    """All that is told of the courses ``found``, one mapping a seed; quality over time in spans of so many days."""
    start = options.first_day(dataset)
    asked = clicks_after(dataset, start)
    marks, everything = _marks(found), np.ones(len(asked.users), bool)
    assert dataset.times is not None
    arrival = (dataset.times[dataset.offsets[:-1]] - start) // DAY
    first = found[0]["nothing"]
    every = np.arange(dataset.users)
    visitors = np.isin(every, first.visitors)
    return FlowSummary(
        dataset=dataset.name,
        seeds=seeds,
        start=shown(start, Clock.EPOCH),
        users=len(np.unique(asked.users)),
        known=int((arrival[np.unique(asked.users)] < 0).sum()),
        visits=len(first.visitors),
        one_day=int((np.bincount(first.visitors, minlength=dataset.users)[visitors & (arrival >= 0)] == 1).sum()),
        groups=tuple(_group(name, asked, rows, marks) for name, rows in _parts(asked, arrival).items() if _users(asked, rows) > 1),
        each_seed=tuple(_group(f"seed {seed}", asked, everything, _marks([each])) for seed, each in zip(seeds, found, strict=True)),
        spans=tuple(_spans(asked, arrival, visitors, span, marks)),
        traffic={name: _traffic([each[name] for each in found]) for name in CONDITIONS},
        health={name: _health(first_seed) for name, first_seed in found[0].items()},
        options={
            "split_at": options.split_at,
            "architecture": options.architecture,
            "average_bits": options.personal.average_bits,
            "widths": list(options.personal.widths),
            "refresh": options.cadence.refresh,
            "samples": options.cadence.samples,
            "pool_days": options.pool_days,
            "k": options.pool.k,
        },
    )


def _marks(found: Sequence[Mapping[str, Course]]) -> dict[str, np.ndarray]:
    """Of each condition float64 [clicks, measures], the mean over seeds."""

    def mean(name: str, measure: str) -> np.ndarray:
        return np.asarray(np.mean([getattr(each[name], measure) for each in found], axis=0, dtype=np.float64))

    return {name: np.stack([mean(name, measure) for measure in MEASURES], axis=1) for name in CONDITIONS}


def _parts(asked: Clicks, arrival: np.ndarray) -> dict[str, np.ndarray]:
    known = arrival[asked.users] < 0
    edges = (1, 10, 50, 100)
    numbers = {
        f"clicks {low}-{high - 1}" if high else f"clicks {low}+": (asked.places >= low) & (asked.places < (high or np.inf))
        for low, high in zip(edges, (*edges[1:], 0), strict=True)
    }
    return {
        "all": np.ones(len(known), bool),
        "users known before the start": known,
        "users who arrived later": ~known,
        **numbers,
        "on the day of arrival": (asked.back == 0) & ~known,
        f"back after less than {AWAY} days": (asked.back > 0) & (asked.back < AWAY),
        f"back after {AWAY} days or more": asked.back >= AWAY,
    }


def _spans(asked: Clicks, arrival: np.ndarray, visitors: np.ndarray, span: int, marks: Mapping[str, np.ndarray]) -> Iterator[Days]:
    """What is left at the end, where it is less than half a span, belongs to the span before."""
    days = int(asked.days.max()) + 1
    edges = [span * number for number in range(max(1, int(days / span + 0.5)))] + [days]
    for begin, end in pairwise(edges):
        rows = (asked.days >= begin) & (asked.days < end)
        if _users(asked, rows) > 1:
            arrived = int(((arrival >= begin) & (arrival < end) & visitors).sum())
            yield Days(begin, end, arrived, _group(f"days {begin} to {end - 1}", asked, rows, marks))


def _users(asked: Clicks, rows: np.ndarray) -> int:
    return len(np.unique(asked.users[rows]))


def _group(name: str, asked: Clicks, rows: np.ndarray, marks: Mapping[str, np.ndarray]) -> Group:
    number = np.unique(asked.users[rows], return_inverse=True)[1]
    counts = np.bincount(number)

    def means(condition: str) -> np.ndarray:
        """[users, measures]"""
        return np.stack([np.bincount(number, column) / counts for column in marks[condition][rows].T], axis=1)

    own = {condition: means(condition) for condition in CONDITIONS}

    def estimates(values: np.ndarray) -> dict[str, Estimate]:
        return dict(zip(MEASURES, bootstrap(values), strict=True))

    gains = {f"{one} - {other}": estimates(own[one] - own[other]) for one, other in PAIRS}
    return Group(name, len(counts), int(rows.sum()), {condition: estimates(values) for condition, values in own.items()}, gains)


def _traffic(courses: Sequence[Course]) -> dict[str, float]:
    means = np.mean([each.traffic.mean(axis=0) for each in courses], axis=0)
    return dict(zip(TRAFFIC, means.tolist(), strict=True)) | {"up": float(means[:2].sum()), "down": float(means[2:].sum())}


def _health(course: Course) -> Fleet | None:
    told = fleet([record.tobytes() for record in course.health], least=1)
    return next(iter(told.values()), None)
