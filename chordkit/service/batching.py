"""Requests that are computed together: as many as arrive in a millisecond or while others are computed, and never more than can wait."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

_MEMORY = 0.8
"""How much each batch leaves of what those before it say of the cost of a request."""


class Busy(Exception):
    """A request that would not be answered in time.

    Attributes:
        wait_s: after which it may be worth asking again.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__("busy")
        self.wait_s = wait_s

    @property
    def retry_after(self) -> str:
        """Whole seconds, 1 or more."""
        return str(max(1, math.ceil(self.wait_s)))


@dataclass(slots=True)
class _Waiting:
    group: Hashable
    request: Any
    arrival: float
    deadline: float
    future: asyncio.Future[Any]


class Batcher:
    """A bounded queue in front of a function that answers many requests at once, on the event loop.

    The function takes milliseconds: a thread would cost more than it brings. While it runs, further requests gather in their sockets, so
    that batches grow with the load.

    Args:
        answer: (group, requests of it) -> an answer each; what it raises, all of them get.
        room: requests that may wait.
        batch: requests of a batch at most.
        linger_s: how long the first of a batch waits for others.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        answer: Callable[[Any, list[Any]], list[Any]],
        *,
        room: int,
        batch: int,
        linger_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answer, self._room, self._batch, self._linger_s, self._now = answer, room, batch, linger_s, now
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.Handle | None = None
        self._full = False
        self._spent_s, self._answered = 0.0, 0.0
        self._planned, self._late_s, self._took_s = 0.0, 0.0, 0.0

    @property
    def cost_s(self) -> float:
        """What a request of the last batches took, from when the first of its batch arrived; 0 before there was any."""
        return self._spent_s / self._answered if self._answered else 0.0

    @property
    def _turn_s(self) -> float:
        """A turn of the loop: how late the last batch began, and what it took. As long may a request have stood in its socket."""
        return self._late_s + self._took_s

    def ask(self, group: Hashable, request: Any, deadline: float) -> asyncio.Future[Any]:
        """The answer to come.

        Args:
            group: what the requests of one call have in common.
            request: what is asked.
            deadline: on the clock; the answer is there before, or :class:`Busy` is.

        Raises:
            Busy: the queue is full, or what is in it takes longer than there is time.
        """
        ahead, now = len(self._waiting), self._now()
        wait_s = (ahead + 1) * self.cost_s
        # The first one always gets in, and is judged when its turn comes: an estimate that lets nobody in would never be corrected.
        if ahead >= self._room or (ahead and now + wait_s + self._turn_s > deadline):
            raise Busy(wait_s)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(_Waiting(group, request, now, deadline, future))
        if self._timer is None:
            self._planned = now + self._linger_s
            self._timer = loop.call_later(self._linger_s, self._flush)
        if ahead + 1 >= self._batch and not self._full:
            self._full, self._planned = True, now
            self._timer.cancel()
            self._timer = loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        begun = self._now()
        self._late_s = max(0.0, begun - self._planned)
        taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        ready = begun + len(taken) * self.cost_s + self._turn_s
        groups: dict[Hashable, list[_Waiting]] = {}
        for each in taken:
            if each.future.done():  # whoever asked has gone
                continue
            if each.deadline < ready:
                each.future.set_exception(Busy(ready - begun))
            else:
                groups.setdefault(each.group, []).append(each)
        for group, members in groups.items():
            self._answer_group(group, members)
        answered = sum(map(len, groups.values()))
        lingered = 0.0 if self._full else self._linger_s
        self._spent_s *= _MEMORY
        self._answered *= _MEMORY
        if answered:
            self._spent_s += max(self._now() - taken[0].arrival - lingered, self._now() - begun)
            self._answered += answered
        else:
            self._spent_s *= _MEMORY  # refused for a cost that may be no more
        self._full, self._planned = len(self._waiting) > 0, self._now()
        self._took_s = self._planned - begun
        self._timer = asyncio.get_running_loop().call_soon(self._flush) if self._waiting else None

    def _answer_group(self, group: Hashable, members: list[_Waiting]) -> None:
        try:
            answers = self._answer(group, [each.request for each in members])
        except Exception as error:
            for each in members:
                each.future.set_exception(error)
            return
        for each, answer in zip(members, answers, strict=True):
            each.future.set_result(answer)
