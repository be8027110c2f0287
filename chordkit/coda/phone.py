"""The phone's side of the flow as one: clicks, what it asks for, what it makes of the answer, and how it fares (docs/flow.md).

The reference of what an app does with the library. Numpy alone; what runs the backbone is given, the engine for instance.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from chordkit.coda.gate import Adopted, first_examined
from chordkit.coda.health import Counts, encode_health
from chordkit.coda.learning import Head, Lessons
from chordkit.coda.personal import PersonalOptions, personalise
from chordkit.coda.samples import Segments, decode_samples
from chordkit.coda.stream import Questions, Stream
from chordkit.errors import SampleError, StrategyError
from chordkit.quantization import MasterWeights, dequantize_table
from chordkit.signing import TrustedKeys, VerifyingKey
from chordkit.strategy import open_envelope

HINT_BYTES = 16


class Encoder(Protocol):
    """What runs the frozen backbone; ``chordkit.kernels.Engine`` is one."""

    max_length: int

    def adopt(self, strategy: bytes) -> None:
        """Make a strategy (its wire form) the one in use, or raise StrategyError and leave all as it is."""

    def hidden(self, history: np.ndarray) -> np.ndarray:
        """Hidden states float32 [n, dim] after histories int32 [n, length]."""


@dataclass(frozen=True, eq=False)
class Release:
    """What a phone has from its bundle, the same on all phones.

    Attributes:
        table: float32 [items + 1, dim], the item table.
        bias: float32 [items + 1], or None.
        fingerprint: of the master weights.
        counter: of the bundle.
        strategy: wire bytes of the strategy that is used until there is one for this user.
        keys: whose signatures the phone accepts.
        temperature: what scores are divided by before they become probabilities, fitted on the cloud.
        pools: of the profile.
    """

    table: np.ndarray
    bias: np.ndarray | None
    fingerprint: bytes
    counter: int
    strategy: bytes
    keys: TrustedKeys
    temperature: float
    pools: tuple[int, ...]

    @classmethod
    def of(
        cls, master: MasterWeights, strategy: bytes, keys: VerifyingKey, temperature: float, pools: tuple[int, ...], counter: int = 1
    ) -> "Release":
        """Of master weights and the strategy, wire bytes, that everybody starts with."""
        table = dequantize_table(master.embeddings["item_embedding"])
        bias = master.tensors.get("item_bias")
        return cls(table, bias, master.fingerprint, counter, strategy, TrustedKeys.of(keys), temperature, pools)

    @cached_property
    def head(self) -> Head:
        """What scores at the release's temperature, under no strategy yet."""
        bias = None if self.bias is None else (self.bias / self.temperature).astype(np.float32)
        return Head((self.table / self.temperature).astype(np.float32), bias, self.fingerprint)


@dataclass(frozen=True)
class Hint:
    """Which release the cloud would have the phone use: a fingerprint, 8 bytes, and a counter, 8 bytes."""

    fingerprint: bytes
    counter: int


@dataclass(frozen=True, eq=False)
class Request:
    """What leaves the phone.

    Attributes:
        fingerprint: of the phone's release.
        strategy: the profile float32 [len(pools) * dim + 1] that a strategy is wanted for; None = none is.
        samples: the profile that samples are wanted for, of the clicks that the gate does not examine; None = none are.
        count: how many samples.
    """

    fingerprint: bytes
    strategy: np.ndarray | None
    samples: np.ndarray | None
    count: int

    @property
    def bytes(self) -> int:
        """Of the profiles; what the transport adds is not counted."""
        return sum(int(profile.nbytes) for profile in (self.strategy, self.samples) if profile is not None)


@dataclass(frozen=True)
class Answer:
    """What comes to the phone: a signed envelope with a strategy, samples (``CHRS``), and which release to use."""

    hint: Hint
    envelope: bytes | None = None
    samples: bytes | None = None

    @property
    def bytes(self) -> int:
        """Of all three."""
        return HINT_BYTES + len(self.envelope or b"") + len(self.samples or b"")


