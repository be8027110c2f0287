"""The interleaved timer, over calls whose durations are known."""

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chordkit.runtime_bench.interleave import (
    FLUSH_BYTES,
    busy,
    calls_that_fill,
    fastest_call,
    interleave,
    last_processor,
    no_collection,
    one_processor,
    other_threads,
    read_over_caches,
)


def _walk(log: list[str], *names: str) -> list[Callable[[], object]]:
    """Calls that write their names down."""
    return [partial(log.append, name) for name in names]


def test_every_walk_has_one_block_a_round_in_an_order_drawn_anew() -> None:
    log: list[str] = []
    blocks = interleave([_walk(log, name) for name in "abc"], [2, 3, 1], 8, np.random.default_rng(0), warmup_calls=1)
    runs = [(name, len(list(calls))) for name, calls in groupby(log)]
    # Two neighbouring rounds may end and begin with the same walk, so rounds are cut by their number of calls.
    rounds = [log[start : start + 9] for start in range(0, len(log), 9)]
    assert len(rounds) == 8 and all(sorted(round_) == list("aaabbbbcc") for round_ in rounds)
    assert len(runs) <= 3 * 8 and all(len(list(groupby(round_))) == 3 for round_ in rounds)
    assert len({"".join(name for name, _ in groupby(round_)) for round_ in rounds}) > 1
    assert [[len(block.calls) for block in mine] for mine in blocks] == [[2] * 8, [3] * 8, [1] * 8]


def test_the_seed_decides_the_order() -> None:
    orders = []
    for seed in (0, 0, 1):
        log: list[str] = []
        interleave([_walk(log, name) for name in "abcdef"], [1] * 6, 4, np.random.default_rng(seed))
        orders.append(log)
    assert orders[0] == orders[1] != orders[2]


def test_a_walk_goes_on_where_its_last_block_ended_after_a_warm_up_over_the_calls_before() -> None:
    log: list[str] = []
    interleave([_walk(log, "x", "y", "z")], [2], 3, np.random.default_rng(0), warmup_calls=1)
    assert log == ["z", "x", "y", "y", "z", "x", "x", "y", "z"]


def test_times_are_those_of_the_calls_alone(clock: Any) -> None:
    slow = [partial(clock.work, us) for us in (300, 500)]
    fast = [partial(clock.work, 100)]
    blocks = interleave([slow, fast], [2, 4], 3, np.random.default_rng(0), warmup_calls=1, before_call=partial(clock.work, 7))
    assert all(block.calls.tolist() == [300, 500] for block in blocks[0])
    assert all(block.calls.tolist() == [100] * 4 for block in blocks[1])


def test_shares_of_the_processor_are_those_of_the_blocks(clock: Any) -> None:
    aside, threaded, idle = (partial(clock.work, 100, *shares) for shares in ((0.5,), (1.0, 0.25), (0.0,)))
    blocks = interleave([[aside], [threaded], [idle]], [5] * 3, 4, np.random.default_rng(0))
    assert [busy(mine) for mine in blocks] == [0.5, 1.0, 0.0]
    assert [other_threads(mine) for mine in blocks] == [0.0, 0.75, 0.0]


def test_what_comes_before_a_call_comes_before_every_timed_one() -> None:
    log: list[str] = []
    interleave([_walk(log, "x", "y")], [2], 2, np.random.default_rng(0), before_call=partial(log.append, "flush"))
    assert log == ["flush", "x", "flush", "y"] * 2


def test_the_caches_are_read_over_whole() -> None:
    assert read_over_caches()() == FLUSH_BYTES / 8  # a sum of ones reads each of them


def test_the_warm_up_lasts_for_its_time_and_its_calls_and_the_fastest_counts(clock: Any) -> None:
    durations = (300, 100, 200)
    walk = [partial(clock.work, us) for us in durations]
    assert fastest_call(walk, 2, 1.1) == 100
    assert clock.wall == 1_200_000  # two walks through: 1.2 ms are the first that reach 1.1 ms
    assert fastest_call(walk, 4, 0.0) == 100
    assert clock.wall == 1_200_000 + 900_000
    assert fastest_call(walk, 1, 0.0) == 300


def test_a_block_is_a_length_of_time_within_bounds() -> None:
    assert calls_that_fill(10.0, 100.0, 10, 5000) == 100
    assert calls_that_fill(10.0, 300.0, 3, 5000) == 33
    assert calls_that_fill(10.0, 5000.0, 10, 5000) == 10
    assert calls_that_fill(10.0, 0.0, 10, 5000) == 5000


def test_progress_tells_the_rounds() -> None:
    seen: list[tuple[str, int, int]] = []
    interleave([[int]], [1], 3, np.random.default_rng(0), progress=lambda *step: seen.append(step))
    assert seen == [("bench: interleaved rounds", done, 3) for done in (1, 2, 3)]


@pytest.mark.skipif(last_processor() is None, reason="this system does not pin")
def test_the_processor_and_the_threads_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(threads=5)
    torch.get_num_threads = lambda: torch.threads
    torch.set_num_threads = lambda count: setattr(torch, "threads", count)
    monkeypatch.setitem(sys.modules, "torch", torch)
    before = os.sched_getaffinity(0)
    cpu = last_processor()
    with pytest.raises(KeyError), one_processor(cpu):
        assert os.sched_getaffinity(0) == {cpu} and torch.threads == 1
        raise KeyError
    assert os.sched_getaffinity(0) == before and torch.threads == 5


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_collected_afterwards_if_it_was_before(collecting: bool) -> None:
    try:
        if not collecting:
            gc.disable()
        with no_collection():
            assert not gc.isenabled()
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
