"""Count the instructions that a rerank and an adoption execute on arm64, function by function, without a phone.

    python benchmarks/kernels/arm_instructions.py                       # SASRec d=64, L=50, 2 blocks, 100 candidates
    python benchmarks/kernels/arm_instructions.py --filled 25 --compiler gcc --json

qemu-user runs the static runner with a plugin that counts executed instructions by symbol. A count is the difference of two
runs that differ only in their number of repetitions, so that start-up and output drop out. Counts repeat exactly; they say
nothing about caches, clock or the width of a core. Needs qemu-user, gcc, gcc-aarch64-linux-gnu and, for ``--compiler clang``,
clang-19 and lld-19.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chordkit.kernels import build as libchord

PLUGIN_SOURCE = Path(__file__).with_name("arm_count_plugin.c")
QEMU = "qemu-aarch64"
"""The dynamically linked emulator: the static one cannot load plugins."""
SHARES = {8: 0.10, 4: 0.20, 2: 0.70}
"""Widths of the channels: 3.0 bits on average."""
HARNESS = ("main", "print_", "clock_gettime", "__clock_gettime", "__kernel_clock", "qsort", "msort", "ascending", "hack_digit")
HARNESS_PARTS = ("mpn_", "printf", "_IO_", "strchrnul", "outstring", "memmove_generic", "cfree", "malloc", "_itoa", "?")


@dataclass(frozen=True)
class Case:
    """Files of one measurement: master weights, a strategy at 3.0 bits, one history, candidates."""

    master: Path
    strategy: Path
    histories: Path
    candidates: Path

    def arguments(self) -> list[str]:
        """Options of ``chord_runner``."""
        named = {"master": self.master, "strategy": self.strategy, "histories": self.histories, "candidates": self.candidates}
        return [part for name, path in named.items() for part in (f"--{name}", str(path))]


def make_case(folder: Path, *, filled: int = 50, candidates: int = 100, heads: int = 1, items: int = 3707) -> Case:
    """Write the reference case: SASRec d=64, L=50, 2 blocks, random weights, ``filled`` items in the history."""
    import torch

    from chordkit.backbones import SASRecConfig, build, make_master
    from chordkit.strategy import Strategy, encode

    with torch.random.fork_rng():
        torch.manual_seed(5)
        master = make_master(build(SASRecConfig(items=items, dim=64, max_length=50, blocks=2, heads=heads, norm_first=True)))
    rng = np.random.default_rng(1)
    widths = rng.choice(list(SHARES), master.channel_table.channels, p=list(SHARES.values())).astype(np.uint8)
    history = rng.integers(1, items + 1, 50).astype(np.int32)
    history[: 50 - filled] = 0
    case = Case(folder / "master.chrm", folder / "strategy.chrd", folder / "histories.i32", folder / "candidates.i32")
    case.master.write_bytes(master.to_bytes())
    case.strategy.write_bytes(encode(Strategy(widths, master.fingerprint)))
    case.histories.write_bytes(history.tobytes())
    case.candidates.write_bytes(rng.integers(1, items + 1, candidates).astype(np.int32).tobytes())
    return case


def build_plugin(folder: Path) -> Path:
    """Compile the counting plugin for this host."""
    plugin = folder / "count.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-o", str(plugin), str(PLUGIN_SOURCE)], check=True)
    return plugin


def build_runner(folder: Path, compiler: str = "clang") -> Path:
    """Build the static arm64 programs; gives the path of ``chord_runner``."""
    subprocess.run([str(libchord.LIBCHORD / "build_arm.sh"), str(folder), compiler], check=True)
    return folder / "chord_runner"


def variants(runner: Path) -> list[str]:
    """Names of all that was compiled in, as the check beside the runner lists them."""
    command = [QEMU, str(runner.with_name("chord_variants_check")), "--list"]
    return [line.split()[0] for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]


def _run(plugin: Path, command: list[str], cpu: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        subprocess.run([QEMU, "-cpu", cpu, "-plugin", f"{plugin},out={out}", *command], check=True, stdout=subprocess.DEVNULL)
        counts: dict[str, int] = {}
        for line in out.read_text(encoding="utf-8").splitlines():
            count, symbol = line.split(maxsplit=1)
            counts[symbol] = counts.get(symbol, 0) + int(count)
        return counts


def _is_harness(symbol: str) -> bool:
    return symbol.startswith(HARNESS) or any(part in symbol for part in HARNESS_PARTS)


def count(plugin: Path, runner: Path, case: Case, variant: str, *, what: str = "repeat", cpu: str = "max") -> dict[str, float]:
    """Instructions of one rerank (``what="repeat"``) or one adoption (``"adoptions"``), by symbol.

    The runner's own clock reading and printing are left out; what remains is libchord and the libc functions it calls.
    """
    command = [str(runner), *case.arguments(), "--variant", variant]
    few, many = 2, 6
    low = _run(plugin, [*command, f"--{what}", str(few)], cpu)
    high = _run(plugin, [*command, f"--{what}", str(many)], cpu)
    counts = {symbol: (total - low.get(symbol, 0)) / (many - few) for symbol, total in high.items()}
    return {symbol: value for symbol, value in sorted(counts.items(), key=lambda pair: -pair[1]) if value > 0 and not _is_harness(symbol)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", choices=("clang", "gcc"), default="clang" if shutil.which("clang-19") else "gcc")
    parser.add_argument("--filled", type=int, default=50, help="items in the history of 50 slots")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--variants", help="names, with commas; all of them when it is not given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = make_case(folder, filled=options.filled, candidates=options.candidates, heads=options.heads)
        plugin, runner = build_plugin(folder), build_runner(folder, options.compiler)
        results = {
            variant: {what: count(plugin, runner, case, variant, what=what) for what in ("repeat", "adoptions")}
            for variant in (options.variants.split(",") if options.variants else variants(runner))
        }
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for variant, parts in results.items():
        for what, title in (("repeat", "rerank"), ("adoptions", "adoption")):
            print(f"{variant} {title}: {sum(parts[what].values()):,.0f} instructions")
            for symbol, value in list(parts[what].items())[:12]:
                print(f"  {value:>12,.1f}  {symbol}")


if __name__ == "__main__":
    main()
