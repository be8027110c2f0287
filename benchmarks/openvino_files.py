"""OpenVINO's files beside LiteRT's and ONNX Runtime's: bytes, error against the reference, and times of calls that take turns.

    python benchmarks/openvino_files.py                       # d = 64
    python benchmarks/openvino_files.py --dim 256 --rounds 100

Random weights, 3,707 items, 50 of a history, 100 candidates; the strategy has 2, 4 and 8 bits for 65, 20 and 15 % of the channels.
An error is the root mean square over 64 histories, in units of the spread of the reference's scores. In each round every file has a
warm-up and ten timed calls, in an order drawn anew; p50 of all calls, one thread, the runner's checks of ids included.
"""

import argparse
import time

import numpy as np
import torch

from chordkit.backbones import build, default_config, from_master, make_master
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.parity import run_all
from chordkit.export.targets import EagerRunner, Runner, load_runner, lower

TARGETS = ("openvino", "onnx", "litert")
ITEMS, CANDIDATES, HISTORIES, CALLS = 3707, 100, 64, 10


def main(argv: list[str] | None = None) -> None:
    """Print a table for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--backbones", nargs="+", default=["sasrec", "caser", "gru4rec"])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in options.backbones:
        table(name, options.dim, options.rounds)


def table(name: str, dim: int, rounds: int) -> None:
    torch.manual_seed(0)
    backbone = build(default_config(name, items=ITEMS, dim=dim)).eval()
    master = make_master(backbone)
    channels = master.channel_table.channels
    generator = np.random.default_rng(0)
    histories = generator.integers(1, ITEMS + 1, (HISTORIES, backbone.config.max_length)).astype(np.int32)
    histories[1::2, : backbone.config.max_length // 2] = 0
    ids = generator.integers(1, ITEMS + 1, (HISTORIES, CANDIDATES)).astype(np.int32)
    mixed = generator.choice(np.array([2, 4, 8], np.uint8), channels, p=[0.65, 0.2, 0.15])
    runners: dict[tuple[str, str], Runner] = {}
    told: dict[tuple[str, str], tuple[int, float]] = {}
    for precision, widths in ((Precision.FP32, None), (Precision.INT8, np.full(channels, 8, np.uint8)), (Precision.STRATEGY, mixed)):
        expected = run_all(EagerRunner(backbone if widths is None else from_master(master, widths)), histories, ids)
        spread = np.sqrt(np.mean((expected - expected.mean(1, keepdims=True)) ** 2))
        for target in TARGETS:
            data = lower(ArtifactSpec(target, precision, CANDIDATES), backbone if widths is None else (master, widths))
            runner = runners[precision, target] = load_runner(target, data)
            error = np.sqrt(np.mean((run_all(runner, histories, ids) - expected) ** 2)) / spread
            told[precision, target] = len(data), float(error)
    times = in_turns(runners, histories, ids, rounds, generator)
    print(f"{name}, d = {dim}\n| | " + " | ".join(f"{target}: bytes | us | error" for target in TARGETS) + " |")
    for precision in Precision:
        cells = (
            f"{told[precision, target][0]:,} | {times[precision, target]:.1f} | {told[precision, target][1]:.1e}" for target in TARGETS
        )
        print(f"| {precision} | " + " | ".join(cells) + " |", flush=True)


def in_turns(
    runners: dict[tuple[str, str], Runner], histories: np.ndarray, ids: np.ndarray, rounds: int, generator: np.random.Generator
) -> dict[tuple[str, str], float]:
    """p50 in us of each runner."""
    calls: dict[tuple[str, str], list[float]] = {key: [] for key in runners}
    keys = list(runners)
    for turn in range(rounds):
        for place in generator.permutation(len(keys)):
            runner = runners[keys[place]]
            for call in range(CALLS + 1):
                row = (turn * CALLS + call) % HISTORIES
                start = time.perf_counter_ns()
                runner.scores(histories[row], ids[row])
                if call:
                    calls[keys[place]].append((time.perf_counter_ns() - start) / 1e3)
    return {key: float(np.median(values)) for key, values in calls.items()}


if __name__ == "__main__":
    main()
