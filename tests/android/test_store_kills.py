"""A store whose process is killed (SIGKILL): before every step of a change, at any time, and two processes at one store."""

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tests.android.java_virtual_machines", reason="the wheel has no sources of Android")

pytestmark = pytest.mark.checkout

CHILD = "io.chordkit.StoreChild"
OLD = "6 CURRENT mixed-nobody"
LEARNED = f"{OLD} learned from"
CHANGES = {
    "install": (OLD, "7 CURRENT mixed-nobody"),
    "adopt": (OLD, "6 CURRENT off-nobody"),
    "learn": (f"{LEARNED} 35", f"{LEARNED} 100"),
}
KILLED = -9


@pytest.fixture
def start(virtual_machine: Callable[[str], Any], material: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a process at a store."""
    machine = virtual_machine("x86_64")
    options = [f"-Djava.library.path={machine.native}", f"-Dchord.test.folder={material}", "-Xshare:auto", "-XX:TieredStopAtLevel=1"]
    command = ["java", *options, "-cp", os.pathsep.join(map(str, machine.classes)), CHILD]

    def child(*words: object) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    assert child.wait(60) == KILLED


def found(start: Callable[..., subprocess.Popen[str]], folders: list[Path]) -> list[str]:
    said, _ = start("found", *folders).communicate(timeout=120)
    return said.splitlines()


@pytest.mark.parametrize("change", CHANGES)
def test_a_process_that_is_killed_before_any_step_leaves_the_old_or_the_new(
    change: str, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    steps: list[str] = []
    folders: list[Path] = []
    while not steps or steps[-1] != "done":
        folders.append(tmp_path / str(len(steps)))
        child = start("step", folders[-1], change, len(steps))
        assert child.stdout is not None
        steps.append(child.stdout.readline().strip())
        if steps[-1] == "done":
            assert child.wait(60) == 0
        else:
            assert steps[-1].startswith("before "), steps[-1] + child.stdout.read()
            kill(child)
    assert len(steps) == 12
    turn = steps.index("before rename state") + 1
    old, new = CHANGES[change]
    assert found(start, folders) == [old] * turn + [new] * (len(steps) - turn)


def test_a_process_that_is_killed_at_any_time_leaves_one_of_the_two(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    chance, folders = random.Random(11), []
    for number in range(8):
        folders.append(tmp_path / str(number))
        child = start("loop", folders[-1], 1_000_000)
        assert child.stdout is not None and child.stdout.readline() == "started\n"
        time.sleep(chance.uniform(0, 0.4))
        kill(child)
        assert len(os.listdir(folders[-1])) <= 2 + 2 + 2 + 2  # bundles, envelopes, state and lock, and what was about to be
    answers = found(start, folders)
    assert len(answers) == len(folders) and set(answers) <= {"9 CURRENT mixed-nobody", "9 CURRENT off-nobody"}, answers


def test_an_update_that_is_killed_at_any_time_leaves_a_bundle_with_its_own_strategy(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    chance, folders = random.Random(12), []
    for number in range(5):
        folders.append(tmp_path / str(number))
        child = start("follow", folders[-1], 1_000_000)
        assert child.stdout is not None and child.stdout.readline() == "started\n"
        time.sleep(chance.uniform(0, 0.4))
        kill(child)
    answers = found(start, folders)
    assert len(answers) == len(folders) and set(answers) <= {"7 CURRENT mixed-nobody", "5 CURRENT off-nobody"}, answers


def test_two_processes_wait_for_each_other(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    children = [start("loop", tmp_path / "store", 40) for _ in range(2)]
    for child in children:
        said, _ = child.communicate(timeout=120)
        assert (child.returncode, said) == (0, "started\ndone\n")
    assert found(start, [tmp_path / "store"])[0] in ("9 CURRENT mixed-nobody", "9 CURRENT off-nobody")
