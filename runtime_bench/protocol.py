"""The host's protocol: all contenders in one process, one thread, one processor, in interleaved blocks.

docs/benchmarking.md tells what each number means.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, DeviceError
from chordkit.estimate import Estimate
from chordkit.export.parity import Ids
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.interleave import Block, busy, last_processor, other_threads
from chordkit.runtime_bench.isolated import measure_isolated
from chordkit.runtime_bench.results import BenchReport, Contention, Isolated, Result, Settings
from chordkit.runtime_bench.samples import SampleWriter
from chordkit.runtime_bench.statistics import drift, paired_ratio, spread_reasons, summarise, summarise_launches, turns_ratio
from chordkit.runtime_bench.turns import Turns, take_turns, turns_in_a_process
from chordkit.runtime_bench.walk import walk_of

HOST = "host"
_MAX_STEAL = 0.02


def run_host(
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings | None = None,
    *,
    baseline: str | None = None,
    samples: SampleWriter | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Time ``contenders`` on this machine, interleaved, by the protocol of docs/benchmarking.md.

    Args:
        contenders: the artifacts, and eager PyTorch beside them.
        histories: int32 ``[n, length]``, real ones, padded as they come; every contender walks through them in the
            same order.
        candidates: int32 ``[n, candidates]``. A history that follows itself is varied (:mod:`chordkit.runtime_bench.walk`).
        settings: the protocol; None = the defaults.
        baseline: name of the contender that ratios are taken against; None = no ratios.
        samples: takes the raw samples as they come; None = they are not kept.
        progress: called with (phase, done, total).

    Raises:
        DeviceError: a contender cannot be loaded here, or ``baseline`` is none of them.
        CheckFailed: a contender gives scores of a wrong shape, that are not finite, or not those of its reference.
    """
    settings = settings or Settings()
    names = check_names(contenders, baseline)
    if settings.threads != 1:
        raise DeviceError(f"--threads {settings.threads}: on this host all artifacts take turns on one processor; use a device")
    walk = walk_of(histories, candidates)
    inputs = [(np.ascontiguousarray(h), np.ascontiguousarray(c)) for h, c in zip(walk.histories, walk.candidates, strict=True)]
    cpu = last_processor()
    isolated: Sequence[Isolated | None] = [None] * len(contenders)
    if settings.processes:
        tell = partial(_tell_of_processes, progress, len(contenders))
        isolated = measure_isolated(contenders, *inputs[0], settings.processes, cpu, tell)
    described, before = machine.describe(cpu), machine.state(cpu)
    launches = _launches(contenders, inputs, walk.step, settings, cpu, progress)
    if samples is not None:
        for number, turns in enumerate(launches):
            for name, mine, batch in zip(names, turns.blocks, turns.batches, strict=True):
                for index, block in enumerate(mine):
                    samples.add(name, launch=number, block=index, at_s=block.at_s, batch=batch, us=block.calls)
    steal = sum(turns.stolen for turns in launches) / max(1, sum(turns.ticks for turns in launches))
    base = None if baseline is None else names.index(baseline)
    results = tuple(_result(contenders, index, base, launches, alone, settings, steal) for index, alone in enumerate(isolated))
    reasons = tuple(f"{result.name}: {reason}" for result in results for reason in result.reasons)
    return BenchReport(
        device=HOST,
        machine=described,
        settings=settings,
        baseline=baseline,
        histories=len(histories),
        candidates=candidates.shape[1],
        before=before,
        after=machine.state(cpu),
        steal=steal,
        samples=None if samples is None else samples.name,
        results=results,
        comparable=not reasons,
        reasons=reasons,
    )


def _tell_of_processes(progress: Progress | None, contenders: int, done: int) -> None:
    if progress is not None:
        progress("bench: fresh processes", done, contenders)


def check_names(contenders: Sequence[Contender], baseline: str | None) -> list[str]:
    """The contenders' names.

    Raises:
        DeviceError: there is none, two are the same, or ``baseline`` is none of them.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names) or not names:
        raise DeviceError("a benchmark needs at least one contender, and each needs its own name")
    if baseline is not None and baseline not in names:
        raise DeviceError(f"the baseline {baseline!r} is none of the contenders: {', '.join(names)}")
    return names


def _launches(
    contenders: Sequence[Contender],
    inputs: Sequence[tuple[Ids, Ids]],
    step: int,
    settings: Settings,
    cpu: int | None,
    progress: Progress | None,
) -> list[Turns]:
    """Every launch: all contenders in one process, in turns; one launch in this process, several each in its own."""
    specs = [contender.spec for contender in contenders]

    def accept(scores: Sequence[NDArray[np.floating]]) -> None:
        for contender, given in zip(contenders, scores, strict=True):
            _check(contender, given[::step], inputs[::step])

    if settings.launches == 1:
        return [take_turns(specs, inputs, settings, settings.seed, cpu, accept, progress)]
    share = settings.model_copy(update={"rounds": max(5, -(-settings.rounds // settings.launches))})
    found = []
    for number in range(settings.launches):
        turns = turns_in_a_process(specs, inputs, share, settings.seed + number, cpu)
        accept(turns.scores)
        found.append(turns)
        if progress is not None:
            progress("bench: launches, all artifacts in turns", number + 1, settings.launches)
    return found


def _check(contender: Contender, scores: NDArray[np.floating], inputs: Sequence[tuple[Ids, Ids]]) -> None:
    """Raise where a contender's scores are not those that they should be: it is then not worth timing."""
    columns, what = inputs[0][1].size if contender.top is None else contender.top, "scores" if contender.top is None else "best"
    shape = (len(inputs), columns) if contender.top is None else (len(inputs), 2, columns)
    if scores.shape != shape or not np.isfinite(scores).all():
        raise CheckFailed(
            f"{contender.name}: the {what} are not {columns} finite numbers, so it is not worth timing; run `chordkit validate`"
        )
    if contender.check is not None:
        contender.check(scores.astype(np.float32) if contender.top is None else scores)


def _result(
    contenders: Sequence[Contender],
    index: int,
    base: int | None,
    launches: Sequence[Turns],
    isolated: Isolated | None,
    settings: Settings,
    steal: float,
) -> Result:
    contender, batch = contenders[index], max(turns.batches[index] for turns in launches)
    blocks = [block for turns in launches for block in turns.blocks[index]]
    calls = [[block.calls for block in turns.blocks[index]] for turns in launches]
    latency = summarise(calls[0], settings.seed, batch) if len(calls) == 1 else summarise_launches(calls, batch, settings.seed)
    ratio: Estimate | None = None
    if base is not None:
        under = [[block.calls for block in turns.blocks[base]] for turns in launches]
        ratio = paired_ratio(calls[0], under[0], settings.seed) if len(calls) == 1 else turns_ratio(calls, under, settings.seed)
    # A call that is waited for leaves the processor to others, which says nothing about them.
    contended = 0 if settings.mode == "sparse" else sum(block.busy < settings.min_busy for block in blocks)
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
        sha256=contender.sha256,
        strategy_sha256=contender.strategy_sha256,
        histories_per_call=contender.batch,
        isolated=isolated,
        latency=latency,
        ratio=ratio,
        drift_percent_per_minute=_drift(blocks, settings),
        contention=Contention(busy=busy(blocks), contended_blocks=contended, other_threads=other),
        comparable=not reasons,
        reasons=tuple(reasons),
    )


def _drift(blocks: Sequence[Block], settings: Settings) -> Estimate | None:
    if settings.mode != "sustained":
        return None
    return drift([block.at_s for block in blocks], [float(np.median(block.calls)) for block in blocks], settings.seed)
