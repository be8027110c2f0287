"""Train every backbone with the library's defaults, several seeds each, and print the quality table of docs/training.md.

    python benchmarks/train_quality.py --data ../shared/data/ml-100k --seeds 0,1,2
    python benchmarks/train_quality.py --data synthetic --backbones sasrec --seeds 0

Test metrics are those of the last item of each user. Mind the protocol of each column: they are not comparable.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chordkit.backbones import ARCHITECTURES, config_to_dict, default_config
from chordkit.data import Dataset, prepare, synthesize
from chordkit.training import TrainingOptions, default_options, train_backbone

COLUMNS = {
    "valid NDCG@10": ("valid", "ndcg10"),
    "test NDCG@10": ("test", "ndcg10"),
    "test HR@10": ("test", "hr10"),
    "NDCG@10 masked": ("test_masked", "ndcg10"),
    "NDCG@10 of 100 negatives": ("test_negatives", "ndcg10"),
}


def read_dataset(where: str) -> Dataset:
    """The synthetic data set of seed 0, or what ``chordkit data prepare`` makes of a path."""
    return synthesize(0) if where == "synthetic" else prepare(Path(where))


def show_progress(label: str) -> Callable[[str, int, int], None]:
    """A progress callback that rewrites one line of a terminal's standard error, and is silent elsewhere."""

    def progress(phase: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{label} {phase} {done}/{total}", end="", file=sys.stderr)

    return progress


def main() -> None:
    """Train and print."""
    default_data = Path(os.environ.get("CHORDKIT_DATA", "../shared/data")) / "ml-100k"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(default_data), help="folder or file of a data set, or 'synthetic'")
    parser.add_argument("--backbones", default=",".join(ARCHITECTURES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="write all figures to this file as well")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.data)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{dataset.name}: {dataset.users} users, {dataset.items} items, {dataset.interactions} interactions")
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} thread(s) of {cores} cores, {platform.machine()}\n")
    print("| backbone | seed | " + " | ".join(COLUMNS) + " | best epoch | epochs | seconds | CPU seconds |")
    print("|---" * (len(COLUMNS) + 6) + "|", flush=True)
    records: list[dict[str, Any]] = []
    intervals: list[str] = []
    for architecture in arguments.backbones.split(","):
        rows = []
        for seed in map(int, arguments.seeds.split(",")):
            options = default_options(architecture, seed=seed, device=arguments.device, threads=arguments.threads)
            record = train_one(dataset, architecture, options)
            records.append(record)
            rows.append([record["metrics"][part][name]["mean"] for part, name in COLUMNS.values()])
            rows[-1] += [record["best_epoch"], record["epochs"], record["seconds"], record["cpu_seconds"]]
            print_row(architecture, str(seed), rows[-1])
            interval = record["metrics"]["test"]["ndcg10"]
            intervals.append(f"{architecture} seed {seed}: [{interval['low']:.4f}, {interval['high']:.4f}]")
        print_row(architecture, "**mean**", np.mean(rows, axis=0).tolist())
    print("\n95 % bootstrap intervals of test NDCG@10 over users: " + "; ".join(intervals))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=2) + "\n")


def train_one(dataset: Dataset, architecture: str, options: TrainingOptions) -> dict[str, Any]:
    """Train one backbone with the default configuration; everything worth keeping as JSON values."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    config = default_config(architecture, dataset.items)
    result = train_backbone(dataset, config, options, progress=show_progress(f"{architecture} seed {options.seed}"))
    return {
        "configuration": config_to_dict(config),
        "options": options.to_json(),
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu_begin,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "metrics": {part: metrics.to_json() for part, metrics in result.metrics.items()},
    }


def print_row(architecture: str, seed: str, values: list[float]) -> None:
    """One line of the table: the metrics, then best epoch, epochs, seconds on the clock and of CPU time (they differ on a busy machine)."""
    shown = [f"{value:.4f}" for value in values[: len(COLUMNS)]] + [f"{value:.0f}" for value in values[len(COLUMNS) :]]
    print(f"| {architecture} | {seed} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
