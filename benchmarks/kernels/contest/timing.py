"""Contenders in one process, one thread, one processor, in turns; percentiles and paired ratios.

Each round gives every contender a block: one call to bring its code and weights back into the caches after another's turn,
then some timed ones, at least three. The order is drawn anew in each round. Ratios are taken within a round, because machines drift, and
their interval is a bootstrap over rounds (``chordkit.runtime_bench.statistics``).
"""

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chordkit.estimate import Estimate
from chordkit.runtime_bench.results import Latency
from chordkit.runtime_bench.statistics import Block, paired_ratio, summarise

FLUSH_BYTES = 64 << 20
"""Read between cold calls; more than the last-level cache that one core of a phone or of a small server can fill."""
_BLOCK_US, _MIN_CALLS, _MAX_CALLS = 300, 3, 20
Call = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """What one contender took: ``blocks`` of us a call, one a round; ``cold`` in us; share of the work done in other threads."""

    blocks: list[Block]
    cold: Block
    other_threads: float

    @property
    def latency(self) -> Latency:
        """Percentiles of all calls."""
        return summarise(self.blocks)

    def ratio(self, other: "Times") -> Estimate:
        """How many times as long as ``other``, with its interval."""
        return paired_ratio(self.blocks, other.blocks)

    def cold_ratio(self, other: "Times") -> Estimate:
        """The same for calls that found nothing in the caches."""
        return paired_ratio([self.cold[i : i + 1] for i in range(len(self.cold))], [other.cold[i : i + 1] for i in range(len(other.cold))])


def pin() -> int | None:
    """Keep this process, and threads that runtimes start from now on, on one processor; gives its number."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@dataclass(frozen=True)
class Pace:
    """A first look, not interleaved: us of the fastest call, and which share of the processor time was spent in other threads."""

    us: float
    other_threads: float


def measure(calls: Sequence[Call], paces: Sequence[Pace], rounds: int, cold_rounds: int = 0, seed: int = 0) -> list[Times]:
    """Time ``calls`` in turns: ``rounds`` blocks each, then ``cold_rounds`` single calls each, every one after a flush of the caches."""
    with _no_collection():
        counts = [int(np.clip(_BLOCK_US / pace.us, _MIN_CALLS, _MAX_CALLS)) for pace in paces]
        generator = np.random.default_rng(seed)
        blocks: list[list[Block]] = [[] for _ in calls]
        for _ in range(rounds):
            for index in generator.permutation(len(calls)):
                blocks[index].append(_block(calls[index], counts[index]))
        cold = _cold(calls, cold_rounds, generator)
    return [Times(mine, cold[index], paces[index].other_threads) for index, mine in enumerate(blocks)]


def pace(call: Call) -> Pace:
    """Call until it is warm, for 50 ms and three calls at least; the fastest counts, because a neighbour slows down the others."""
    clock, start, fastest, calls = time.perf_counter_ns, time.perf_counter_ns(), float("inf"), 0
    thread, process = time.thread_time_ns(), time.process_time_ns()
    while calls < 3 or clock() - start < 50_000_000:
        before = clock()
        call()
        fastest = min(fastest, clock() - before)
        calls += 1
    thread, process = time.thread_time_ns() - thread, time.process_time_ns() - process
    return Pace(fastest / 1e3, max(0.0, 1 - thread / max(1, process)))


def _block(call: Call, count: int) -> Block:
    clock, times = time.perf_counter_ns, np.empty(count)
    call()
    for index in range(count):
        start = clock()
        call()
        times[index] = clock() - start
    return times / 1e3


def _cold(calls: Sequence[Call], rounds: int, generator: np.random.Generator) -> list[Block]:
    times = np.empty((len(calls), rounds))
    flush, clock = np.ones(FLUSH_BYTES // 8), time.perf_counter_ns
    for round_ in range(rounds):
        for index in generator.permutation(len(calls)):
            flush.sum()
            start = clock()
            calls[index]()
            times[index, round_] = clock() - start
    return list(times / 1e3)
