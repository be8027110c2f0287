"""Time what an app and a server ask of the engine beside a first rerank: further pages, the best of a catalogue, batches on threads.

    python benchmarks/kernels/serving.py pages
    python benchmarks/kernels/serving.py top                     # beside what the machine's memory gives, in the same run
    python benchmarks/kernels/serving.py batches --threads 2     # on cores that are free: look at both columns

SASRec d=64, L=50, 2 blocks, one head, random weights. Figures are the best of many calls: what neighbours take does not count.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.kernels import Engine

ITEMS, LENGTH, CANDIDATES = 3707, 50, 100


def engine_of(items: int, variant: str | None) -> Engine:
    """An engine over random weights."""
    torch.manual_seed(0)
    return Engine(make_master(build(SASRecConfig(items=items, heads=1, norm_first=True))).to_bytes(), variant)


def best_us(calls: Sequence[Callable[[], object]], seconds: float = 0.5) -> float:
    """The fastest of ``calls``, taken in turns, in us."""
    fastest, end = float("inf"), time.perf_counter() + seconds
    turns = cycle(calls)
    while time.perf_counter() < end:
        call = next(turns)
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest * 1e6


def pages(options: argparse.Namespace) -> None:
    """A rerank of another history, and of the one before: the library alone, from batches of 500, and the calls of Python."""
    engine, rng = engine_of(ITEMS, options.variant), np.random.default_rng(0)
    same = np.repeat(rng.integers(1, ITEMS + 1, (1, LENGTH)), 500, axis=0).astype(np.int32)
    others = same.copy()
    others[::2, -1] = 1 + same[0, -1] % ITEMS
    asked = rng.integers(1, ITEMS + 1, (500, CANDIDATES)).astype(np.int32)
    prepared = engine.prepare(LENGTH, CANDIDATES)
    prepared.candidates[:] = asked[0]

    def run(row: np.ndarray) -> Callable[[], object]:
        def call() -> None:
            prepared.history[-1] = row[-1]
            prepared.run()

        return call

    print("| us, 100 candidates | C | prepared | Engine.scores |\n|---|---|---|---|")
    for name, rows in (("another history", others), ("the history before", same)):
        prepared.history[:] = rows[0]
        library = best_us([lambda rows=rows: engine.scores(rows, asked)]) / 500
        each = [best_us([run(row) for row in rows[:2]]), best_us([lambda row=row: engine.scores(row, asked[0]) for row in rows[:2]])]
        print(f"| {name} | {library:.2f} | {each[0]:.2f} | {each[1]:.2f} |", flush=True)


def top(options: argparse.Namespace) -> None:
    """The k best of catalogues, how fast their tables are read once the history is known, and how fast numpy reads as many bytes."""
    print("| items | k = 10, us | k = 100 | k = 1,000 | the table, GB/s | numpy's max, GB/s |\n|---|---|---|---|---|---|")
    for items in (ITEMS, 35_000, 200_000, 2_000_000):
        engine, rng = engine_of(items, options.variant), np.random.default_rng(0)
        histories = list(rng.integers(1, items + 1, (2, LENGTH)).astype(np.int32))
        us = [best_us([partial(engine.top_k, each, k, exclude_history=True) for each in histories]) for k in (10, 100, 1000)]
        table_bytes = (items + 1) * (engine.dim + 4)
        reads = best_us([partial(engine.top_k, histories[0], 10)]), best_us([np.ones(table_bytes // 8, np.int64).max])
        rates = [table_bytes / read / 1e3 for read in reads]
        print(f"| {items:,} | {us[0]:.0f} | {us[1]:.0f} | {us[2]:.0f} | {rates[0]:.0f} | {rates[1]:.0f} |", flush=True)


def batches(options: argparse.Namespace) -> None:
    """Batches on one thread and on several."""
    engine, rng = engine_of(ITEMS, options.variant), np.random.default_rng(0)
    print(f"| users | one thread, us | {options.threads} threads, us | ratio |\n|---|---|---|---|")
    for users in (8, 64, 512):
        inputs = [[rng.integers(1, ITEMS + 1, (users, count)).astype(np.int32) for count in (LENGTH, CANDIDATES)] for _ in range(2)]
        one, several = (best_us([partial(engine.scores, *each, threads=threads) for each in inputs], 2) for threads in (1, options.threads))
        print(f"| {users} | {one:.0f} | {several:.0f} | {one / several:.2f} x |", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pages", "top", "batches"))
    parser.add_argument("--variant", help="kernels; by default the fastest")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    {"pages": pages, "top": top, "batches": batches}[options.what](options)


if __name__ == "__main__":
    main()
