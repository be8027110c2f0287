"""What the layout ``speed`` costs in bytes and gives in time: each backbone's strategy in both layouts, all of a target in turns.

python benchmarks/layouts.py
"""

import argparse
import functools
import os
import platform
from dataclasses import dataclass
from typing import get_args

import numpy as np

from chordkit.backbones import ARCHITECTURES, build, initialise, make_master
from chordkit.export.artifact import ArtifactSpec, Layout, Precision
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.runtime_bench.interleave import interleave, last_processor, no_collection, one_processor
from chordkit.runtime_bench.statistics import paired_ratio

WAYS = (("litert", "fp32"), ("litert", "int8"), ("onnx", "fp32"), ("executorch", "fp32"))
BACKBONES = ("sasrec", "caser", "gru4rec")
LENGTHS = {"gru4rec": 12}
SHARES = {0: 0.05, 2: 0.3, 4: 0.45, 8: 0.2}
CANDIDATES, BLOCK_CALLS = 100, 40


@dataclass(frozen=True)
class Row:
    """A backbone on a target: bytes and us a call of both layouts, and how many times faster ``speed`` is, with a 95 % interval."""

    backbone: str
    way: str
    bytes: tuple[int, int]
    us: tuple[float, float]
    ratio: tuple[float, float, float]


def measure(backbone: str, target: str, activations: str, items: int, rounds: int) -> Row:
    """Both layouts of one strategy in turns."""
    own = {"hidden": 64} if backbone == "gru4rec" else {}
    length = LENGTHS.get(backbone, 50)
    config = ARCHITECTURES[backbone].config(items=items, max_length=length, dim=64, **own)
    master = make_master(initialise(build(config), "random", distribution="normal", seed=5).eval())
    generator = np.random.default_rng(3)
    widths = generator.choice(np.array(list(SHARES), np.uint8), master.channel_table.channels, p=list(SHARES.values()))
    files, walks = [], []
    histories = generator.integers(1, items + 1, (8, length)).astype(np.int32)
    candidates = generator.integers(1, items + 1, (8, CANDIDATES)).astype(np.int32)
    for layout in get_args(Layout):
        spec = ArtifactSpec(target, Precision.STRATEGY, CANDIDATES, activations, layout=layout)  # type: ignore[arg-type]
        files.append(lower(spec, (master, widths)))
        runner = load_runner(target, files[-1])
        walks.append([functools.partial(runner.scores, *row) for row in zip(histories, candidates, strict=True)])
    with one_processor(last_processor()), no_collection():
        size, speed = (
            [block.calls for block in blocks]
            for blocks in interleave(walks, [BLOCK_CALLS] * 2, rounds, np.random.default_rng(0), warmup_calls=10)
        )
    ratio = paired_ratio(size, speed)
    us = tuple(float(np.min(np.concatenate(blocks))) for blocks in (size, speed))
    way = target if len(find_target(target).capability.activations) == 1 else f"{target}, {activations} activations"
    return Row(backbone, way, (len(files[0]), len(files[1])), us, (ratio.value, ratio.low, ratio.high))  # type: ignore[arg-type]


def markdown(row: Row) -> str:
    """The row of a table."""
    size, speed = row.bytes
    value, low, high = row.ratio
    return (
        f"| {row.backbone} | {row.way} | {size:,} | {speed:,} | {speed / size - 1:.1%} | {row.us[0]:.1f} | {row.us[1]:.1f} "
        f"| {value:.2f} ({low:.2f} to {high:.2f}) |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    given = parser.parse_args()
    print(
        f"d = 64, {given.items:,} items, {CANDIDATES} candidates, one thread, from Python; {platform.machine()}, {os.cpu_count()} cores.\n"
    )
    print("| backbone | target | bytes, size | bytes, speed | more | us, size | us, speed | size / speed (95 %) |")
    print("|---|---|---|---|---|---|---|---|")
    for backbone in given.backbones:
        for way in WAYS:
            print(markdown(measure(backbone, *way, given.items, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
