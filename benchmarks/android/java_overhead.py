"""What Java and JNI add to a rerank, without a phone: ``Engine.rerank`` beside the C program, on one emulated machine.

    python -m benchmarks.android.java_overhead                   # two boots of a Cortex-A76, three minutes
    python -m benchmarks.android.java_overhead --cpu cortex-a53 --boots 1 --json

The machine boots with Debian's OpenJDK for arm64; a JVM is no ART, so the numbers bound what a phone adds and are not its own. Both
sides have the same compiler, model (SASRec d=64, L=50, 2 blocks, 100 candidates, a strategy at 3.0 bits) and two histories, in turns
because the engine knows the last one, and must give the same scores. Figures belong to a way of running Java:

    interpreter     -Xint: nothing is compiled, as in the first calls of an app
    C1              -XX:TieredStopAtLevel=1: compiled quickly
    C2              by default: compiled quickly first, and with care what is called often

An emulated microsecond is 500 instructions of user space and kernel together; instructions are counted in user space. Needs what
`chordkit devices prepare emulator` and `python -m chordkit.runtime_bench.emulated.java` make, a JDK and gcc-aarch64-linux-gnu.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.kernels.arm_instructions import Case, make_case
from chordkit.errors import ChordkitError, DeviceError
from chordkit.kernels import build as libchord
from chordkit.runtime_bench.devices.emulator import DEFAULT, Emulator, booted_with
from chordkit.runtime_bench.emulated.java import COMMAND, Java, prepared_java
from chordkit.runtime_bench.emulated.machine import CPUS
from scripts.android import java, native, zips
from scripts.android.layout import LIBRARY
from scripts.android.process import program, run
from scripts.android.tools import jdk_headers, tools

HERE = Path(__file__).parent / "java"
MODES = {
    "interpreter": ("-Xint",),
    "C1": ("-XX:TieredStopAtLevel=1", "-Xbatch"),
    "C2": ("-Xbatch",),
}
"""``-Xbatch``: calls wait until what they need is compiled, so that nothing is compiled while others are measured."""
SHORT_CALLS, CALLS, LIMIT_S = 20_000, 200, 600.0


def build(folder: Path) -> list[Path]:
    """Everything that goes into the machine: classes, both native libraries, the C program."""
    found = tools()
    # javac's classes: a virtual machine does not compile all that was made of a dex file.
    library = java.compile_for_android(found, java.sources(LIBRARY / "main" / "java"), folder / "library")
    classes = java.compile_for_jvm([HERE / "TimeReranks.java"], folder / "classes", [library])
    jar = zips.write(folder / "all.jar", [*zips.of_folder(library), *zips.of_folder(classes)])
    engine = native.for_arm64(folder)
    counter = folder / "libinstruction_counter.so"
    runner = libchord.LIBCHORD / "tools" / "runner"
    headers = [f"-I{path}" for path in (*jdk_headers(), runner)]
    sources = [HERE / "instruction_counter.c", runner / "counter.c", runner / "system.c"]
    compiler = program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    run([compiler, *libchord.flags(), "-fPIC", "-shared", *headers, *sources, "-o", counter], "compiling the counter")
    runner_program = folder / "chord_runner"
    flags = [*libchord.flags(), "-static", "-o", runner_program]  # those of the library in Java, which build_arm.sh makes smaller
    run([compiler, *flags, *libchord.tool("runner"), *libchord.sources(), "-lm"], "compiling the program")
    return [jar, engine, counter, runner_program]


def measure(device: Emulator, runtime: Java, case: Case, files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Figures by way of running, ``C`` the program without Java."""
    for path in (*files, case.artifact, case.strategy, case.histories, case.candidates):
        device.push(path, f"{device.folder}/{path.name}")
    scores, figures = {}, {"C": _of_c(device, case)}
    scores["C"] = _scores(device, case)
    for name, options in MODES.items():
        command = [*runtime.within(), *options, "-XX:+UseSerialGC", f"-Djava.library.path={device.folder}"]
        command += ["-cp", f"{device.folder}/all.jar", "TimeReranks", device.folder, str(SHORT_CALLS), str(CALLS)]
        words = [line.split() for line in _run(device, command).splitlines()]
        figures[name] = {key: float(value) for key, value in words if key != "variant"}
        scores[name] = _scores(device, case)
    if any(not np.array_equal(found.view(np.int32), scores["C"].view(np.int32)) for found in scores.values()):
        raise DeviceError(f"{device.name}: Java's scores are not those of the C program; the figures mean nothing")
    return figures


def _run(device: Emulator, command: Sequence[str]) -> str:
    done = device.run(command, LIMIT_S)
    if done.status:
        raise DeviceError(f"{device.name}: {command[0]} ended with status {done.status}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def _scores(device: Emulator, case: Case) -> np.ndarray:
    local = case.artifact.with_name("scores.f32")
    device.pull(f"{device.folder}/scores.f32", local)
    _run(device, ["rm", f"{device.folder}/scores.f32"])
    return np.fromfile(local, "<f4")


def _of_c(device: Emulator, case: Case) -> dict[str, float]:
    names = {"artifact": case.artifact, "strategy": case.strategy, "histories": case.histories, "candidates": case.candidates}
    paths = {**{name: path.name for name, path in names.items()}, "scores": "scores.f32", "records": "records.jsonl"}
    command = [f"{device.folder}/chord_runner", "--target", "native", "--users", "2", "--adoptions", str(CALLS)]
    command += [word for name, file in paths.items() for word in (f"--{name}", f"{device.folder}/{file}")]
    found: dict[str, float] = {}
    for more in (["--min-samples", str(CALLS), "--min-seconds", "0"], ["--count", str(CALLS)]):
        _run(device, [*command, *more])
        for record in map(json.loads, _run(device, ["cat", f"{device.folder}/records.jsonl"]).splitlines()):
            if record["event"] == "adopt":
                found["adopt_us"] = float(np.median(record["us"]))
            elif record["event"] == "block":
                found |= {"us": float(np.median(record["us"])), "us_p90": float(np.percentile(record["us"], 90))}
            elif record["event"] == "counts":
                found["instructions"] = record["instructions"] / record["calls"]
    return found


def table(boots: Sequence[dict[str, dict[str, float]]]) -> list[str]:
    """Lines for people: of each way the figures of all boots, and what it adds to the C program in the first."""
    lines = [f"{'':12} {'us, p50':>22} {'p90':>10} {'adds':>8} {'instructions':>24} {'adds':>8} {'adopt us':>10}"]
    for name in boots[0]:
        each, base = [boot[name] for boot in boots], boots[0]["C"]
        us = " ".join(f"{one['us']:.3f}" for one in each)
        count = " ".join(f"{one['instructions']:,.1f}" for one in each)
        added = [f"{each[0][key] - base[key]:,.{digits}f}" for key, digits in (("us", 2), ("instructions", 0))]
        first = each[0]
        lines.append(f"{name:12} {us:>22} {first['us_p90']:>10.3f} {added[0]:>8} {count:>24} {added[1]:>8} {first['adopt_us']:>10.2f}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", choices=sorted(CPUS), default=DEFAULT)
    parser.add_argument("--boots", type=int, default=2, help="how often all of it is measured, on a fresh machine each time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        runtime = prepared_java()
        if runtime is None:
            raise DeviceError(f"there is no arm64 Java; `{COMMAND}` makes it")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            case, files, boots = make_case(folder), build(folder), []
            for _ in range(options.boots):
                with booted_with(runtime, options.cpu) as device:
                    boots.append(measure(device, runtime, case, files))
    except ChordkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(boots, indent=1) if options.json else "\n".join(table(boots)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
