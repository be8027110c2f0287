"""What a rerank takes on the engine: the personal model at the phone's window beside int8 at the long window, in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from chordkit import kernels
from chordkit.backbones import make_master
from chordkit.data import Dataset
from chordkit.errors import MasterError
from chordkit.estimate import Estimate
from chordkit.evaluation.experiment import ExperimentOptions
from chordkit.evaluation.rivals import Models
from chordkit.hypernetwork import make_strategies, to_strategy
from chordkit.quantization import ScalePolicy
from chordkit.runtime_bench.interleave import calls_that_fill, fastest_call, interleave, last_processor, no_collection, one_processor
from chordkit.runtime_bench.results import Latency
from chordkit.runtime_bench.statistics import paired_ratio, spread_reasons, summarise
from chordkit.strategy import to_wire

CANDIDATES = 100
_ROUNDS = 40
_BLOCK_MS = 5.0
_MIN_CALLS = 20
_WARMUP_MS = 50.0
# Different histories in turns, so that nothing of the one before can be taken over.
_HISTORIES = 16
# As in `chordkit bench`: beyond it numbers are not compared.
_MAX_INTERVAL, _MAX_SPREAD = 0.05, 0.25


@dataclass(frozen=True)
class EngineLatency:
    """One rerank of 100 candidates in the native engine, one thread.

    Attributes:
        window: items of the history that the personal model looks at.
        long_window: items that the int8 model looks at.
        own: the personal model under a user's own strategy.
        long: the fp32 rival at the long window, quantised to int8.
        ratio: own / long, paired by round.
        reasons: why the two may not be compared; empty when they may.
    """

    window: int
    long_window: int
    own: Latency
    long: Latency
    ratio: Estimate
    reasons: tuple[str, ...]


def measure_latency(
    dataset: Dataset, models: Models, options: ExperimentOptions, rounds: int = _ROUNDS, seed: int = 0
) -> EngineLatency | str:
    """Time the models of one seed; where that is not possible, the answer is why."""
    config = models.personal.backbone.config
    if not kernels.available():
        return "the native engine was not compiled on this machine"
    if config.architecture not in kernels.backbones():
        return f"the native engine does not run {config.architecture}"
    try:
        return _measure(dataset, models, options, rounds, seed)
    except MasterError as error:
        return f"the native engine does not run this model ({error})"


def _measure(dataset: Dataset, models: Models, options: ExperimentOptions, rounds: int, seed: int) -> EngineLatency:
    personal = models.personal
    part = options.split(dataset, personal.backbone.config.max_length).test
    longer = models.full_long.backbone if models.full_long is not None else models.start
    long_backbone = longer if longer is not None else personal.backbone
    own = kernels.Engine(personal.master.to_bytes())
    widths = make_strategies(personal.hypernetwork, part.recent(personal.options.pools[-1])[:1])[0]
    own.adopt(to_wire(to_strategy(personal.hypernetwork, widths)))
    long = kernels.Engine(make_master(long_backbone, ScalePolicy.MSE).to_bytes())
    generator = np.random.default_rng(seed)
    candidates = generator.integers(1, dataset.items + 1, (_HISTORIES, CANDIDATES)).astype(np.int32)
    # Full histories, where there are any: what a rerank costs grows with them.
    rows = np.argsort(part.starts - part.stops, kind="stable")[:_HISTORIES]
    walks = [_walk(engine, part.recent(engine.max_length)[rows], candidates) for engine in (own, long)]
    with one_processor(last_processor()), no_collection():
        calls = [calls_that_fill(_BLOCK_MS, fastest_call(walk, _MIN_CALLS, _WARMUP_MS), _MIN_CALLS, 5000) for walk in walks]
        blocks = interleave(walks, calls, rounds, generator, warmup_calls=2)
    mine, theirs = ([block.calls for block in each] for each in blocks)
    latencies = summarise(mine), summarise(theirs)
    reasons = [
        f"{name}: {reason}"
        for name, each in zip(("own", "long"), latencies, strict=True)
        for reason in spread_reasons(each, _MAX_INTERVAL, _MAX_SPREAD)
    ]
    return EngineLatency(own.max_length, long.max_length, *latencies, paired_ratio(mine, theirs), tuple(reasons))


def _walk(engine: kernels.Engine, histories: np.ndarray, candidates: np.ndarray) -> list[Callable[[], object]]:
    prepared = engine.prepare(engine.max_length, CANDIDATES)

    def rerank(history: np.ndarray, ids: np.ndarray) -> None:
        prepared.history[:], prepared.candidates[:] = history, ids
        prepared.run()

    return [partial(rerank, history, ids) for history, ids in zip(histories, candidates, strict=False)]