@dataclass(frozen=True)
class Cadence:
    """When a phone does what.

    Attributes:
        personal: asks for a strategy of its own.
        learning: trains an adapter.
        refresh: new clicks after which it asks for a new strategy, and trains anew; with a history that is not so long yet it asks whenever
            that has doubled.
        samples: new clicks after which it asks for new samples.
        wanted: samples asked for.
        fewest: lessons below which it neither asks for samples nor trains; the gate lets nothing in with fewer.
        lessons: of its own clicks that it learns from, the newest.
    """

    personal: bool = True
    learning: bool = True
    refresh: int = 10
    samples: int = 50
    wanted: int = 200
    fewest: int = 13
    lessons: int = 100


class Phone:
    """One user's phone.

    Args:
        release: from the bundle.
        encoder: the engine, with the release's master; this phone adopts strategies in it. Several may share one in turns: see
            :meth:`wake`.
        cadence: when it does what.
        subject: whom envelopes must be for.
        learning: how it trains.

    Attributes:
        stream: the user's clicks.
        adopted: the adapter in use.
        outdated: the cloud named another release; nothing personal comes before it is installed.
        counts: since the last report.
    """

    def __init__(
        self,
        release: Release,
        encoder: Encoder,
        cadence: Cadence | None = None,
        *,
        subject: bytes = b"",
        learning: PersonalOptions | None = None,
    ) -> None:
        self.release, self.subject = release, subject
        self.cadence, self.learning = cadence or Cadence(), learning or PersonalOptions()
        self.stream, self.adopted, self.counts, self.outdated = Stream(len(release.table) - 1), Adopted(), Counts(), False
        self.encoder, self._serial, self._samples = encoder, 1, Segments([], [])
        # Clicks at the time of each.
        self._asked, self._fetched = self._due = 0.0, -math.inf
        self._trained = self._grown = self._unseen = -math.inf
        self._use(release.strategy)

    def _use(self, strategy: bytes) -> None:
        """Run under a strategy, for good: adapters of another one are forgotten."""
        self.encoder.adopt(strategy)
        self._strategy = strategy
        self._head = replace(self.release.head, strategy=hashlib.sha256(strategy).digest()[:8])
        if self.adopted.current is not None and self.adopted.current.strategy != self._head.strategy:
            self.adopted.forget()
        self._trained = -math.inf

    def wake(self) -> None:
        """Take the engine up again, after an app's start or after another phone of a simulation had it."""
        self.encoder.adopt(self._strategy)

    def click(self, item: int, *, hit: bool = False) -> None:
        """Take in a click; ``hit``: it was on something among the ten best."""
        kept = self.stream.add(item)
        self.counts = self.counts.plus(clicks=int(kept), hits=int(kept and hit), unknown=int(not kept))

    def scores(self, histories: np.ndarray) -> np.ndarray:
        """Scores float32 [n, items + 1] of the whole catalogue after histories int32 [n, length], at the release's temperature."""
        states, head, adapter = self.encoder.hidden(histories), self._head, self.adopted.current
        fixed = np.float32(0) if head.bias is None else head.bias
        if adapter is None:
            return np.asarray(states @ head.table.T + fixed)
        return np.asarray(adapter.states(states) @ head.table.T + (fixed + adapter.biases(np.arange(len(head.table)))))

    def request(self) -> Request | None:
        """What is to be asked now; None = nothing. Until :meth:`receive` has an answer the same is due, with newer profiles."""
        clicks, cadence, pools = self.stream.total, self.cadence, self.release.pools
        strategy = cadence.personal and clicks - self._asked >= min(cadence.refresh, max(1, self._asked))
        samples = self._lessons_there >= cadence.fewest and clicks - self._fetched >= cadence.samples
        if self.outdated or not (strategy or samples):
            return None
        self._due = (clicks if strategy else self._asked, clicks if samples else self._fetched)
        self.counts = self.counts.plus(requests=1)
        table, examined = self.release.table, self._lessons_there - first_examined(self._lessons_there)
        now = self.stream.profile(table, pools) if strategy else None
        earlier = self.stream.profile(table, pools, without=examined) if samples else None
        return Request(self.release.fingerprint, now, earlier, cadence.wanted)

    @property
    def _lessons_there(self) -> int:
        """What the phone can learn from, if it does."""
        return max(0, min(self.cadence.lessons, len(self.stream) - 1)) if self.cadence.learning else 0

    def receive(self, answer: Answer, now: int | None = None) -> None:
        """Adopt what an answer holds, each part if it passes its checks; what does not changes nothing, and is counted.

        Args:
            answer: of the cloud.
            now: seconds since 1970, for envelopes that are good for a time only.
        """
        self._asked, self._fetched = self._due
        self.outdated = answer.hint.counter > self.release.counter
        if answer.envelope is not None:
            try:
                bound: dict[str, Any] = {"fingerprint": self.release.fingerprint, "subject": self.subject}
                opened = open_envelope(answer.envelope, self.release.keys, minimum_serial=self._serial, now=now, **bound)
                self._use(opened.payload)
                self._serial = opened.serial + 1
                self._age(strategies=1)
            except StrategyError:
                self.counts = self.counts.plus(refused=1)
        if answer.samples is not None:
            try:
                self._samples = decode_samples(answer.samples, fingerprint=self.release.fingerprint, items=self.stream.items)
                self.counts = self.counts.plus(samples=1)
            except SampleError:
                self.counts = self.counts.plus(refused=1)

    def learn(self) -> None:
        """Judge the adapter in use by the clicks since it was trained, and train anew where there are enough; for idle moments."""
        clicks, cadence = self.stream.total, self.cadence
        if self._lessons_there < max(1, cadence.fewest) or clicks - self._trained < cadence.refresh:
            return
        own = self._lessons(self.stream.questions(cadence.lessons, self.encoder.max_length))
        self._review(own)
        self._trained = clicks
        adapter, report = personalise(self._head, own, self._outside(), self.learning)
        self.counts = self.counts.plus(trainings=1).at_least(milliseconds=round(report.milliseconds))
        if adapter is not None and self.adopted.offer(adapter, report.verdict):
            self._unseen = clicks
            self._age(adopted=1)

    def report(self) -> bytes:
        """How the phone fared since the last report: 32 bytes without content (:mod:`chordkit.coda.health`)."""
        told, self.counts = encode_health(self.counts, self.release.fingerprint), Counts()
        return told

    def forget(self) -> None:
        """Undo all that is personal: back to the release as it came, without clicks and samples."""
        self.adopted.forget()
        self.stream, self._samples = Stream(self.stream.items, self.stream.capacity), Segments([], [])
        self._asked, self._fetched = self._due = 0.0, -math.inf
        self._grown = -math.inf
        self._use(self.release.strategy)

    def _age(self, **counted: int) -> None:
        """Count something new, and how old what it replaces had grown."""
        clicks = self.stream.total
        old = 0 if math.isinf(self._grown) else clicks - int(self._grown)
        self.counts, self._grown = self.counts.plus(**counted).at_least(stale=old), clicks

    def _review(self, own: Lessons) -> None:
        """Undo the adapter in use where the clicks that it has not learned from speak against it."""
        before = self.adopted.current
        if before is not None:
            since = min(self.stream.total - int(self._unseen), len(own))
            self.adopted.review(self._head, own.take(np.arange(len(own) - since, len(own))), others=self.learning.others)
            self.counts = self.counts.plus(undone=int(self.adopted.current is not before))

    def _lessons(self, questions: Questions) -> Lessons:
        if not len(questions.targets):
            return Lessons(np.zeros((0, self._head.dim), np.float32), questions.targets, questions.seen)
        return Lessons(self.encoder.hidden(questions.histories), questions.targets, questions.seen)

    def _outside(self) -> Lessons:
        histories, targets = self._samples.windows(self.encoder.max_length)
        seen = self._samples.windows(max((len(each) for each in self._samples.histories), default=1))[0]
        return self._lessons(Questions(histories, targets, seen))
