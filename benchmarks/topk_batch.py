"""What a top-k inside a file and a batch of histories cost or save: ``python -m benchmarks.topk_batch --items 3706 --targets litert,onnx``.

SASRec with random weights, as what is timed does not depend on them, at int8 and with a strategy of mixed widths; one thread, one
processor, all contenders of a target in turns (docs/benchmarking.md). The top-k is that of the whole catalogue, three ways: a file that is
given all ids as candidates and numpy's choice from its scores, a file whose scores are those of all items and numpy's choice, and a file
that chooses. Batches score 100 candidates of each history; their time is that of a history.
"""

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.backbones import build, default_config, initialise, make_master
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.program import export_program, item_count, regroup
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.export.targets.runner import GraphRunner
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.interleave import calls_that_fill, fastest_call, interleave, last_processor, no_collection, one_processor

Source = tuple[MasterWeights, NDArray[np.uint8]]
BATCHES = (1, 8, 64)
CANDIDATES = 100
HISTORIES = 64


@dataclass(frozen=True)
class Contender:
    """A way to the answer: calls one after the other, how many histories each has, and the bytes of its file."""

    name: str
    calls: list[Callable[[], object]]
    histories: int
    file_bytes: int


def main() -> None:
    """Print a table for each target and precision."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--length", type=int, default=10)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--targets", default="litert,onnx,executorch")
    parser.add_argument("--precisions", default="int8,strategy")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--block-ms", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = default_config("sasrec", options.items, dim=options.dim, max_length=options.length)
    master = make_master(initialise(build(config), "random", distribution="normal", seed=options.seed).eval())
    print(
        f"{platform.processor() or platform.machine()}, SASRec, {options.items:,} items, d = {options.dim}, {options.length} slots, "
        "one thread"
    )
    for target in options.targets.split(","):
        for precision in options.precisions.split(","):
            widths = _widths(master, precision, options.seed)
            for title, contenders in (
                (f"the {options.top} best of {options.items:,} items", _choosing(target, precision, (master, widths), options.top)),
                (f"{CANDIDATES} candidates, us a history", _batches(target, precision, (master, widths))),
            ):
                _print(f"{target}, {precision}: {title}", contenders, options)


def _widths(master: MasterWeights, precision: str, seed: int) -> NDArray[np.uint8]:
    channels = master.channel_table.channels
    if precision == Precision.INT8:
        return np.full(channels, 8, np.uint8)
    return np.random.default_rng(seed).choice(np.array([2, 4, 8], np.uint8), channels)


def _inputs(master: MasterWeights, length: int) -> NDArray[np.int32]:
    return np.random.default_rng(1).integers(1, master.items + 1, (HISTORIES, length)).astype(np.int32)


def _choosing(target: str, precision: str, source: Source, top: int) -> list[Contender]:
    master, every = source[0], np.arange(1, source[0].items + 1, dtype=np.int32)
    files = {
        "all ids as candidates, then numpy": lower(ArtifactSpec(target, Precision(precision), master.items), source),
        "scores of all items, then numpy": _scores_of_all(target, source),
        "chosen in the file": lower(ArtifactSpec(target, Precision(precision), master.items, top=top, catalogue=True), source),
    }
    given, scoring, choosing = (_graph(load_runner(target, data)) for data in files.values())
    histories = _inputs(master, given.length)

    def sorted_scores(history: NDArray[np.int32]) -> tuple[NDArray, NDArray]:
        return _best(scoring._outputs(history, None, None)[0][1:], top)

    ways: list[Callable[[NDArray[np.int32]], object]] = [
        lambda history: _best(given.scores(history, every), top),
        sorted_scores,
        choosing.best,
    ]
    expected = choosing.best(histories[0])
    for way in ways[:2]:
        ids, _ = way(histories[0])  # type: ignore[misc]
        if not np.array_equal(ids, expected.ids):
            raise SystemExit(f"{target}: the three ways do not choose the same items")
    return [
        Contender(name, [lambda history=history, way=way: way(history) for history in histories], 1, len(data))  # type: ignore[misc]
        for (name, data), way in zip(files.items(), ways, strict=True)
    ]


def _graph(runner: object) -> GraphRunner:
    assert isinstance(runner, GraphRunner)
    return runner


def _scores_of_all(target: str, source: Source) -> bytes:
    """A file that gives the scores of all items, which no spec asks for."""
    if target == "litert":
        from chordkit.export.targets.litert.lower import lower as lower_litert

        return lower_litert(export_program(source, None), find_target(target).capability.activations[0])
    if target == "onnx":
        from chordkit.export.targets.onnx.lower import lower as lower_onnx

        return lower_onnx(export_program(source, None), item_count(source))
    from chordkit.export.targets.executorch.graph import storage_groups
    from chordkit.export.targets.executorch.lower import lower as lower_executorch

    master, widths, _ = regroup(*source, storage_groups)
    return lower_executorch(export_program((master, widths), None), item_count(source))


def _best(scores: NDArray[np.float32], top: int) -> tuple[NDArray, NDArray]:
    """The fast way in numpy: the best in any order, then their order."""
    chosen = np.argpartition(-scores, top)[:top]
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    return order + 1, scores[order]


def _batches(target: str, precision: str, source: Source) -> list[Contender]:
    found = []
    for batch in BATCHES:
        data = lower(ArtifactSpec(target, Precision(precision), CANDIDATES, batch=batch), source)
        runner = load_runner(target, data)
        histories = _inputs(source[0], runner.length)
        generator = np.random.default_rng(2)
        candidates = np.stack([generator.permutation(source[0].items)[:CANDIDATES] + 1 for _ in histories]).astype(np.int32)
        pairs = [(histories[at], candidates[at]) for at in range(HISTORIES)] if batch == 1 else [
            (histories[at : at + batch], candidates[at : at + batch]) for at in range(0, HISTORIES, batch)
        ]  # fmt: skip
        calls = [lambda pair=pair, runner=runner: runner.scores(*pair) for pair in pairs]  # type: ignore[misc]
        found.append(Contender(f"{batch} a call", calls, batch, len(data)))
    return found


def _print(title: str, contenders: list[Contender], options: argparse.Namespace) -> None:
    walks = [contender.calls for contender in contenders]
    with one_processor(last_processor()), no_collection():
        paces = [fastest_call(walk, 10, 50) for walk in walks]
        calls = [calls_that_fill(options.block_ms, pace, 3, 5000) for pace in paces]
        blocks = interleave(walks, calls, options.rounds, np.random.default_rng(options.seed), warmup_calls=2)
    each = [
        np.array([np.median(block.calls) for block in mine]) / contender.histories
        for mine, contender in zip(blocks, contenders, strict=True)
    ]
    print(f"\n{title}\n| way | us | 10 to 90 % of rounds | over the first, round by round | bytes |\n|---|---:|---:|---:|---:|")
    for contender, us in zip(contenders, each, strict=True):
        low, high = np.quantile(us, [0.1, 0.9])
        ratio = us / each[0]
        shown = f"{np.median(ratio):.2f} [{np.quantile(ratio, 0.1):.2f}, {np.quantile(ratio, 0.9):.2f}]"
        print(f"| {contender.name} | {np.median(us):.1f} | {low:.1f} to {high:.1f} | {shown} | {contender.file_bytes:,} |", flush=True)


if __name__ == "__main__":
    main()
