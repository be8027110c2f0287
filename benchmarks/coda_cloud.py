"""The cloud and the phones of benchmarks/coda.py: who knows what when, and what is sent.

A cloud has a backbone, trained on a part of the data, and a pool of samples; a phone has its user's history. All that a phone gets travels
as CHRS bytes and is decoded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import Backbone, default_config, from_master, make_master
from chordkit.coda.adapter import Adapter
from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.classifier import Border, describe, probabilities
from chordkit.coda.gate import first_examined
from chordkit.coda.learning import Head, Lessons
from chordkit.coda.matching import Matcher, pieces
from chordkit.coda.personal import PersonalOptions, fit_adapter
from chordkit.coda.pool import source_name
from chordkit.coda.profiles import directions, history_profile
from chordkit.coda.samples import decode_samples, encode_samples
from chordkit.data import Dataset, left_pad, split
from chordkit.hypernetwork.likelihood import best_temperature
from chordkit.quantization import MasterWeights
from chordkit.training import default_options, train_backbone

HELD_OUT, LOCAL, SAMPLES, MATCHED, A_SOURCE, SEEN = 5, 100, 200, 400, 25, 200
EVERYONES = 1000
LEAST = 20
"""Items of a user who takes part as a phone."""
DRAW = 20261126


@dataclass(frozen=True, eq=False)
class Sent:
    """Samples that a phone has got, and how many bytes they were."""

    lessons: Lessons
    size: int

    def take(self, rows: np.ndarray) -> Lessons:
        """The lessons with these numbers."""
        return self.lessons.take(np.sort(rows))


class Cloud:
    """A backbone as phones get it: int8 weights, at the temperature that suits its validation items.

    Args:
        known: what it learns from.
        at: see ``chordkit.data.split``; validation decides which epoch is kept, and the temperature.
    """

    def __init__(self, known: Dataset, seed: int, folder: Path, epochs: int) -> None:
        trained = train_backbone(
            known, default_config("sasrec", known.items), default_options("sasrec", seed=seed, epochs=epochs), folder,
            held_out=HELD_OUT, validation=HELD_OUT,
        )  # fmt: skip
        self.metrics = trained.metrics
        self.master: MasterWeights = make_master(trained.backbone)
        self.backbone: Backbone = from_master(self.master).eval()
        parts = split(known, self.backbone.config.max_length, HELD_OUT, HELD_OUT)
        with torch.no_grad():
            states = torch.cat([self.backbone.encode(rows) for rows in torch.from_numpy(parts.valid.histories).long().split(512)])
        self.temperature = best_temperature(self.backbone, states, parts.valid, masked=True)
        self.trained_on = parts.train
        self._states: dict[bytes, np.ndarray] = {}  # many phones get the same samples
        table, bias = self.backbone.item_embedding.weight.detach().numpy(), self.backbone.item_bias
        self.head = Head(
            (table / self.temperature).astype(np.float32),
            None if bias is None else (bias.detach().numpy() / self.temperature).astype(np.float32),
            self.master.fingerprint,
        )

    def lessons(self, pasts: Sequence[np.ndarray], targets: Sequence[int]) -> Lessons:
        """What the frozen encoder makes of each past, and the item that came then."""
        length = self.backbone.config.max_length
        windows = left_pad([past[-length:] for past in pasts], length)
        keys = [row.tobytes() for row in windows]
        fresh = list({key: row for row, key in enumerate(keys) if key not in self._states}.values())
        if fresh:
            with torch.no_grad():
                found = torch.cat([self.backbone.encode(part) for part in torch.from_numpy(windows[fresh]).long().split(512)]).numpy()
            self._states.update((keys[row], state) for row, state in zip(fresh, found, strict=True))
        states = np.stack([self._states[key] for key in keys])
        return Lessons(states, np.array(targets, np.int32), left_pad([past[-SEEN:] for past in pasts], SEEN))

    def received(self, data: bytes) -> Sent:
        """What a phone makes of wire bytes."""
        segments = decode_samples(data, fingerprint=self.master.fingerprint, items=self.master.items)
        windows, targets = segments.windows(self.backbone.config.max_length)
        return Sent(self.lessons([row[row > 0] for row in windows], targets.tolist()), len(data))


class Samples:
    """A pool that phones ask, with the cloud's model of it.

    Args:
        sequences: what the pool knows of each user by now.
        users: whose they are; a phone is never answered with its own.
    """

    def __init__(self, cloud: Cloud, sequences: Sequence[np.ndarray], users: Sequence[int]) -> None:
        self.cloud = cloud
        options = PoolOptions(samples=A_SOURCE)
        self.pool = build_pool(sequences, [str(user) for user in users], cloud.master, consent=EVERYBODY, options=options)
        self.matcher = Matcher(self.pool)
        self._owners = self.pool.segment_sources[self.pool.sample_segments]
        self._everyones: dict[str, Adapter] = {}

    def everyones(self, setting: PersonalOptions) -> Adapter:
        """One adapter for all, which has learned from 1,000 random samples."""
        key = repr(setting)
        if key not in self._everyones:
            rows = np.random.default_rng(DRAW).permutation(self.pool.samples)[:EVERYONES]
            found = pieces(self.pool, np.sort(rows), self.pool.context).windows(self.cloud.backbone.config.max_length)
            lessons = self.cloud.lessons([row[row > 0] for row in found[0]], found[1].tolist())
            self._everyones[key] = fit_adapter(self.cloud.head, lessons.take(np.zeros(0, np.int64)), lessons, setting)
        return self._everyones[key]

    def nearest(self, history: np.ndarray, user: int, count: int) -> Sent:
        """The answer to the profile of ``history``, within the bytes that an answer may have for 200 samples."""
        profile = history_profile(self.cloud.master, history, self.pool.pools)
        most = 3072 * -(-count // SAMPLES)
        return self.cloud.received(self.matcher.answer(profile, count, exclude=str(user), most_bytes=most).data)

    def random(self, user: int, count: int, generator: np.random.Generator) -> Sent:
        """Any samples of others; they share little and are more bytes for it, which is allowed them."""
        mine = np.flatnonzero(self.pool.source_names == source_name(str(user)))
        others = np.flatnonzero(~np.isin(self._owners, mine))
        return self._sent(np.sort(generator.choice(others, min(count, len(others)), replace=False)))

    def users(self, history: np.ndarray, user: int) -> list[Sent]:
        """The nearest users' samples, 200 in all: one answer for each, since an answer does not tell whose a piece is."""
        direction = directions(history_profile(self.cloud.master, history, self.pool.pools)[None], len(self.pool.pools))[0]
        near = self.matcher.nearest(direction, self.pool.samples, str(user))
        found = list(dict.fromkeys(self._owners[near].tolist()))[: SAMPLES // A_SOURCE]
        return [self._sent(np.flatnonzero(self._owners == each)) for each in found]

    def _sent(self, rows: np.ndarray) -> Sent:
        return self.cloud.received(encode_samples(pieces(self.pool, rows, self.pool.context), self.pool.fingerprint))


@dataclass(frozen=True, eq=False)
class Phone:
    """One user: own lessons in the order of time, the items to be tested on, and what the cloud sends.

    Attributes:
        history: everything before the day of training.
        local: lessons of its newest items.
        newer: lessons after that day, if any, and before the test items.
        samples: the pool of the day.
        learned: a pool of what the cloud's model has learned from, if that is another.
    """

    user: int
    cloud: Cloud
    history: np.ndarray
    local: Lessons
    newer: Lessons
    test: Lessons
    samples: Samples
    learned: Samples | None
    borders: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def inside(self, local: Lessons, border: Border) -> np.ndarray:
        """Of the matched samples, the probability to lie inside the border of the oldest of the user's lessons, ``local``."""
        key = len(local), repr(border)
        if key not in self.borders:
            head = self.cloud.head
            self.borders[key] = probabilities(describe(head, local), describe(head, self.matched.lessons), border)
        return self.borders[key]

    @property
    def asked(self) -> np.ndarray:
        """The history with which the phone asks: what is older than the gate's exam."""
        return self.history[: len(self.history) - len(self.local) + first_examined(len(self.local))]

    @cached_property
    def random(self) -> Sent:
        """200 samples of anybody."""
        return self.samples.random(self.user, SAMPLES, np.random.default_rng([DRAW, self.user]))

    @cached_property
    def matched(self) -> Sent:
        """The nearest 400."""
        return self.samples.nearest(self.asked, self.user, MATCHED)

    @cached_property
    def nearest(self) -> Sent:
        """The nearest 200."""
        return self.samples.nearest(self.asked, self.user, SAMPLES)

    @cached_property
    def nearest_learned(self) -> Sent:
        """The nearest 200 of what the cloud's model has learned from."""
        return (self.learned or self.samples).nearest(self.asked, self.user, SAMPLES)

    @cached_property
    def users(self) -> list[Sent]:
        """Of the nearest users."""
        return self.samples.users(self.asked, self.user)

    @cached_property
    def half(self) -> np.ndarray:
        """Numbers of a random half of the 400."""
        count = len(self.matched.lessons)
        return np.sort(np.random.default_rng([DRAW, self.user, 1]).choice(count, -(-count // 2), replace=False))


def make_phone(cloud: Cloud, user: int, sequence: np.ndarray, samples: Samples, learned: Samples | None = None, days: int = 0) -> Phone:
    """A user whose last items are the test, and who trains ``days`` items before them."""
    first = len(sequence) - HELD_OUT
    today = first - days
    begin = max(1, today - LOCAL)
    every = cloud.lessons([sequence[:place] for place in range(begin, len(sequence))], sequence[begin:].tolist())
    local, newer, test = (
        every.take(np.arange(start - begin, stop - begin)) for start, stop in ((begin, today), (today, first), (first, len(sequence)))
    )
    return Phone(user, cloud, sequence[:today], local, newer, test, samples, learned)
