"""What one process of a service holds: models, tokens, the key, the queues; and how they are looked at again while it runs."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chordkit.errors import ChordkitError
from chordkit.service import diary
from chordkit.service.batching import Batcher, Busy
from chordkit.service.catalogue import Catalogue
from chordkit.service.metrics import Metrics
from chordkit.service.model import Model
from chordkit.service.reports import Reports
from chordkit.service.settings import Settings
from chordkit.service.tokens import Tokens
from chordkit.signing import load_private_key
from chordkit.strategy import seal


@dataclass(frozen=True, slots=True, eq=False)
class StrategyQuestion:
    """What one strategy is made from, beside its model and budget."""

    profile: np.ndarray
    sealed: bool
    serial: int
    subject: bytes


@dataclass(frozen=True, slots=True, eq=False)
class SamplesQuestion:
    """What samples are found by."""

    model: Model
    profile: np.ndarray
    count: int
    most_bytes: int


class State:
    """Everything behind the routes.

    Raises:
        InputError: no model can be read, or the key or the tokens cannot, or there is no registry where the channel is said to be.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(1)
        self.settings = settings
        self.metrics = Metrics()
        self.key = None if settings.key is None else load_private_key(settings.key)
        self.catalogue = Catalogue(settings.models, self.tell)
        self.catalogue.refresh()
        self._tokens_signature = _signature(settings.tokens)
        self.tokens = None if settings.tokens is None else Tokens(settings.tokens)
        self.reports = None if settings.channel is None else Reports(settings.channel, settings.refresh_s, self.tell, self.metrics)
        self.draining = False
        self.batcher = Batcher(self._strategies, room=settings.queue, batch=settings.batch, linger_s=settings.linger_ms / 1000)
        self._matching: ThreadPoolExecutor | None = None
        self._samples_waiting = 0
        self._samples_cost = 0.0

    def tell(self, event: str, sentence: str) -> None:
        """Write an event down, and count it."""
        diary.tell(event, sentence)
        self.metrics.event(event)

    # --- answers ------------------------------------------------------------------------------------------------------------------

    def _strategies(self, group: tuple[Model, float | None], questions: list[StrategyQuestion]) -> list[bytes]:
        begun = time.perf_counter()
        model, bits = group
        made = model.strategies(np.stack([each.profile for each in questions]), model.budget(bits))
        answers = []
        for question, wire in zip(questions, made, strict=True):
            if question.sealed:
                assert self.key is not None
                answers.append(seal(wire, serial=question.serial, signing_key=self.key, subject=question.subject))
            else:
                answers.append(wire)
        self.metrics.batch(len(questions), time.perf_counter() - begun)
        return answers

    async def samples(self, question: SamplesQuestion, deadline: float) -> bytes:
        """The samples most like a profile, found in a thread of its own, one request after the other.

        Raises:
            Busy: too many wait already, or it would not be there in time.
            SampleError: the pool has none.
        """
        wait_s = (self._samples_waiting + 1) * self._samples_cost
        full = self._samples_waiting >= self.settings.samples_queue
        if full or (self._samples_waiting and time.monotonic() + wait_s > deadline):
            raise Busy(wait_s)
        if self._matching is None:
            self._matching = ThreadPoolExecutor(1, "matching")
        self._samples_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._matching, self._match, question, deadline)
        finally:
            self._samples_waiting -= 1

    def _match(self, question: SamplesQuestion, deadline: float) -> bytes:
        begun = time.monotonic()
        if begun > deadline:
            raise Busy(self._samples_cost)
        matcher = question.model.matcher
        assert matcher is not None
        answer = matcher.answer(question.profile, question.count, most_bytes=question.most_bytes)
        cost = time.monotonic() - begun
        self._samples_cost = cost if not self._samples_cost else 0.8 * self._samples_cost + 0.2 * cost
        return answer.data

    # --- looking again ------------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look at models and tokens again, for ever."""
        while True:
            await asyncio.sleep(self.settings.refresh_s)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception as error:  # whatever it is: the next look may find what this one did not
                self.tell("refresh failed", f"{type(error).__name__}: {error}; what was served is served on")

    def refresh(self) -> None:
        """Look at models and tokens once; what cannot be read leaves what was there."""
        self.catalogue.refresh()
        signature = _signature(self.settings.tokens)
        if self.settings.tokens is None or signature == self._tokens_signature:
            return
        self._tokens_signature = signature
        try:
            self.tokens = Tokens(self.settings.tokens)
        except (ChordkitError, OSError) as error:
            self.tell("tokens refused", f"{error}; those from before stay good")
        else:
            self.tell("tokens read", str(self.settings.tokens))

    def close(self) -> None:
        """End the thread; it comes back with the next request."""
        if self._matching is not None:
            self._matching.shutdown()
            self._matching = None


def _signature(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
