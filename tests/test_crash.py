"""SIGKILL at random moments of training, of export and of making a bundle: twenty times in all, or as often as ``CHORD_KILLS`` says.

Whatever is then there under its final name is whole, and the same command run again gives what an uninterrupted run gives.
"""

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chordkit.export import bundle
from chordkit.export.collection import INDEX, read_folder
from chordkit.quantization import MasterWeights
from chordkit.training import load_backbone
from chordkit.training.checkpoint import read_tensors

pytestmark = pytest.mark.long

# Imports once what every command needs (seconds), then runs each command in a process of its own, forked from here. It has
# started no thread and computed nothing, so a child is as good as a process from scratch.
_NURSERY = """
import json, os, sys
import onnx, onnxruntime, ai_edge_litert.interpreter, torch._dynamo, torch.export
import chordkit.data, chordkit.export.assembly, chordkit.hypernetwork, chordkit.training
import chordkit.export.targets.litert.lower, chordkit.export.targets.onnx.lower
from chordkit.cli.main import run
# A bundle names the commit of the checkout, which may change while the test runs.
chordkit.export.assembly.checkout = lambda: (None, None)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os._exit(run(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLED = -signal.SIGKILL
KILLS = int(os.environ.get("CHORD_KILLS", "20"))


class Nursery:
    """Runs commands as processes that can be killed."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _NURSERY]
        # Unbuffered, so that select() sees all there is to read.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment)
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        assert line, "the nursery died"
        return line

    def run(self, arguments: list[str], kill_after: float | None = None) -> int:
        """The exit status of a command; ``KILLED`` when it was still running after ``kill_after`` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(arguments) + "\n").encode())
        child = os.pidfd_open(int(self._line()))
        try:
            if kill_after is not None and not select.select([self._process.stdout], [], [], kill_after)[0]:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
            return int(self._line())
        finally:
            os.close(child)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    for module in ("onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(module)
    nursery = Nursery()
    yield nursery
    nursery.close()


def _whole_files(folder: Path) -> dict[str, str]:
    """Digest of every file under a final name; those of unfinished writes have another (files.py), and the next write sweeps them."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".partial"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_and_repeat(
    nursery: Nursery,
    kills: int,
    seed: int,
    folder: Path,
    command: Callable[[Path], list[str]],
    whole: Callable[[Path, dict[str, str]], None],
) -> None:
    """Kill ``command(folder)`` ``kills`` times at random moments, repeat it each time, and compare with an uninterrupted run.

    Args:
        nursery: runs it.
        kills: how often; the moments are spread over the whole run, random within their share of it.
        seed: of the moments.
        folder: for the folders of the runs.
        command: arguments of a command that writes into a folder.
        whole: checks that what is in a folder is whole, given the digests of the files of the uninterrupted run.
    """
    assert nursery.run(command(folder / "warm")) == 0  # the file cache, and anything else that only the first run meets
    started = time.monotonic()
    assert nursery.run(command(folder / "uninterrupted")) == 0
    duration = time.monotonic() - started
    expected = _whole_files(folder / "uninterrupted")
    moments = random.Random(seed)
    done = 0
    for attempt in range(5 * kills):
        run = folder / f"run{attempt}"
        status = nursery.run(command(run), kill_after=duration * (done + moments.random()) / kills)
        assert status in (0, KILLED)
        whole(run, expected)
        if status == 0:
            # It was faster than the one that was timed: nothing was killed, so this was no attempt.
            duration *= 0.8
            continue
        assert nursery.run(command(run)) == 0
        whole(run, expected)
        assert _whole_files(run) == expected
        left = {path.parent for path in run.rglob(".chordkit-*.partial")}
        # A folder that has nothing left to be written is not looked at: the checkpoints of a run that had come to its end.
        assert all(folder.name.endswith(".checkpoints") for folder in left)
        done += 1
        if done == kills:
            return
    pytest.fail(f"only {done} of {kills} runs could be killed")


def test_a_killed_training_goes_on_to_the_same_backbone(nursery: Nursery, project, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        options = ["--dim", "16", "--max-length", "20", "--epochs", "6", "--threads", "1"]
        return ["train", "backbone", "--data", str(project / "shop.safetensors"), *options, "--out", str(folder / "b.safetensors")]

    def whole(folder: Path, expected: dict[str, str]) -> None:
        if (folder / "b.safetensors").exists():
            load_backbone(folder / "b.safetensors")
        for checkpoint in folder.glob("b.safetensors.checkpoints/[!.]*"):
            read_tensors(checkpoint, "training checkpoint")

    kill_and_repeat(nursery, KILLS * 2 // 5, 1, tmp_path, command, whole)


def test_a_killed_hypernetwork_training_goes_on_to_the_same_master(nursery: Nursery, project, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        source = ["--data", str(project / "shop.safetensors"), "--backbone", str(project / "b.safetensors"), "--epochs", "3"]
        return ["train", "hypernetwork", *source, "--out", str(folder / "h.safetensors"), "--master", str(folder / "m.chrm")]

    def whole(folder: Path, expected: dict[str, str]) -> None:
        if (folder / "m.chrm").exists():
            MasterWeights.load(folder / "m.chrm")
        for file in folder.rglob("[!.]*.safetensors"):
            read_tensors(file, "file")

    kill_and_repeat(nursery, KILLS // 5, 2, tmp_path, command, whole)


def test_a_killed_export_is_never_taken_for_a_whole_one(nursery: Nursery, project, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        source = ["--master", str(project / "m.chrm"), "--strategy", str(project / "u5.chrd"), "--candidates", "20"]
        return ["export", *source, "--target", "litert,onnx,native", "--out", str(folder)]

    def whole(folder: Path, expected: dict[str, str]) -> None:
        # An export is a function of its inputs: a file that is there has exactly its bytes.
        assert _whole_files(folder).items() <= expected.items()
        if (folder / INDEX).exists():
            assert len(read_folder(folder)[1]) == 6

    kill_and_repeat(nursery, KILLS // 5, 3, tmp_path, command, whole)


def test_a_killed_bundle_is_never_taken_for_a_whole_one(nursery: Nursery, project, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        source = ["--master", str(project / "m.chrm"), "--backbone", str(project / "m.fp32.safetensors")]
        source += ["--strategy", str(project / "u5.chrd")]
        parts = ["--artifacts", str(project / "artifacts"), "--data", str(project / "shop.safetensors"), "--key", str(project / "key.pem")]
        return ["bundle", "make", *source, *parts, "--out", str(folder / "shop.chord")]

    def whole(folder: Path, expected: dict[str, str]) -> None:
        if (folder / "shop.chord").exists():
            assert bundle.verify(folder / "shop.chord", project / "key.pub.pem").passed

    kill_and_repeat(nursery, KILLS // 5, 4, tmp_path, command, whole)
