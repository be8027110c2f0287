"""One launch on the host: a process that loads all contenders and lets them take turns.

A launch of its own is ``python -m chordkit.runtime_bench.turns``: one JSON request on stdin, one JSON answer on stdout. Where the memory
of a process lies moves its times by some per cent, for as long as it lives; only other launches tell by how many.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import DeviceError
from chordkit.export.parity import Ids, Runner
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.calls import answers_of, calls_of, histories_of
from chordkit.runtime_bench.child import answer, ask
from chordkit.runtime_bench.contender import RunnerSpec
from chordkit.runtime_bench.interleave import (
    Block,
    calls_that_fill,
    fastest_call,
    interleave,
    no_collection,
    one_processor,
    read_over_caches,
)
from chordkit.runtime_bench.results import Settings

_MAX_CALLS = 5000
_TIMEOUT_S = 900.0
SHORTEST_SAMPLE_US = 10.0
"""Shorter calls are timed together: reading the clock takes a tenth of a microsecond from Python."""


@dataclass(frozen=True)
class Turns:
    """What a launch has measured, by contender.

    Attributes:
        scores: of every input, see :func:`chordkit.runtime_bench.calls.answers_of`.
        blocks: one a round, us a history: a call's time over the histories that it has; batches: calls in each of their samples.
        stolen: clock ticks that the virtual machine's host took away meanwhile, of ``ticks``.
    """

    scores: list[NDArray[np.floating]]
    blocks: list[list[Block]]
    batches: list[int]
    stolen: int
    ticks: int


def take_turns(
    specs: Sequence[RunnerSpec],
    inputs: Sequence[tuple[Ids, Ids]],
    settings: Settings,
    seed: int,
    cpu: int | None,
    accept: Callable[[Sequence[NDArray[np.floating]]], None] | None = None,
    progress: Progress | None = None,
) -> Turns:
    """Load every runner in this process, let ``accept`` look at their scores, and time them in turns."""
    with one_processor(cpu), no_collection():
        runners = [spec.create() for spec in specs]
        scores = [answers_of(runner, inputs) for runner in runners]
        if accept is not None:
            accept(scores)
        stolen_before, ticks_before = machine.steal_ticks(cpu)
        blocks, batches = _turns(runners, inputs, settings, seed, progress)
        blocks = [
            [replace(block, calls=block.calls / histories_of(runner)) for block in mine]
            for runner, mine in zip(runners, blocks, strict=True)
        ]
        stolen, ticks = machine.steal_ticks(cpu)
    return Turns(scores, blocks, batches, stolen - stolen_before, ticks - ticks_before)


def turns_in_a_process(
    specs: Sequence[RunnerSpec], inputs: Sequence[tuple[Ids, Ids]], settings: Settings, seed: int, cpu: int | None
) -> Turns:
    """:func:`take_turns` in a process of its own.

    Raises:
        DeviceError: the process failed, was killed, or took too long.
    """
    request = {
        "specs": [spec.to_json() for spec in specs],
        "histories": [history.tolist() for history, _ in inputs],
        "candidates": [candidates.tolist() for _, candidates in inputs],
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "cpu": cpu,
    }
    limit = _TIMEOUT_S + 60 * settings.minutes if settings.mode == "sustained" else _TIMEOUT_S
    told = ask("a launch", "chordkit.runtime_bench.turns", request, limit)
    try:
        blocks = [[Block(np.asarray(us), busy, own, at_s) for us, busy, own, at_s in mine] for mine in told["blocks"]]
        scores: list[NDArray[np.floating]] = [np.asarray(each, np.float64) for each in told["scores"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError(f"a launch: its process gave an answer that is none ({error!r}); measure again") from None
    return Turns(scores, blocks, list(told["batches"]), told["stolen"], told["ticks"])


def _turns(
    runners: Sequence[Runner], inputs: Sequence[tuple[Ids, Ids]], settings: Settings, seed: int, progress: Progress | None
) -> tuple[list[list[Block]], list[int]]:
    """Blocks of each runner, one a round, and the calls in each of their samples."""
    walks = [calls_of(runner, inputs) for runner in runners]
    paces = [fastest_call(walk, settings.min_calls, settings.warmup_ms) for walk in walks]
    generator = np.random.default_rng(seed)
    if settings.mode == "sparse":
        wait = partial(time.sleep, settings.interval_ms / 1e3)
        single = [1] * len(walks)
        return interleave(walks, single, settings.rounds, generator, before_call=wait, progress=progress), single
    if settings.mode == "cold":
        few = [settings.min_calls] * len(walks)
        cold = interleave(walks, few, settings.rounds, generator, before_call=read_over_caches(), progress=progress)
        return cold, [1] * len(walks)
    batches = [max(1, math.ceil(SHORTEST_SAMPLE_US / max(pace, 1e-3))) for pace in paces]
    samples_us = [pace * batch for pace, batch in zip(paces, batches, strict=True)]
    calls = [calls_that_fill(settings.block_ms, sample, settings.min_calls, _MAX_CALLS) for sample in samples_us]
    rounds = settings.rounds
    if settings.mode == "sustained":
        one_round_us = sum(count * sample for count, sample in zip(calls, samples_us, strict=True))
        rounds = max(settings.rounds, round(settings.minutes * 60e6 / one_round_us))
    turns = interleave(walks, calls, rounds, generator, warmup_calls=settings.warmup_calls, batches=batches, progress=progress)
    return turns, batches


def _measure(request: dict[str, Any], wait_for_turn: Callable[[], None]) -> dict[str, Any]:
    wait_for_turn()
    inputs = [
        (np.asarray(history, np.int32), np.asarray(candidates, np.int32))
        for history, candidates in zip(request["histories"], request["candidates"], strict=True)
    ]
    specs = [RunnerSpec.from_json(text) for text in request["specs"]]
    turns = take_turns(specs, inputs, Settings.model_validate(request["settings"]), request["seed"], request["cpu"])
    return {
        "scores": [scores.tolist() for scores in turns.scores],
        "blocks": [[(block.calls.tolist(), block.busy, block.calling_thread, block.at_s) for block in mine] for mine in turns.blocks],
        "batches": turns.batches,
        "stolen": turns.stolen,
        "ticks": turns.ticks,
    }


if __name__ == "__main__":
    answer(_measure)
