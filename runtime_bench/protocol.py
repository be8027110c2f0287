"""The host protocol: all contenders in one process, one thread, one processor, in interleaved blocks.

docs/benchmarking.md tells what each number means.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from chordkit.errors import CheckFailed, DeviceError
from chordkit.estimate import Estimate
from chordkit.export.parity import Ids, Runner
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.interleave import (
    Block,
    busy,
    calls_that_fill,
    fastest_call,
    interleave,
    last_processor,
    no_collection,
    one_processor,
    other_threads,
)
from chordkit.runtime_bench.isolated import measure_isolated
from chordkit.runtime_bench.results import BenchReport, Contention, Isolated, Result, Settings
from chordkit.runtime_bench.statistics import paired_ratio, spread_reasons, summarise

HOST = "host"
_MAX_STEAL = 0.02
_MAX_CALLS = 5000


def run_host(
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings | None = None,
    *,
    baseline: str | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure ``contenders`` on this machine; arguments and errors are those of ``devices.device.Device.measure``."""
    settings = settings or Settings()
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names) or not names:
        raise DeviceError("a benchmark needs at least one contender, and each needs its own name")
    if baseline is not None and baseline not in names:
        raise DeviceError(f"the baseline {baseline!r} is none of the contenders: {', '.join(names)}")
    inputs = [(np.ascontiguousarray(h), np.ascontiguousarray(c)) for h, c in zip(histories, candidates, strict=True)]
    cpu = last_processor()
    isolated = []
    for done, contender in enumerate(contenders):
        isolated.append(measure_isolated(contender, *inputs[0], settings.processes, cpu) if settings.processes else None)
        if progress is not None and settings.processes:
            progress("bench: fresh processes", done + 1, len(contenders))
    described = machine.describe(cpu)
    with one_processor(cpu), no_collection():
        runners = [_load(contender, inputs[0]) for contender in contenders]
        stolen_before, ticks_before = machine.steal_ticks(cpu)
        blocks = _turns(runners, inputs, settings, progress)
        stolen, ticks = machine.steal_ticks(cpu)
    steal = (stolen - stolen_before) / max(1, ticks - ticks_before)
    base = None if baseline is None else blocks[names.index(baseline)]
    results = tuple(
        _result(contender, mine, base, alone, settings, steal) for contender, mine, alone in zip(contenders, blocks, isolated, strict=True)
    )
    reasons = tuple(f"{result.name}: {reason}" for result in results for reason in result.reasons)
    return BenchReport(
        device=HOST,
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


def _load(contender: Contender, example: tuple[Ids, Ids]) -> Runner:
    runner = contender.spec.create()
    scores = np.asarray(runner.scores(*example))
    if scores.shape != example[1].shape or not np.isfinite(scores).all():
        raise CheckFailed(
            f"{contender.name}: the scores are not {example[1].size} finite numbers, so it is not worth timing; run `chordkit validate`"
        )
    return runner


def _turns(
    runners: Sequence[Runner], inputs: Sequence[tuple[Ids, Ids]], settings: Settings, progress: Progress | None
) -> list[list[Block]]:
    """Blocks of each runner, one a round."""
    walks = [[partial(runner.scores, *pair) for pair in inputs] for runner in runners]
    paces = [fastest_call(walk, settings.min_calls, settings.warmup_ms) for walk in walks]
    calls = [calls_that_fill(settings.block_ms, pace, settings.min_calls, _MAX_CALLS) for pace in paces]
    generator = np.random.default_rng(settings.seed)
    return interleave(walks, calls, settings.rounds, generator, warmup_calls=settings.warmup_calls, progress=progress)


def _result(
    contender: Contender,
    blocks: Sequence[Block],
    base: Sequence[Block] | None,
    isolated: Isolated | None,
    settings: Settings,
    steal: float,
) -> Result:
    latency = summarise([block.calls for block in blocks], settings.seed)
    ratio: Estimate | None = None
    if base is not None:
        ratio = paired_ratio([block.calls for block in blocks], [block.calls for block in base], settings.seed)
    contended = sum(block.busy < settings.min_busy for block in blocks)
    other = other_threads(blocks)
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
        contention=Contention(busy=busy(blocks), contended_blocks=contended, other_threads=other),
        comparable=not reasons,
        reasons=tuple(reasons),
    )
