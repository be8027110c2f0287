"""ENOSPC and EIO at every write of every command that writes: each answers in one sentence, and leaves old files or whole new ones.

    python benchmarks/attack/faults.py [COMMAND ...] [--every N]

A library of ours (``faults.c``, compiled here) is preloaded and lets the N-th write, fsync, rename, link, mkdir or open for writing below
a folder fail: with EIO once, or with ENOSPC from there on, as a full disk does. Each command first runs undisturbed, which tells how many
such calls it makes; then once for every call and both errors. Printed are the counts; the exit status is 1 when a run broke a promise:

* the exit status is 2 with one sentence on stderr that names a path in the folder, or 0 with all files as in the undisturbed run;
* a file that was there is what it was, or whole and new; no other file is there than an undisturbed run leaves, and none at all where
  nothing was there before (a key pair).
"""

import argparse
import ctypes
import errno
import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
ERRORS = {"EIO": (errno.EIO, False), "ENOSPC": (errno.ENOSPC, True)}
LIGHT = "chordkit.cli.main, chordkit.cli.data, chordkit.data, chordkit.signing"
HEAVY = f"{LIGHT}, chordkit.export.assembly, chordkit.hypernetwork, chordkit.evaluation, torch.export, torch._dynamo"

# Imports once, then runs every command in a process forked from here, which has started no thread.
_NURSERY = """
import json, os, sys, traceback
import {modules}
from chordkit.cli.main import run
try:
    import chordkit.export.assembly
    chordkit.export.assembly.checkout = lambda: (None, None)  # the checkout may change meanwhile
except ImportError:
    pass
print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.environ["TMPDIR"] = request["tmp"]
            os.environ["CHORDKIT_CACHE"] = request["cache"]
            status = run(request["arguments"])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Plan(ctypes.Structure):
    """``struct plan`` of ``faults.c``."""

    _fields_ = (
        ("seen", ctypes.c_long), ("at", ctypes.c_long), ("error", ctypes.c_int), ("full", ctypes.c_int),
        ("under", ctypes.c_char * 4096), ("hit", ctypes.c_char * 4096),
    )  # fmt: skip


class Nursery:
    """Runs commands whose disk can be made to fail."""

    def __init__(self, folder: Path, modules: str = HEAVY) -> None:
        self._folder = folder
        library, plan = folder / "faults.so", folder / "plan"
        command = [shutil.which("gcc") or "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        plan.write_bytes(bytes(ctypes.sizeof(Plan)))
        with plan.open("r+b") as stream:
            self.plan = Plan.from_buffer(mmap.mmap(stream.fileno(), 0))
        environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
        environment |= {"LD_PRELOAD": str(library), "CHORD_FAULTS": str(plan)}
        start = [sys.executable, "-c", _NURSERY.replace("{modules}", modules)]
        self._process = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the nursery died"
        return line

    def run(self, arguments: Sequence[object], run: Path, at: int = 0, error: int = 0, full: bool = False) -> tuple[int, str, int, str]:
        """Exit status, what it said on stderr, how many calls there were below ``run``, and which failed."""
        assert self._process.stdin is not None
        (run / "tmp").mkdir(parents=True, exist_ok=True)
        words = self._folder / "stderr"
        self.plan.seen, self.plan.at, self.plan.error, self.plan.full, self.plan.hit = 0, at, error, full, b""
        self.plan.under = os.fsencode(run.resolve())
        request = {
            "arguments": [str(each) for each in arguments],
            "stderr": str(words),
            "tmp": str(run / "tmp"),
            "cache": str(self._folder / "cache"),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = int(self._line())
        self.plan.under = b""
        return status, words.read_text(), self.plan.seen, self.plan.hit.decode()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@contextmanager
def nursery(modules: str = HEAVY) -> Iterator[Nursery]:
    """One for the block."""
    with tempfile.TemporaryDirectory(prefix="chord-faults-") as folder:
        made = Nursery(Path(folder), modules)
        try:
            yield made
        finally:
            made.close()


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        arguments: its arguments, from the folder of a project and the folder to write into.
        old: files that are there before, with other content.
        varying: files whose bytes differ from run to run, or are of a step on the way; they only have to be whole.
        left: endings of files that may be left by a run that failed: what was measured so far.
    """

    arguments: Callable[[Path, Path], list[object]]
    old: tuple[str, ...] = ()
    varying: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


COLUMNS = ("--user", "uid", "--item", "sku", "--time", "ts")
SMALL = ("--epochs", 1, "--finetuned", 0, "--no-vectors", "--budget", "3.0", "--held-out", 1, "--validation", 1)
QUICK = ("--artifact", "native-u5", "--rounds", 5, "--block-ms", 1, "--processes", 0, "--launches", 1)


