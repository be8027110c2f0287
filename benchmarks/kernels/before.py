"""The engine of another commit and this checkout's, in turns in one process: whole reranks, cold ones, adoption, opening a file.

    python benchmarks/kernels/before.py 8b2ee98
    python benchmarks/kernels/before.py 8b2ee98 --what rerank adoption --model =sasrec 'd = 256' --variant avx2 avxvnni
    python benchmarks/kernels/before.py build/libchord.so --rounds 500

Both libraries are compiled here by the same compiler, each with its own list of sources and flags, and first give the right scores. A
warm rerank is the mean of eight users with different histories in one call of the library (of one where a rerank takes long); a cold one is
one call, for another history than the one before, after the library's code, or what it reads and writes (master, model, session), or both
were flushed from all caches line by line: Python, which calls it, stays. Opening is ``chord_query_sizes`` and ``chord_open``. Times of
what takes long are the processor's, without what it gave to others meanwhile. us are those of the fastest tenth of samples, ratios medians
of ratios within a round with a 95 % bootstrap interval: with neighbours on the machine the ratios are what counts.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from contest.contender import Contender
from contest.model import CONFIGS, ITEMS, ModelCase, model_case
from contest.model_engine import loaded_bound
from contest.revision import Loaded, in_turn, library
from numpy.typing import NDArray

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.errors import InputError
from chordkit.export.artifact import Precision
from chordkit.runtime_bench.interleave import Block, fastest_call, interleave, last_processor, no_collection, one_processor
from chordkit.runtime_bench.statistics import paired_ratio
from chordkit.strategy import Strategy, encode

Call = Callable[[], object]
USERS, CANDIDATES = 8, 100
SHORT_US, LONG_US = 40.0, 200.0
LARGE_ITEMS = 200_000
"""A master of 13.7 MB at d = 64."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="a commit, or a built libchord.so")
    parser.add_argument("--what", nargs="+", choices=(*KINDS, OPENING), default=[*KINDS, OPENING])
    parser.add_argument("--model", nargs="+", default=[""], help="only models whose name holds one of these, or is =NAME")
    parser.add_argument("--variant", nargs="+", default=[None], help="kernel variants; by default the fastest")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    paths = [library(options.before), library(None)]
    print(f"| | before ({options.before}), us | now, us | now / before |\n|---|---|---|---|")
    with one_processor(last_processor()), no_collection():
        for items in (ITEMS, LARGE_ITEMS) if OPENING in options.what else ():
            _opening(paths, items, min(options.rounds, 40))
        kinds = [each for each in KINDS if each in options.what]
        for name in CONFIGS if kinds else ():
            if any(part[1:] == name if part.startswith("=") else part in name for part in options.model):
                case = model_case(name, CANDIDATES)
                for variant in options.variant:
                    _model(paths, case, variant, kinds, options.rounds)


def _model(paths: Sequence[Path], case: ModelCase, variant: str | None, what: list[str], rounds: int) -> None:
    engines = [Loaded(path, case.master.to_bytes(), case.strategy, variant) for path in paths]
    for name, engine in zip(("before", "now"), engines, strict=True):
        case.check(Contender(name, "chordkit", loaded_bound(engine, case), "int8"), Precision.STRATEGY)
    label = case.name + (f", {variant}" if variant else "")
    for kind in what:
        for title, walks, vary, batch in KINDS[kind](engines, case):
            _row(f"{label}: {title}", walks, vary, batch, rounds)


def _row(title: str, walks: list[list[Call]], vary: list[Call | None], batch: int, rounds: int) -> None:
    """Both in turns; ``batch``: of how much one call is the sum."""
    warm = 0 if any(vary) else 1
    blocks = interleave(walks, [4] * 2, rounds, np.random.default_rng(0), warmup_calls=warm, vary=vary)
    # A flush is no part of a cold call's time, but would be one of its block's share of the processor.
    long = not any(vary) and all(block.calls.min() > LONG_US for block in blocks[0])
    calls = [[(_own_time(block) if long else block.calls) / batch for block in mine] for mine in blocks]
    ratio = paired_ratio(calls[1], calls[0])
    before, now = (float(np.percentile(np.concatenate(each), 10)) for each in calls)
    print(f"| {title} | {before:.2f} | {now:.2f} | {ratio.value:.3f} x [{ratio.low:.3f}, {ratio.high:.3f}] |", flush=True)


def _own_time(block: Block) -> NDArray[np.float64]:
    return np.atleast_1d(block.calls.mean() * block.calling_thread)


Rows = Iterator[tuple[str, list[list[Call]], list[Call | None], int]]


def _rerank(engines: list[Loaded], case: ModelCase) -> Rows:
    length = case.histories.shape[1]
    rng = np.random.default_rng(1)
    histories = rng.integers(1, ITEMS + 1, (USERS, length)).astype(np.int32)
    candidates = rng.integers(1, ITEMS + 1, (USERS, CANDIDATES)).astype(np.int32)
    for title, filled in (("full history", length), ("half", length // 2)):
        histories[:, : length - filled] = 0
        alone = [[engine.rerank(*each)[0] for each in zip(histories, candidates, strict=True)] for engine in engines]
        if fastest_call(alone[0], USERS, 0) < SHORT_US:
            yield title, [[engine.rerank(histories, candidates)[0]] for engine in engines], [None, None], USERS
        else:  # or others would have the processor in the middle of every sample
            yield title, alone, [None, None], 1


def _cold(engines: list[Loaded], case: ModelCase) -> Rows:
    histories = np.random.default_rng(1).integers(1, ITEMS + 1, (2, case.histories.shape[1])).astype(np.int32)
    walks: list[list[Call]] = [[engine.rerank(row, case.candidates[0])[0] for row in histories] for engine in engines]
    for title, names in (("code and data", ("cool_code", "cool_data")), ("code", ("cool_code",)), ("data", ("cool_data",))):
        flushes = [[getattr(engine, name) for name in names] for engine in engines]
        if not all(flush() for mine in flushes for flush in mine):
            raise InputError("--what cold: on this processor no way to flush a cache line is known; leave cold out")
        yield f"cold {title}", walks, [in_turn(mine) for mine in flushes], 1


def _adoption(engines: list[Loaded], case: ModelCase) -> Rows:
    yield "adoption", [[engine.adopt] for engine in engines], [None, None], 1


KINDS: dict[str, Callable[[list[Loaded], ModelCase], Rows]] = {"rerank": _rerank, "cold": _cold, "adoption": _adoption}
OPENING = "opening"


def _master(items: int) -> tuple[bytes, bytes]:
    """Of a d = 64 with one head, and a strategy."""
    master = make_master(build(SASRecConfig(items=items, heads=1, norm_first=True)).eval())
    widths = np.full(master.channel_table.channels, 4, np.uint8)
    return master.to_bytes(), encode(Strategy(widths, master.fingerprint))


def _opening(paths: Sequence[Path], items: int, rounds: int) -> None:
    master, strategy = _master(items)
    engines = [Loaded(path, master, strategy) for path in paths]
    _row(f"opening {len(master) / 1e3:,.0f} KB", [[engine.reopen] for engine in engines], [None, None], 1, rounds)


if __name__ == "__main__":
    main()
