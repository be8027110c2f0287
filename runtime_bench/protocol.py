"""The host protocol: all contenders in one process, one thread, one processor, in interleaved blocks.

Machines drift: frequencies, neighbours, caches. Two runs one after the other compare two moments as much as two
artifacts. Here every contender has one short block in each round, in an order drawn anew, so that a slow moment is
shared, and a ratio is taken within its round. docs/benchmarking.md tells what each number means.
"""

import contextlib
import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, DeviceError
from chordkit.estimate import Estimate
from chordkit.export.parity import Ids, Runner
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.isolated import measure_isolated
from chordkit.runtime_bench.results import BenchReport, Contention, Isolated, Result, Settings
from chordkit.runtime_bench.statistics import paired_ratio, spread_reasons, summarise

_MAX_STEAL = 0.02
_MAX_CALLS = 5000


@dataclass(frozen=True)
class _BlockTimes:
    """One block: us per call, and the shares of its wall time that the process and its calling thread ran."""

    calls: NDArray[np.float64]
    busy: float
    calling_thread: float


def run_host(
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings | None = None,
    *,
    baseline: str | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure ``contenders`` on this machine.

    Args:
        contenders: the artifacts, and eager PyTorch beside them.
        histories: int32 ``[n, length]``, real ones, padded as they come; every contender walks through them in the
            same order.
        candidates: int32 ``[n, candidates]``.
        settings: the protocol; None = the defaults.
        baseline: name of the contender that ratios are taken against; None = no ratios.
        progress: called with (phase, done, total).

    Raises:
        DeviceError: a contender cannot be loaded, or ``baseline`` is none of them.
        CheckFailed: a contender gives scores of a wrong shape or that are not finite; it is not worth timing.
    """
    settings = settings or Settings()
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names) or not names:
        raise DeviceError("a benchmark needs at least one contender, and each needs its own name")
    if baseline is not None and baseline not in names:
        raise DeviceError(f"the baseline {baseline!r} is none of the contenders: {', '.join(names)}")
    inputs = [(np.ascontiguousarray(h), np.ascontiguousarray(c)) for h, c in zip(histories, candidates, strict=True)]
    cpu = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    isolated = []
    for done, contender in enumerate(contenders):
        isolated.append(measure_isolated(contender, *inputs[0], settings.processes, cpu) if settings.processes else None)
        if progress is not None and settings.processes:
            progress("bench: fresh processes", done + 1, len(contenders))
    described = machine.describe(cpu)
    with _quiet(cpu):
        runners = [_load(contender, inputs[0]) for contender in contenders]
        stolen_before, ticks_before = machine.steal_ticks(cpu)
        blocks = _rounds(runners, inputs, settings, progress)
        stolen, ticks = machine.steal_ticks(cpu)
    steal = (stolen - stolen_before) / max(1, ticks - ticks_before)
    base = None if baseline is None else blocks[names.index(baseline)]
    results = tuple(
        _result(contender, mine, base, alone, settings, steal) for contender, mine, alone in zip(contenders, blocks, isolated, strict=True)
    )
    reasons = tuple(f"{result.name}: {reason}" for result in results for reason in result.reasons)
    return BenchReport(
        device="host",
        machine=described,
        settings=settings,
        baseline=baseline,
        histories=len(inputs),
        candidates=candidates.shape[1],
        steal=steal,
        results=results,
        comparable=not reasons,
        reasons=reasons,
    )


@contextlib.contextmanager
def _quiet(cpu: int | None) -> Iterator[None]:
    """One processor, one thread, no garbage collection; everything is put back afterwards."""
    affinity = os.sched_getaffinity(0) if cpu is not None else None
    torch = sys.modules.get("torch")  # only when a contender has brought it: a phone has none
    threads = torch.get_num_threads() if torch is not None else None
    collecting = gc.isenabled()
    try:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if torch is not None:
            torch.set_num_threads(1)
        gc.collect()
        gc.disable()
        yield
    finally:
        if collecting:
            gc.enable()
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
        if torch is not None:
            torch.set_num_threads(threads)


def _load(contender: Contender, example: tuple[Ids, Ids]) -> Runner:
    runner = contender.spec.create()
    scores = np.asarray(runner.scores(*example))
    if scores.shape != example[1].shape or not np.isfinite(scores).all():
        raise CheckFailed(
            f"{contender.name}: the scores are not {example[1].size} finite numbers, so it is not worth timing; run `chordkit validate`"
        )
    return runner


def _rounds(
    runners: Sequence[Runner], inputs: Sequence[tuple[Ids, Ids]], settings: Settings, progress: Progress | None
) -> list[list[_BlockTimes]]:
    """Blocks of each runner, one per round."""
    calls = [_calls_per_block(runner, inputs, settings) for runner in runners]
    generator = np.random.default_rng(settings.seed)
    blocks: list[list[_BlockTimes]] = [[] for _ in runners]
    for round_ in range(settings.rounds):
        for index in generator.permutation(len(runners)):
            blocks[index].append(_block(runners[index], inputs, calls[index], settings.warmup_calls, round_ * calls[index]))
        if progress is not None:
            progress("bench: interleaved rounds", round_ + 1, settings.rounds)
    return blocks


def _calls_per_block(runner: Runner, inputs: Sequence[tuple[Ids, Ids]], settings: Settings) -> int:
    """Warm ``runner`` up, and from its pace take the calls that fill a block."""
    fastest, calls, start = float("inf"), 0, time.perf_counter()
    while calls < settings.min_calls or time.perf_counter() - start < settings.warmup_ms / 1e3:
        history, ids = inputs[calls % len(inputs)]
        before = time.perf_counter()
        runner.scores(history, ids)
        fastest = min(fastest, time.perf_counter() - before)
        calls += 1
    return int(min(_MAX_CALLS, max(settings.min_calls, settings.block_ms / 1e3 / max(fastest, 1e-9))))


def _block(runner: Runner, inputs: Sequence[tuple[Ids, Ids]], calls: int, warmup: int, first: int) -> _BlockTimes:
    for index in range(warmup):
        runner.scores(*inputs[(first + index) % len(inputs)])
    clock, scores = time.perf_counter_ns, runner.scores
    times = np.empty(calls, np.int64)
    thread, process, wall = time.thread_time_ns(), time.process_time_ns(), clock()
    for index in range(calls):
        history, ids = inputs[(first + index) % len(inputs)]
        start = clock()
        scores(history, ids)
        times[index] = clock() - start
    wall = max(1, clock() - wall)
    return _BlockTimes(times / 1e3, (time.process_time_ns() - process) / wall, (time.thread_time_ns() - thread) / wall)


def _result(
    contender: Contender,
    blocks: Sequence[_BlockTimes],
    base: Sequence[_BlockTimes] | None,
    isolated: Isolated | None,
    settings: Settings,
    steal: float,
) -> Result:
    latency = summarise([block.calls for block in blocks], settings.seed)
    ratio: Estimate | None = None
    if base is not None:
        ratio = paired_ratio([block.calls for block in blocks], [block.calls for block in base], settings.seed)
    busy = float(np.median([block.busy for block in blocks]))
    contended = sum(block.busy < settings.min_busy for block in blocks)
    other = max(0.0, 1 - float(np.median([block.calling_thread for block in blocks])) / busy) if busy > 0 else 0.0
    reasons = spread_reasons(latency, settings.max_interval, settings.max_block_spread)
    if contended > settings.max_contended * len(blocks):
        reasons.append(f"in {contended} of {len(blocks)} blocks something else used the processor")
    if steal > _MAX_STEAL:
        reasons.append(f"the virtual machine's host took {steal:.1%} of the processor away")
    if other > 0.1:
        reasons.append(f"{other:.0%} of its work ran in other threads, although one was asked for")
    return Result(
        name=contender.name,
        target=contender.target,
        precision=contender.precision,
        file_bytes=contender.file_bytes,
        isolated=isolated,
        latency=latency,
        ratio=ratio,
        contention=Contention(busy=busy, contended_blocks=contended, other_threads=other),
        comparable=not reasons,
        reasons=tuple(reasons),
    )