def _sources(p: Path, *names: str) -> list[object]:
    """Options that name files of the project."""
    files = {
        "data": "shop.safetensors", "master": "m.chrm", "hypernetwork": "h.safetensors", "strategy": "u5.chrd", "artifacts": "artifacts",
        "key": "key.pem", "backbone": "m.fp32.safetensors",
    }  # fmt: skip
    return [word for name in names for word in (f"--{name}", p / files[name])]


def _train(p: Path, epochs: int) -> list[object]:
    return ["train", "backbone", *_sources(p, "data"), "--dim", 16, "--max-length", 20, "--epochs", epochs, "--threads", 1]


def _join(p: Path) -> list[object]:
    return ["train", "hypernetwork", *_sources(p, "data"), "--backbone", p / "b.safetensors", "--epochs", 1]


def _export(p: Path) -> list[object]:
    return ["export", *_sources(p, "master", "backbone", "strategy"), "--target", "litert,onnx,native", "--candidates", 20]


def _bundle(p: Path) -> list[object]:
    sources = _sources(p, "master", "backbone", "strategy", "artifacts", "data", "key")
    return ["bundle", "make", *sources, "--histories", 20, "--vectors", 8]


def _strategy(p: Path) -> list[object]:
    return ["strategy", "make", *_sources(p, "hypernetwork", "master", "data"), "--user", "5"]


COMMANDS = {
    "data prepare": Command(
        lambda p, out: ["data", "prepare", p / "clicks.csv", *COLUMNS, "--out", out / "x.safetensors"], old=("x.safetensors",)
    ),
    "bundle key": Command(
        lambda p, out: ["bundle", "key", "--private", out / "a" / "key.pem", "--public", out / "b" / "key.pub.pem"],
        varying=("a/key.pem", "b/key.pub.pem"),
    ),
    "strategy make": Command(lambda p, out: [*_strategy(p), "--out", out / "u.chrd"], old=("u.chrd",)),
    "train backbone": Command(
        lambda p, out: [*_train(p, 2), "--out", out / "b.safetensors"],
        old=("b.safetensors",),
        varying=("b.safetensors.checkpoints/training.safetensors",),
    ),
    "train hypernetwork": Command(
        lambda p, out: [*_join(p), "--out", out / "h.safetensors", "--master", out / "m.chrm"],
        old=("h.safetensors", "m.chrm", "m.fp32.safetensors"),
    ),
    "export": Command(lambda p, out: [*_export(p), "--out", out], old=("export.json", "master.chrm", "litert-int8.tflite")),
    "bundle make": Command(lambda p, out: [*_bundle(p), "--out", out / "shop.chord"], old=("shop.chord",)),
    "evaluate": Command(
        lambda p, out: ["evaluate", *_sources(p, "data"), "--backbone", p / "b.safetensors", "--seeds", 1, *SMALL, "--out", out],
        old=("evaluation.json", "evaluation.md", "quality.svg"),
        varying=("evaluation.json", "evaluation.md", "3-of-2.4.8/seed0.safetensors"),
    ),
    "report": Command(
        lambda p, out: ["report", p / "report.json", "--out", out / "r.html", "--markdown", out / "r.md"], old=("r.html", "r.md")
    ),
    "bench run": Command(
        lambda p, out: ["bench", "run", p / "shop.chord", *QUICK, "--out", out / "x.json", "--androidx", out / "a.json"],
        old=("x.json", "x.html", "a.json", "x.jsonl"),
        varying=("x.json", "x.html", "a.json", "x.jsonl"),
        left=(".partial.jsonl",),
    ),
    "bench history": Command(lambda p, out: ["bench", "history", p / "bench.json", "--out", out / "h.html"], old=("h.html",)),
}
OLD = b"what was there before"


@dataclass
class Tally:
    """What a walk gave."""

    calls: int = 0
    runs: int = 0
    tolerated: int = 0
    broken: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


def walk(run: Nursery, name: str, project: Path, folder: Path, every: int = 1, say: Callable[[str], None] = print) -> Tally:
    """Let every ``every``-th call of a command fail with each error, and hold what it leaves against the promises.

    Args:
        run: runs it.
        name: of ``COMMANDS``.
        project: a folder with what the commands read.
        folder: for what they write.
        every: 1 = all.
        say: told what is broken, as it is found.
    """
    command, tally = COMMANDS[name], Tally()

    def prepared() -> Path:
        where = folder / "run"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        for file in command.old:
            (where / file).write_bytes(OLD)
        return where

    where = prepared()
    status, said, tally.calls, _ = run.run(command.arguments(project, where), where)
    assert status in (0, 1), said
    good = status
    new = _digests(where)
    for at in range(1, tally.calls + 1, every):
        for label, (number, full) in ERRORS.items():
            where = prepared()
            status, said, _, hit = run.run(command.arguments(project, where), where, at, number, full)
            tally.runs += 1
            tally.kinds[f"{label} {hit.split(' ')[0]}"] += 1
            problems = _problems(command, where, new, status, said, good)
            tally.tolerated += status == good
            if problems:
                tally.broken.append(f"{name}, call {at} of {tally.calls} ({label}, {hit.replace(str(where), '')}): {'; '.join(problems)}")
                say(tally.broken[-1])
    return tally


