"""The interleaved timer: everything that is compared takes turns on one processor, a short block at a time.

Machines drift: frequencies, neighbours, caches. Two runs one after the other compare two moments as much as two programs. Here
every walk has one block in each round, in an order drawn anew, so that a slow moment is shared, and a ratio is taken within its
round (:mod:`chordkit.runtime_bench.statistics`).
"""

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chordkit.progress import Progress

FLUSH_BYTES = 64 << 20
"""Read before a cold call; more than the last-level cache that one core of a phone or of a small server can fill."""

Walk = Sequence[Callable[[], object]]
"""The calls of one contender, made one after another and then from the start again: one call an input, bound before it is timed."""


@dataclass(frozen=True)
class Block:
    """One turn: us a call of each sample, the shares of the wall time that the process and its calling thread had the processor, and
    seconds from the first turn of all to this one."""

    calls: NDArray[np.float64]
    busy: float
    calling_thread: float
    at_s: float = 0.0


def last_processor() -> int | None:
    """The processor to measure on: the last it may use, as the first serve most interrupts; None = no choice here."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


@contextlib.contextmanager
def one_processor(cpu: int | None) -> Iterator[None]:
    """Stay on ``cpu``, with every thread that is started meanwhile, and let PyTorch use one thread; put back afterwards."""
    affinity = os.sched_getaffinity(0) if cpu is not None else None
    torch = sys.modules.get("torch")  # only when a contender has brought it: a phone has none
    threads = torch.get_num_threads() if torch is not None else None
    try:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if torch is not None:
            torch.set_num_threads(1)
        yield
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
        if torch is not None:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage now and not again before the end."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def fastest_call(walk: Walk, at_least: int, warmup_ms: float) -> float:
    """Warm ``walk`` up, for ``at_least`` calls and ``warmup_ms``; us of the fastest, because a neighbour slows down the others."""
    clock, start, fastest, done = time.perf_counter_ns, time.perf_counter_ns(), float("inf"), 0
    while done < at_least or clock() - start < warmup_ms * 1e6:
        call = walk[done % len(walk)]
        before = clock()
        call()
        fastest = min(fastest, clock() - before)
        done += 1
    return fastest / 1e3


def calls_that_fill(block_ms: float, call_us: float, at_least: int, at_most: int) -> int:
    """How many calls of ``call_us`` make a block of ``block_ms``, within the two bounds."""
    return int(min(at_most, max(at_least, block_ms * 1e3 / max(call_us, 1e-3))))


def interleave(
    walks: Sequence[Walk],
    calls: Sequence[int],
    rounds: int,
    generator: np.random.Generator,
    *,
    warmup_calls: int = 0,
    before_call: Callable[[], object] | None = None,
    vary: Sequence[Callable[[], object] | None] | None = None,
    batches: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[list[Block]]:
    """Time ``walks`` in turns.

    Args:
        walks: what is compared.
        calls: samples of each walk in a block.
        rounds: blocks of each walk.
        generator: draws the order of each round.
        warmup_calls: unmeasured calls at the start of each block, after another walk had the caches: those before its first, so that what
            keeps its last input is not asked for it again.
        before_call: made before every sample, outside its time; :func:`read_over_caches` makes calls cold.
        vary: for each walk what is made before every call, warm-up included and outside its time, where one call alone would be the same
            again each time; of a batch, before its first.
        batches: calls in a sample of each walk, which is their mean; None = one.
        progress: called with (phase, done, total).

    Returns:
        For each walk its blocks, one a round.
    """
    blocks: list[list[Block]] = [[] for _ in walks]
    batches = batches or [1] * len(walks)
    start = time.perf_counter_ns()
    for round_ in range(rounds):
        for index in generator.permutation(len(walks)):
            at_s = (time.perf_counter_ns() - start) / 1e9
            before = [each for each in (vary[index] if vary else None, before_call) if each is not None]
            block = _block(walks[index], round_ * calls[index], calls[index], batches[index], warmup_calls, before)
            blocks[index].append(replace(block, at_s=at_s))
        if progress is not None:
            progress("bench: interleaved rounds", round_ + 1, rounds)
    return blocks


def read_over_caches() -> Callable[[], object]:
    """What to do before a call that shall find nothing in the caches: read :data:`FLUSH_BYTES` of something else."""
    return np.ones(FLUSH_BYTES // 8).sum


def busy(blocks: Sequence[Block]) -> float:
    """Share of its blocks' wall time that the process had the processor, in the median."""
    return float(np.median([block.busy for block in blocks]))


def other_threads(blocks: Sequence[Block]) -> float:
    """Share of the process's work that was done outside the calling thread, in the median."""
    working = busy(blocks)
    return max(0.0, 1 - float(np.median([block.calling_thread for block in blocks])) / working) if working > 0 else 0.0


def _block(walk: Walk, first: int, count: int, batch: int, warmup: int, before: Sequence[Callable[[], object]]) -> Block:
    for index in range(first * batch - warmup, first * batch):
        for prepare in before:
            prepare()
        walk[index % len(walk)]()
    clock, times = time.perf_counter_ns, np.empty(count, np.int64)
    thread, process, wall = time.thread_time_ns(), time.process_time_ns(), clock()
    for index in range(count):
        for prepare in before:
            prepare()
        if batch == 1:  # the usual case without a loop in its time
            call = walk[(first + index) % len(walk)]
            start = clock()
            call()
            times[index] = clock() - start
        else:
            chosen = [walk[((first + index) * batch + each) % len(walk)] for each in range(batch)]
            start = clock()
            for call in chosen:
                call()
            times[index] = clock() - start
    wall = max(1, clock() - wall)
    return Block(times / 1e3 / batch, (time.process_time_ns() - process) / wall, (time.thread_time_ns() - thread) / wall)
