"""Master files against the exporter, and what a patch takes: the tables of docs/patching.md.

    python benchmarks/patching.py --users 50

Backbones are random, of their default sizes, over 1,682 items; importances of users are drawn, and give strategies of 2.5, 3, 4 and 6
average bits, a tenth of them with a tenth of the channels off. Every one is exported and patched, and the two files compared byte by byte.
Times are the processor's: of numpy on one thread, and of Java with its compiler and without (an interpreter alone, as on a phone before it
has compiled anything).
"""

import argparse
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import build, default_config, make_master
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.program import traced_once
from chordkit.export.targets import lower
from chordkit.patching import MasterFile
from chordkit.provenance import checkout
from chordkit.quantization import MasterWeights
from chordkit.strategy import Budget, Strategy, allocate, to_wire
from scripts.android import java
from scripts.android.tools import tools

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "android_demo" / "chord-android" / "src" / "main" / "java"
BUDGETS = (2.5, 3.0, 4.0, 6.0)
BACKBONES = ("sasrec", "caser", "gru4rec")
WAYS = (("litert", "fp32"), ("litert", "int8"), ("onnx", "fp32"))
ITEMS, REPEATS = 1682, 200
COLUMNS = (
    "backbone", "artifact", "activations", "bytes", "table", "equal to the exporter's", "open, ms", "patch, ms", "p99", "Java, first, ms",
    "Java, median", "Java, interpreted",
)  # fmt: skip


def strategies(master: MasterWeights, users: int) -> list[bytes]:
    """In their wire form, of each user one for each budget."""
    random, found = np.random.default_rng(0), []
    for bits in BUDGETS:
        for widths in allocate(random.random((users, master.channel_table.channels)), master.channel_table, Budget(bits)):
            off = random.random(widths.size) < (0.1 if len(found) % 10 == 0 else 0)
            found.append(to_wire(Strategy(np.where(off, 0, widths).astype(np.uint8), master.fingerprint)))
    return found


def timed(data: bytes, wire: bytes) -> tuple[float, float, float]:
    """ms: to open a master file, then the median and the 99th percentile of a patch."""
    opened, patched = [], []
    for _ in range(REPEATS):
        began = time.thread_time()
        everybody = MasterFile(data)
        opened.append(time.thread_time() - began)
        began = time.thread_time()
        everybody.patched(wire)
        patched.append(time.thread_time() - began)
    return 1e3 * statistics.median(opened), 1e3 * statistics.median(patched), 1e3 * float(np.quantile(patched, 0.99))


def timed_in_java(classes: list[Path], data: bytes, wire: bytes, wanted: bytes, option: str) -> tuple[float, float]:
    """ms, opening included: the first of a process, then the median."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("master", "strategy", "wanted")]
        for file, content in zip(files, (data, wire, wanted), strict=True):
            file.write_bytes(content)
        command = ["java", option, "-cp", ":".join(map(str, classes)), "TimePatches", *map(str, files), str(REPEATS)]
        first, _, median = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(first) / 1e3, float(median) / 1e3


def compiled(folder: Path) -> list[Path]:
    found = tools()
    library = java.compile_for_android(found, java.sources(java.CORE), folder / "library")
    return [java.compile_for_jvm([ROOT / "benchmarks" / "patching_java" / "TimePatches.java"], folder / "timer", [library]), library]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, commit {checkout()[0]}")
    print(f"| {' | '.join(COLUMNS)} |\n|---|---|---|{'---:|' * (len(COLUMNS) - 3)}")
    with tempfile.TemporaryDirectory() as folder:
        classes = compiled(Path(folder))
        for name in BACKBONES:
            torch.manual_seed(0)
            master = make_master(build(default_config(name, ITEMS)).eval())
            wires = strategies(master, options.users)
            for target, activations in WAYS:
                print(f"| {name} | {target} | {activations} | {row(master, target, activations, wires, classes)} |", flush=True)


def row(master: MasterWeights, target: str, activations: str, wires: list[bytes], classes: list[Path]) -> str:
    spec = ArtifactSpec(target, Precision.INT8, 100, activations, layout="speed")  # type: ignore[arg-type]
    mine = replace(spec, precision=Precision.STRATEGY)
    data = lower(spec, (master, np.full(master.channel_table.channels, 8, np.uint8)))
    everybody, equal, wanted = MasterFile(data), 0, b""
    with traced_once():
        for wire in wires:
            wanted = lower(mine, (master, _widths(everybody, wire)))
            equal += everybody.patched(wire) == wanted
    opened, patched, slow = timed(data, wires[-1])
    first, median = timed_in_java(classes, data, wires[-1], wanted, "-XX:+UseSerialGC")
    interpreted = timed_in_java(classes, data, wires[-1], wanted, "-Xint")[1]
    sizes = f"{len(everybody.content):,} | {len(data) - len(everybody.content):,} | {equal} of {len(wires)}"
    return f"{sizes} | {opened:.2f} | {patched:.2f} | {slow:.2f} | {first:.1f} | {median:.2f} | {interpreted:.1f}"


def _widths(everybody: MasterFile, wire: bytes) -> np.ndarray:
    from chordkit.strategy import decode

    return decode(wire, fingerprint=everybody.fingerprint, channels=everybody.channels).widths


if __name__ == "__main__":
    main()