def _problems(command: Command, where: Path, new: dict[str, str], status: int, said: str, good: int) -> list[str]:
    problems = []
    # LiteRT greets on stderr, whatever comes of it.
    lines = [line for line in said.splitlines() if not line.startswith("INFO: Created TensorFlow Lite")]
    if status == 2:
        if len(lines) != 1 or not lines[0].startswith("chordkit: ") or str(where) not in lines[0]:
            problems.append(f"it says {said[-300:]!r}")
    elif status != good:
        problems.append(f"status {status}: {said[-300:]!r}")
    old = hashlib.sha256(OLD).hexdigest()
    found = _digests(where)
    for file, digest in found.items():
        if file not in new:
            if not file.endswith(command.left or ("\0",)):
                problems.append(f"left {file}")
        elif digest not in (old, new[file]) and not (file in command.varying and _whole(where / file)):
            problems.append(f"{file} is neither old nor new")
    if not command.old and status != good:
        problems += [f"{file} is there alone" for file in found]
    problems += [f"{file} is gone" for file in command.old if file not in found]
    if status == good:
        problems += [f"{file} is missing although all went well" for file in new if file not in found or found[file] == old]
    return problems


def _whole(path: Path) -> bool:
    if path.suffix == ".safetensors":
        from chordkit.training.checkpoint import read_tensors

        return bool(read_tensors(path, "file"))
    text = path.read_text().rstrip()
    if path.suffix == ".json":
        json.loads(text)
    return text.endswith("</html>") if path.suffix == ".html" else text[-1] in "}-|."


def _digests(folder: Path) -> dict[str, str]:
    # onnxruntime's own, of its telemetry.
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".ses")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_project(run: Nursery, folder: Path) -> None:
    """What the commands read, by the commands themselves, undisturbed."""
    from chordkit.data import synthesize

    data = synthesize(3, users=120, items=130, mean_length=15, max_length=30)
    lines = [f"{user},s{item},{time}" for user, sequence in enumerate(data.sequences, 1) for time, item in enumerate(sequence)]
    (folder / "clicks.csv").write_text("\n".join(["uid,sku,ts", *lines, ""]))
    for arguments in (
        ["data", "prepare", folder / "clicks.csv", *COLUMNS, "--out", folder / "shop.safetensors"],
        [*_train(folder, 1), "--out", folder / "b.safetensors"],
        [*_join(folder), "--out", folder / "h.safetensors", "--master", folder / "m.chrm"],
        [*_strategy(folder), "--out", folder / "u5.chrd"],
        [*_export(folder), "--out", folder / "artifacts"],
        ["bundle", "key", "--private", folder / "key.pem", "--public", folder / "key.pub.pem"],
        [*_bundle(folder), "--out", folder / "shop.chord"],
        ["bench", "run", folder / "shop.chord", *QUICK, "--out", folder / "bench.json"],
    ):
        status, said, _, _ = run.run(arguments, folder / "scratch")
        assert status == 0, said


def make_report(folder: Path) -> None:
    """A ``report.json`` by a demo of the smallest size."""
    from chordkit.demo import DemoOptions
    from chordkit.demo import run as demo
    from chordkit.export.targets import find_target
    from chordkit.runtime_bench.protocol import Settings

    quick = {"targets": (find_target("native"),), "epochs": 1, "hypernetwork_epochs": 1, "histories": 20, "users": 2, "exported_users": 1}
    bench = Settings(rounds=5, block_ms=1, processes=0)
    result = demo(DemoOptions(folder / "demo", data=str(folder / "shop.safetensors"), bench=bench, **quick))
    shutil.copy(result.json, folder / "report.json")


def main() -> int:
    """Walk the commands that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--every", type=int, default=1, help="only every so manyth call")
    arguments = parser.parse_args()
    names = arguments.commands or list(COMMANDS)
    broken = runs = 0
    with tempfile.TemporaryDirectory(prefix="chord-faults-") as work, nursery() as run:
        folder = Path(work).resolve()
        (folder / "project").mkdir()
        make_project(run, folder / "project")
        if "report" in names:
            make_report(folder / "project")
        for name in names:
            tally = walk(run, name, folder / "project", folder / "work", arguments.every, lambda line: print(line, flush=True))
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items()))
            counts = f"{tally.calls} calls, {tally.runs} faults, {tally.tolerated} done all the same, {len(tally.broken)} broken"
            print(f"{name}: {counts} ({kinds})", flush=True)
            broken, runs = broken + len(tally.broken), runs + tally.runs
    print(f"{runs} faults, {broken} broken promises")
    return broken > 0


if __name__ == "__main__":
    sys.exit(main())
