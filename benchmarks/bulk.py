"""Strategies of 0.1, 0.3 and 1 million users by each engine, in turns, one after the other in processes of their own: time, processor time,
memory, and what a line through them says of 10 million. That all engines wrote the same is checked.

    python benchmarks/bulk.py --folder /tmp/bulk --rounds 1
    python benchmarks/bulk.py --folder /tmp/bulk --function         what the parts of the function cost, and float64
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from chordkit.backbones import SASRecConfig, build, initialise, make_master
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, StrategyMaker, load_hypernetwork, save_hypernetwork
from chordkit.jobs.batch import Worker
from chordkit.jobs.job import Job
from chordkit.quantization import MasterWeights
from chordkit.strategy import allocate

ENGINES = ("plain", "shards", "spark", "ray")
"""One process; two; two tasks at a time of Spark, and of Ray."""
ITEMS, SHARD = 2000, 50_000
FAR = 10_000_000
TICKS = os.sysconf("SC_CLK_TCK")


def make_model(folder: Path) -> None:
    """A model of d = 64 that nobody trained, which takes as long as one that somebody did."""
    master = make_master(initialise(build(SASRecConfig(items=ITEMS, dim=64, max_length=50, blocks=2, heads=1)), seed=1))
    master.save(folder / "master.chrm")
    network = Hypernetwork(master, HypernetworkOptions()).initialise(torch.Generator().manual_seed(0))
    save_hypernetwork(folder / "hypernetwork.safetensors", network)


def histories(first: int, users: int) -> pa.Table:
    """Of 5 to 95 items, 50 in the mean."""
    random = np.random.default_rng(first)
    lengths = random.integers(5, 96, users)
    flat = random.integers(1, ITEMS + 1, lengths.sum()).astype(np.int32)
    lists = pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), flat)
    return pa.table({"user": np.arange(first, first + users), "history": lists})


def make_tables(folder: Path, users: int) -> Path:
    """Tables of 50,000 users."""
    place = folder / f"logs-{users}"
    place.mkdir(exist_ok=True)
    for first in range(0, users, SHARD):
        pq.write_table(histories(first, min(SHARD, users - first)), place / f"{first:09d}.parquet")
    return place


def run_engine(engine: str, folder: Path, source: Path, out: Path) -> None:
    """All that a run is, from the start of the engine on."""
    job = Job.read(folder / "master.chrm", folder / "hypernetwork.safetensors")
    if engine in ("plain", "shards"):
        from chordkit.jobs.shards import make_strategies

        make_strategies(job, str(source), str(out), jobs=1 + (engine == "shards"))
    elif engine == "spark":
        from chordkit.jobs import spark

        spark.start(2, **{"spark.driver.memory": "1g"})
        spark.run(job, str(source), str(out), jobs=2)
    else:
        from chordkit.jobs import ray

        ray.start(2, object_store_memory=1 << 30)
        ray.run(job, str(source), str(out), jobs=2)


@dataclass
class Tree:
    """A process and whatever came of it, looked at while it runs."""

    root: int
    cpu: dict[int, float] = field(default_factory=dict)
    peak_mb: float = 0.0
    most: int = 0

    def look(self) -> None:
        """Once."""
        parents, resident = {}, 0.0
        for entry in Path("/proc").iterdir():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else None
            except OSError:
                continue
            if fields:
                parents[int(entry.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
        mine = {self.root} & parents.keys()
        while more := {pid for pid, (parent, _) in parents.items() if parent in mine} - mine:
            mine |= more
        for pid in mine:
            self.cpu[pid] = parents[pid][1]
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                resident += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1024
            except OSError:
                continue
        self.peak_mb, self.most = max(self.peak_mb, resident), max(self.most, len(mine))


def measure(engine: str, folder: Path, source: Path) -> dict[str, float]:
    """Seconds, processor seconds, MB at the most, and processes at the most, of one run."""
    out = folder / "out" / engine
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--folder", str(folder), "--run", engine, str(source), str(out)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    tree = Tree(process.pid)
    while process.poll() is None:
        tree.look()
        time.sleep(0.2)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{engine}: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    return {"seconds": seconds, "cpu": sum(tree.cpu.values()), "mb": tree.peak_mb, "processes": tree.most}


def digest(place: Path) -> str:
    """Of all strategies in the order of their users."""
    table = ds.dataset(place, format="parquet").to_table(columns=["user", "strategy"]).sort_by("user").combine_chunks()
    sha = hashlib.sha256()
    for name in ("user", "strategy"):
        for chunk in table[name].chunks:
            sha.update(chunk.buffers()[-1])
    return sha.hexdigest()


def fitted(points: list[tuple[int, float]]) -> tuple[float, float]:
    """a and b of time = a + b * users, by least squares of the relative errors, so that the small ones count as well; a is at least 0."""
    users, seconds = np.array(points).T
    design = np.stack([np.ones(len(users)), users], axis=1) / seconds[:, None]
    (a, b), *_ = np.linalg.lstsq(design, np.ones(len(users)), rcond=None)
    return (float(a), float(b)) if a > 0 else (0.0, float((seconds / users).mean()))


def tell(**values: object) -> None:
    """A line of JSON."""
    print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}), flush=True)


def whole_runs(folder: Path, sizes: list[int], rounds: int) -> None:
    """The engines in turns."""
    points: dict[str, dict[str, list[tuple[int, float]]]] = {engine: {"seconds": [], "cpu": []} for engine in ENGINES}
    for users in sizes:
        source, digests = make_tables(folder, users), set()
        for _ in range(rounds):
            for engine in ENGINES:
                found = measure(engine, folder, source)
                digests.add(digest(folder / "out" / engine))
                for what in ("seconds", "cpu"):
                    points[engine][what].append((users, found[what]))
                load = os.getloadavg()[0]
                print(
                    json.dumps({"users": users, "engine": engine, **{k: round(v, 1) for k, v in found.items()}, "load": load}), flush=True
                )
        if len(digests) != 1:
            raise SystemExit(f"{users} users: the engines wrote different strategies")
        tell(users=users, same_bytes=True)
    plain = {what: fitted(points["plain"][what]) for what in ("seconds", "cpu")}
    for engine in ENGINES:
        for what in ("seconds", "cpu"):
            a, b = fitted(points[engine][what])
            share = (plain[what][0] + plain[what][1] * FAR) / (a + b * FAR)
            told = {
                "engine": engine,
                "fit": what,
                "a_s": a,
                "b_us": b * 1e6,
                "users_a_second_at_10M": FAR / (a + b * FAR),
                "of_plain": share,
            }
            print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in told.items()}), flush=True)


def function(folder: Path, users: int = 8192, rounds: int = 15) -> None:
    """Microseconds a user of the function and of its parts, one thread, in turns; the best round and the median."""
    torch.set_num_threads(1)
    worker = Worker(Job.read(folder / "master.chrm", folder / "hypernetwork.safetensors"))
    batch = histories(0, users).combine_chunks().to_batches()[0]
    network, _ = load_hypernetwork(folder / "hypernetwork.safetensors", MasterWeights.load(folder / "master.chrm"))
    maker = StrategyMaker(network)
    budget = maker.budget(None)
    found = worker._catalogue.histories(batch["history"])
    padded = found.padded(np.ones(users, bool), maker.pools[-1])
    profiles = maker.profiles(padded)
    importance = maker.importance(profiles)
    widths = maker.widths(profiles, budget)

    def float32() -> None:
        with torch.inference_mode():
            for start in range(0, users, 128):
                network.importance(torch.from_numpy(profiles[start : start + 128]), 3.0).numpy()

    parts = {
        "all of it": lambda: worker.make(batch),
        "histories out of Arrow": lambda: worker._catalogue.histories(batch["history"]).padded(np.ones(users, bool), maker.pools[-1]),
        "profiles": lambda: maker.profiles(padded),
        "importance in float64": lambda: maker.importance(profiles),
        "importance in float32": float32,
        "allocation": lambda: allocate(importance, maker.table, budget),
        "encoding": lambda: maker.wire(widths),
    }
    calls: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds + 1):
        for name, part in parts.items():
            begun = time.thread_time()
            part()
            calls[name].append((time.thread_time() - begun) / users * 1e6)
    for name, (_, *timed) in calls.items():
        print(f"{name:24s} {min(timed):6.2f} us a user, median {np.median(timed):6.2f}: {1e6 / min(timed):,.0f} a processor second")


def main() -> None:
    """Print one JSON line a run and a fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--users", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--function", action="store_true")
    parser.add_argument("--run", nargs=3, metavar=("ENGINE", "SOURCE", "OUT"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.run:
        run_engine(arguments.run[0], arguments.folder, Path(arguments.run[1]), Path(arguments.run[2]))
        return
    make_model(arguments.folder)
    tell(machine=platform.processor() or platform.machine(), cores=os.cpu_count(), load=os.getloadavg()[0])
    if arguments.function:
        function(arguments.folder)
    else:
        whole_runs(arguments.folder, arguments.users, arguments.rounds)


if __name__ == "__main__":
    main()
