"""The queue in front of the hypernetwork: bounded, in batches, and nobody waits for an answer that comes too late."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

pytest.importorskip("fastapi")

from chordkit.service.batching import Batcher, Busy


class Clock:
    """A clock that a batch moves by what its requests take."""

    def __init__(self, each_s: float = 0.0) -> None:
        self.time, self.each_s = 100.0, each_s
        self.batches: list[tuple[Any, int]] = []

    def __call__(self) -> float:
        return self.time

    def answer(self, group: Any, requests: list[Any]) -> list[Any]:
        self.time += len(requests) * self.each_s
        self.batches.append((group, len(requests)))
        return [(group, request) for request in requests]


def _batcher(clock: Clock, **changes: Any) -> Batcher:
    return Batcher(clock.answer, **({"room": 100, "batch": 8, "linger_s": 0.0, "now": clock} | changes))


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_requests_of_one_moment_are_one_batch_by_group_and_each_gets_its_own_answer() -> None:
    clock = Clock()

    async def work() -> list[Any]:
        batcher = _batcher(clock)
        return await asyncio.gather(*[batcher.ask("ab"[number % 2], number, 200.0) for number in range(6)])

    assert _run(work()) == [("ab"[number % 2], number) for number in range(6)]
    assert clock.batches == [("a", 3), ("b", 3)]


def test_no_batch_is_larger_than_it_may_be_and_all_are_answered() -> None:
    clock = Clock()

    async def work() -> list[Any]:
        batcher = _batcher(clock, linger_s=5.0)  # a full batch does not wait for the end of that; what is left neither
        return await asyncio.gather(*[batcher.ask("a", number, 200.0) for number in range(21)])

    assert [number for _, number in _run(work())] == list(range(21))
    assert clock.batches == [("a", 8), ("a", 8), ("a", 5)]


def test_what_does_not_fit_the_queue_is_refused_and_the_rest_is_answered() -> None:
    clock = Clock()

    async def work() -> tuple[list[Any], int]:
        batcher = _batcher(clock, room=3)
        waiting = [batcher.ask("a", number, 200.0) for number in range(3)]
        refused = 0
        for _ in range(4):
            with pytest.raises(Busy):
                batcher.ask("a", 9, 200.0)
            refused += 1
        return await asyncio.gather(*waiting), refused

    assert _run(work()) == ([("a", 0), ("a", 1), ("a", 2)], 4)


def test_nobody_is_let_in_who_would_wait_too_long_and_the_answer_says_how_long() -> None:
    clock = Clock(each_s=1.0)

    async def work() -> None:
        batcher = _batcher(clock)
        await batcher.ask("a", 0, clock.time + 50)
        assert batcher.cost_s == pytest.approx(1.0)
        # Three to compute, and one second more that a request may have stood in its socket, as long as the last batch took.
        kept = [batcher.ask("a", number, clock.time + 4.5) for number in range(3)]
        with pytest.raises(Busy) as busy:
            batcher.ask("a", 3, clock.time + 4.5)
        assert busy.value.retry_after == "4"
        begun = clock.time
        await asyncio.gather(*kept)
        assert clock.time - begun <= 4.5

    _run(work())


def test_what_became_too_late_while_it_waited_is_refused_and_not_computed() -> None:
    clock = Clock(each_s=1.0)

    async def work() -> None:
        batcher = _batcher(clock, batch=1)
        early = batcher.ask("a", 0, clock.time + 50)
        late = batcher.ask("a", 1, clock.time + 0.5)  # nothing is known of the cost yet
        assert await early == ("a", 0)
        with pytest.raises(Busy):
            await late
        assert clock.batches == [("a", 1)]

    _run(work())


def test_a_deadline_counts_what_a_request_may_have_waited_unseen() -> None:
    clock = Clock(each_s=1.0)

    async def work() -> None:
        batcher = _batcher(clock)
        await asyncio.gather(*[batcher.ask("a", number, clock.time + 50) for number in range(2)])
        # One second to compute, and perhaps two in its socket, while those before were computed.
        with pytest.raises(Busy):
            await batcher.ask("a", 2, clock.time + 2.5)
        assert await batcher.ask("a", 3, clock.time + 3.5) == ("a", 3)

    _run(work())


def test_an_estimate_that_is_too_high_does_not_lock_everybody_out() -> None:
    clock = Clock(each_s=10.0)

    async def work() -> int:
        batcher = _batcher(clock)
        await batcher.ask("a", 0, clock.time + 50)
        clock.each_s = 0.001
        for attempt in range(100):
            try:
                await batcher.ask("a", attempt, clock.time + 0.1)
            except Busy:
                continue
            return attempt
        return 100

    assert 0 < _run(work()) < 50


def test_whoever_has_gone_costs_nothing() -> None:
    clock = Clock(each_s=1.0)

    async def work() -> None:
        batcher = _batcher(clock)
        gone, kept = batcher.ask("a", 0, 200.0), batcher.ask("a", 1, 200.0)
        gone.cancel()
        assert await kept == ("a", 1)
        assert clock.batches == [("a", 1)]

    _run(work())


def test_an_error_is_told_to_all_of_its_group_and_the_next_batch_goes_on() -> None:
    def answer(group: str, requests: list[Any]) -> list[Any]:
        if group == "bad":
            raise ValueError("broken")
        return requests

    async def work() -> list[Any]:
        batcher = Batcher(answer, room=9, batch=9, linger_s=0.0)
        first = [batcher.ask("bad", 0, 1e9), batcher.ask("good", 1, 1e9), batcher.ask("bad", 2, 1e9)]
        found = await asyncio.gather(*first, return_exceptions=True)
        return [*found, await batcher.ask("good", 3, 1e9)]

    broken, good, also, after = _run(work())
    assert isinstance(broken, ValueError) and broken is also and (good, after) == (1, 3)
