"""Count the instructions that a rerank and an adoption execute on arm64, function by function, without a phone.

    python benchmarks/kernels/arm_instructions.py                       # SASRec d=64, L=50, 2 blocks, 100 candidates
    python benchmarks/kernels/arm_instructions.py --filled 25 --compiler gcc --json
    python benchmarks/kernels/arm_instructions.py --sharp               # queries so large that the engine attends in floats

qemu-user runs the static runner with the plugin of ``chordkit.runtime_bench.runners.profile``, which counts executed instructions by
symbol. A count is the difference of two runs that differ only in their number of repetitions. Counts repeat exactly; they say
nothing about caches, clock or the width of a core. Needs qemu-user, gcc, gcc-aarch64-linux-gnu and, for ``--compiler clang``,
clang-19 and lld-19.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chordkit.kernels import build as libchord
from chordkit.runtime_bench.runners.profile import QEMU, counted, plugin_library

SHARES = {8: 0.10, 4: 0.20, 2: 0.70}
"""Widths of the channels: 3.0 bits on average."""
ROOTS = {"count": "bench_call", "adoptions": "bench_adopt"}
"""Functions of the runner, of which the calls are counted: a rerank, an adoption."""


@dataclass(frozen=True)
class Case:
    """Files of one measurement: master weights, a strategy at 3.0 bits, two histories in turns (the engine knows the last), candidates."""

    artifact: Path
    strategy: Path
    histories: Path
    candidates: Path

    def arguments(self) -> list[str]:
        """Options of ``chord_runner``."""
        named = {"artifact": self.artifact, "strategy": self.strategy, "histories": self.histories, "candidates": self.candidates}
        named |= {"scores": self.artifact.with_name("scores.f32"), "records": self.artifact.with_name("records.jsonl")}
        return ["--target", "native", "--users", "2", *(part for name, path in named.items() for part in (f"--{name}", str(path)))]


def make_case(folder: Path, *, filled: int = 50, candidates: int = 100, heads: int = 1, items: int = 3707, sharp: bool = False) -> Case:
    """Write the reference case: SASRec d=64, L=50, 2 blocks, random weights, ``filled`` items in the history; ``sharp``: large queries."""
    import torch

    from chordkit.backbones import SASRecConfig, build, make_master
    from chordkit.strategy import Strategy, encode

    with torch.random.fork_rng():
        torch.manual_seed(5)
        backbone = build(SASRecConfig(items=items, dim=64, max_length=50, blocks=2, heads=heads, norm_first=True))
        for name, layer in backbone.channel_layers().items():
            layer.weight.data *= 100 if sharp and name.endswith(".query") else 1
        master = make_master(backbone)
    rng = np.random.default_rng(1)
    widths = rng.choice(list(SHARES), master.channel_table.channels, p=list(SHARES.values())).astype(np.uint8)
    history = rng.integers(1, items + 1, 50).astype(np.int32)
    history[: 50 - filled] = 0
    case = Case(folder / "master.chrm", folder / "strategy.chrd", folder / "histories.i32", folder / "candidates.i32")
    case.artifact.write_bytes(master.to_bytes())
    case.strategy.write_bytes(encode(Strategy(widths, master.fingerprint)))
    other = np.append(history[:-1], 1 + history[-1] % items).astype(np.int32)
    case.histories.write_bytes(np.stack([history, other]).tobytes())
    case.candidates.write_bytes(np.tile(rng.integers(1, items + 1, candidates).astype(np.int32), 2).tobytes())
    return case


def build_runner(folder: Path, compiler: str = "clang") -> Path:
    """Build the static arm64 programs; gives the path of ``chord_runner``."""
    subprocess.run([str(libchord.LIBCHORD / "build_arm.sh"), str(folder), compiler], check=True)
    return folder / "chord_runner"


def variants(runner: Path) -> list[str]:
    """Names of all that was compiled in, as the check beside the runner lists them."""
    command = [QEMU, str(runner.with_name("chord_variants_check")), "--list"]
    return [line.split()[0] for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]


def count(runner: Path, case: Case, variant: str, *, what: str = "count", cpu: str = "max") -> dict[str, float]:
    """Instructions of one rerank (``what="count"``) or one adoption (``"adoptions"``), by symbol: libchord and the libc that it calls."""
    command = [str(runner), *case.arguments(), "--variant", variant]
    few, many = 2, 6

    def total(number: int) -> Counter[str]:
        repeats = {"count": few, "adoptions": few, what: number}
        options = [part for name, value in repeats.items() for part in (f"--{name}", str(value))]
        return counted(plugin_library(), [*command, *options], cpu, ROOTS[what]).by_function()

    low, high = total(few), total(many)
    counts = {symbol: (value - low[symbol]) / (many - few) for symbol, value in high.items()}
    # What has no symbol are the linker's stubs before a function of libc.
    left_out = (ROOTS[what], "?")
    return {symbol: value for symbol, value in sorted(counts.items(), key=lambda pair: -pair[1]) if value > 0 and symbol not in left_out}


def code_bytes(runner: Path, case: Case, variant: str, cpu: str = "max") -> int:
    """Distinct bytes of code that reranks execute: what a cold call has to fetch."""
    options = ["--variant", variant, "--count", "4", "--adoptions", "2"]
    found = counted(plugin_library(), [str(runner), *case.arguments(), *options], cpu, ROOTS["count"])
    return 4 * sum(1 for at in found.code if found.owner[at] != ROOTS["count"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", choices=("clang", "gcc"), default="clang" if shutil.which("clang-19") else "gcc")
    parser.add_argument("--filled", type=int, default=50, help="items in the history of 50 slots")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--variants", help="names, with commas; all of them when it is not given")
    parser.add_argument("--sharp", action="store_true", help="a model that attends in floats")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = make_case(folder, filled=options.filled, candidates=options.candidates, heads=options.heads, sharp=options.sharp)
        runner = build_runner(folder, options.compiler)
        results = {
            variant: {"code": {"bytes": code_bytes(runner, case, variant)}}
            | {what: count(runner, case, variant, what=what) for what in ("count", "adoptions")}
            for variant in (options.variants.split(",") if options.variants else variants(runner))
        }
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for variant, parts in results.items():
        print(f"{variant} rerank: {parts['code']['bytes']:,} bytes of code touched")
        for what, title in (("count", "rerank"), ("adoptions", "adoption")):
            print(f"{variant} {title}: {sum(parts[what].values()):,.0f} instructions")
            for symbol, value in list(parts[what].items())[:12]:
                print(f"  {value:>12,.1f}  {symbol}")


if __name__ == "__main__":
    main()
