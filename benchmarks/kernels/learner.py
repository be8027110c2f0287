"""What training on the phone costs on arm64 (kernels/libchord/learn): instructions by function, emulated time, memory, without a phone.

    python benchmarks/kernels/learner.py                            # 100 own and 200 outside lessons of different items: the worst case
    python benchmarks/kernels/learner.py --items 300 --cpu cortex-a53 --json

qemu-user runs a static program with the plugin of ``chordkit.runtime_bench.runners.profile``, which counts executed instructions; counts
repeat exactly. An emulated microsecond is 500 instructions (docs/benchmarking.md): no phone's microsecond. Needs what
arm_instructions.py needs.
"""

import argparse
import json
import shutil
import struct
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from chordkit.kernels import build as libchord
from chordkit.runtime_bench.devices import emulator
from chordkit.runtime_bench.runners.profile import QEMU, counted, plugin_library

HERE = Path(__file__).resolve().parent
ROOTS = {"states": "bench_states", "personalise": "bench_personalise", "personalise, gate closed": "bench_personalise"}


def make_case(folder: Path, items: int, local: int, outside: int, length: int) -> list[str]:
    """Random weights and histories: own lessons out of one history, outside ones eight to a piece of a whole window and eight items."""
    import torch

    from chordkit.backbones import SASRecConfig, build, make_master

    with torch.random.fork_rng():
        torch.manual_seed(5)
        (folder / "master.chrm").write_bytes(make_master(build(SASRecConfig(items=items, heads=1, norm_first=True))).to_bytes())
    generator = np.random.default_rng(1)
    piece = length + 8
    drawn = [generator.permutation(items)[: length + local] + 1] + [generator.permutation(items)[:piece] + 1 for _ in range(outside // 8)]
    own = np.array([[0, length + i] for i in range(local)], np.uint32)
    other = np.array([[piece * p, piece * p + length + i] for p in range(outside // 8) for i in range(8)], np.uint32)
    for name, flat, places in (("local", drawn[0], own), ("outside", np.concatenate(drawn[1:]), other)):
        flat = flat.astype(np.int32)
        (folder / name).write_bytes(struct.pack("<II", len(flat), len(places)) + flat.tobytes() + places.tobytes())
    return [str(folder / name) for name in ("master.chrm", "local", "outside")]


def build_program(folder: Path, compiler: str) -> Path:
    """The static arm64 program."""
    clang = ["clang-19", "-Wno-unused-command-line-argument", "--target=aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include"]
    if compiler == "clang":
        library = subprocess.run(["aarch64-linux-gnu-gcc", "-print-libgcc-file-name"], check=True, capture_output=True, text=True).stdout
        paths = [str(Path(library).parent), "/usr/aarch64-linux-gnu/lib"]
        command = [*clang, f"-B{paths[0]}", *(f"-L{path}" for path in paths), "-fuse-ld=lld-19"]
    else:
        command = ["aarch64-linux-gnu-gcc"]
    sources = [str(path) for path in (*libchord.sources(), *libchord.part_sources("learn"), HERE / "learner.c")]
    program = folder / "learner"
    subprocess.run([*command, *libchord.flags(), "-D_GNU_SOURCE", "-g1", "-static", *sources, "-lm", "-o", str(program)], check=True)
    return program


def count(program: Path, case: list[str], what: str, cpu: str, others: int) -> Counter[str]:
    """Instructions of one call, by function."""
    how = {"states": ("0", "0"), "personalise": ("1", "0.01"), "personalise, gate closed": ("1", "0")}[what]
    return counted(plugin_library(), [str(program), *case, "1", *how, str(others)], cpu, ROOTS[what]).by_function()


def on_the_emulated_machine(program: Path, case: list[str], cpu: str, others: int) -> dict[str, object]:
    """What the program says there: its milliseconds are those of a clock that counts instructions."""
    with emulator.connect(cpu) as device:
        places = [f"/data/local/tmp/{Path(path).name}" for path in (program, *case)]
        for path, place in zip((program, *case), places, strict=True):
            device.push(Path(path), place)
        done = device.run(["sh", "-c", f"chmod 755 {places[0]} && {' '.join(places)} 2 3 0.01 {others}"], 600)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", choices=("clang", "gcc"), default="clang" if shutil.which("clang-19") else "gcc")
    parser.add_argument("--cpu", default="cortex-a76")
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--local", type=int, default=100)
    parser.add_argument("--outside", type=int, default=200)
    parser.add_argument("--others", type=int, default=256, help="items that compete besides the targets")
    parser.add_argument("--length", type=int, default=50, help="items before each lesson")
    parser.add_argument("--emulator", action="store_true", help="run it on the emulated machine too (chordkit devices prepare emulator)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        case = make_case(Path(name), options.items, options.local, options.outside, options.length)
        program = build_program(Path(name), options.compiler)
        run = subprocess.run(
            [QEMU, "-cpu", options.cpu, str(program), *case, "1", "1", "0.01", str(options.others)],
            check=True,
            capture_output=True,
            text=True,
        )
        results = {what: count(program, case, what, options.cpu, options.others) for what in ROOTS}
        # Elsewhere a clock would tell how fast this host translates.
        facts = {key: value for key, value in json.loads(run.stdout).items() if not key.endswith("_ms")}
        if options.emulator:
            facts = on_the_emulated_machine(program, case, options.cpu, options.others)
    if options.json:
        print(json.dumps(facts | {what: dict(counts) for what, counts in results.items()}, indent=1))
        return
    print(facts)
    for what, counts in results.items():
        total = sum(counts.values())
        print(f"{what}: {total:,.0f} instructions, {total / 500_000:.1f} emulated ms")
        for symbol, value in counts.most_common(16):
            print(f"  {value:>12,.0f}  {symbol}")


if __name__ == "__main__":
    main()
