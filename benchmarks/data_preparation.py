"""Clicks in a CSV file to sequences of dense ids, 5-core, in order of time: chordkit and plain polars in turns, each in its own process.

    python benchmarks/data_preparation.py --folder /tmp/clicks [--interactions 10000000] [--rounds 3]

Both give the same arrays, which is checked. Processor seconds count all threads; memory is the peak of the process.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

CORE = 5
CONTENDERS = ("chordkit", "polars")


def make_clicks(path: Path, interactions: int) -> None:
    """Clicks of 70 a user on items of a long tail, in no order."""
    random = np.random.default_rng(0)
    items = max(100, interactions // 400)
    clicks = {
        "user_id": random.integers(1, max(100, interactions // 70) + 1, interactions),
        "item_id": np.minimum((random.pareto(1.0, interactions) * items / 50).astype(np.int64) + 1, items),
        "rating": random.integers(1, 6, interactions),
        "timestamp": random.integers(1_400_000_000, 1_700_000_000, interactions),
    }
    pl.DataFrame(clicks).write_csv(path)


def by_chordkit(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Items of all users one after the other, and where each begins."""
    from chordkit.data import prepare

    found = prepare(path, k_core=CORE)
    return found.flat, found.offsets


def by_polars(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The same, as short as it is written; nothing is checked, counted or kept beside it."""
    clicks, before = pl.read_csv(path, columns=["user_id", "item_id", "timestamp"]), -1
    while clicks.height != before:
        before = clicks.height
        clicks = clicks.filter((pl.len().over("user_id") >= CORE) & (pl.len().over("item_id") >= CORE))
    clicks = clicks.sort("user_id", "timestamp", maintain_order=True)
    lengths = clicks["user_id"].rle().struct.field("len").to_numpy()
    return clicks["item_id"].rank("dense").cast(pl.Int32).to_numpy(), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def run(contender: str, path: Path) -> None:
    """Print what it took, and a digest of what came of it."""
    begun = time.perf_counter()
    flat, offsets = (by_chordkit if contender == "chordkit" else by_polars)(path)
    seconds = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    digest = hashlib.sha256(flat.tobytes() + offsets.tobytes()).hexdigest()
    times = os.times()
    print(json.dumps({"seconds": seconds, "cpu": times.user + times.system, "mb": peak, "digest": digest}))


def main() -> None:
    """Print one JSON line a run, and the best of each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--interactions", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=CONTENDERS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / f"clicks-{arguments.interactions}.csv"
    if arguments.run:
        run(arguments.run, path)
        return
    if not path.exists():
        make_clicks(path, arguments.interactions)
    print(
        json.dumps(
            {"machine": platform.processor() or platform.machine(), "polars": pl.__version__, "megabytes": path.stat().st_size >> 20}
        )
    )
    found: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
    digests = set()
    for _ in range(arguments.rounds):
        for contender in CONTENDERS:
            command = [sys.executable, __file__, "--folder", str(arguments.folder), "--interactions", str(arguments.interactions)]
            told = json.loads(subprocess.run([*command, "--run", contender], check=True, capture_output=True).stdout)
            digests.add(told.pop("digest"))
            found[contender].append(told)
            print(json.dumps({"contender": contender, **{name: round(value, 2) for name, value in told.items()}}), flush=True)
    if len(digests) != 1:
        raise SystemExit("the contenders gave different sequences")
    for name in ("seconds", "cpu", "mb"):
        mine, theirs = (min(each[name] for each in found[contender]) for contender in CONTENDERS)
        print(json.dumps({"best": name, "chordkit": round(mine, 2), "polars": round(theirs, 2), "ratio": round(mine / theirs, 2)}))


if __name__ == "__main__":
    main()
