"""One bench at a time on a device, and the programs of a killed client: on a folder of this machine, by the scripts that run on devices."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.android import lock as locks
from chordkit.runtime_bench.android import script
from chordkit.runtime_bench.android.lock import Owner, clear_leftovers, lock
from chordkit.runtime_bench.devices.device import Completed, Device
from chordkit.runtime_bench.results import Machine, State

pytestmark = pytest.mark.long

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"], ["sh"]) if shutil.which(shell[0])]


class Here(Device):
    """A folder of this machine as a device."""

    name = "adb:here"
    abi = "x86_64"

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder / "a folder")

    def describe(self) -> Machine:
        return machine.describe()

    def state(self) -> State:
        return machine.state()

    def push(self, local: Path, remote: str) -> None:
        shutil.copy(local, remote)

    def pull(self, remote: str, local: Path) -> None:
        shutil.copy(remote, local)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
        return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def device(tmp_path: Path) -> Here:
    return Here(tmp_path)


def _owner(device: Here) -> Path:
    return Path(device.folder, "lock", "owner")


def _leave(device: Here, **changes: object) -> None:
    """A lock as a client leaves it that did not give it back."""
    with lock(device) as mine:
        left = mine.model_copy(update={"token": "ab", **changes})
    _owner(device).parent.mkdir()
    _owner(device).write_text(left.model_dump_json() + "\n")


def test_a_second_bench_is_told_who_holds_the_device(device: Here) -> None:
    with (
        lock(device),
        pytest.raises(DeviceError, match=rf"adb:here is in use by .* process {os.getpid()}, since 20.*remove .*/lock\*"),
        lock(device),
    ):
        pass
    with lock(device) as mine:
        assert Owner.model_validate_json(_owner(device).read_text()) == mine
    assert os.listdir(device.folder) == []


def test_an_error_inside_gives_the_device_back(device: Here) -> None:
    with pytest.raises(KeyboardInterrupt), lock(device):
        raise KeyboardInterrupt
    assert os.listdir(device.folder) == []


def _hold(folder: str) -> None:
    with lock(Here(Path(folder))):
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_lock_of_a_killed_client_is_taken_over(device: Here, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(str(tmp_path),))
    process.start()
    process.join(20)
    assert _owner(device).exists()
    with lock(device):
        pass
    assert os.listdir(device.folder) == []


@pytest.mark.parametrize(
    "changes",
    [{"device_boot": "another"}, {"boot": "another"}, {"started": "1"}, {"pid": 2**22 + 5, "started": "12"}],
    ids=["the device started anew", "this computer started anew", "the number is another process's", "the process is gone"],
)
def test_a_stale_lock_is_recognised(device: Here, changes: dict[str, object]) -> None:
    _leave(device, **changes)
    with lock(device) as mine:
        assert mine.token != "ab"


@pytest.mark.parametrize(
    "changes",
    [{"host": "another"}, {"machine": "another"}, {"namespace": "pid:[1]"}, {"user": "eve"}],
    ids=["another computer", "another computer of the same name", "a container of this computer", "a live process"],
)
def test_a_lock_that_may_hold_is_left_alone(device: Here, changes: dict[str, object]) -> None:
    _leave(device, **changes)
    with pytest.raises(DeviceError, match="is in use by"), lock(device):
        pass
    assert os.listdir(device.folder) == ["lock"]


@pytest.mark.parametrize("content", ["", "{}", "no json", "[" * 100_000])
def test_what_is_no_lock_of_ours_is_not_removed(device: Here, content: str) -> None:
    _owner(device).parent.mkdir(parents=True)
    _owner(device).write_text(content)
    with pytest.raises(DeviceError, match="no lock of chordkit"), lock(device):
        pass
    assert _owner(device).exists()


def test_a_lock_of_another_is_not_given_back(device: Here) -> None:
    with lock(device) as mine:
        _owner(device).write_text(mine.model_copy(update={"token": "another"}).model_dump_json() + "\n")
    assert _owner(device).exists()


def test_what_a_killed_removal_left_locks_nobody_out(device: Here) -> None:
    Path(device.folder, "lock").mkdir(parents=True)
    with lock(device):
        assert _owner(device).exists()
    assert os.listdir(device.folder) == []


def test_of_many_clients_at_once_one_gets_the_device(device: Here, tmp_path: Path) -> None:
    _leave(device, device_boot="another")
    count = tmp_path / "count"
    code = f"""
import os, sys, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("locking", {__file__!r}); module = module_from_spec(spec); spec.loader.exec_module(module)
try:
    with module.lock(module.Here(Path({str(tmp_path)!r}))):
        with open({str(count)!r}, "a") as file: file.write("in\\n")
        time.sleep(3)
except module.DeviceError as error:
    assert "in use by" in str(error), error
    sys.exit(3)
"""
    clients = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    statuses = sorted(client.wait(60) for client in clients)
    assert set(statuses) <= {0, 3} and count.read_text().count("in") == statuses.count(0) >= 1
    assert os.listdir(device.folder) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "a folder").write_text("a file")
    with pytest.raises(DeviceError, match="cannot write"), lock(Here(tmp_path)):
        pass


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    assert locks._process_start(os.getpid()).isdigit()
    assert locks._process_start(2**22 + 5) == ""


@pytest.fixture
def runner(device: Here) -> Path:
    """A program in the device's folder."""
    folder = Path(device.folder, "session")
    folder.mkdir(parents=True)
    shutil.copy(shutil.which("sleep") or "", folder / "runner")
    return folder / "runner"


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(20) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        return False


def test_leftover_programs_are_ended_and_others_are_not(device: Here, runner: Path) -> None:
    script_file = runner.with_name("run.py")
    script_file.write_text("import time; time.sleep(300)")
    part = runner.with_name("model.part-0a")
    part.touch()
    leftovers = [subprocess.Popen([runner, "300"]), subprocess.Popen([sys.executable, script_file])]
    strangers = [subprocess.Popen(["sleep", "300"]), subprocess.Popen(["sh", "-c", f"sleep 299; : {runner}"])]
    try:
        time.sleep(0.3)
        with lock(device):
            ended = clear_leftovers(device)
        assert str(runner) in ended and len(ended) == 2
        assert all(map(_ended, leftovers)) and not part.exists() and runner.exists()
        assert [stranger.poll() for stranger in strangers] == [None, None]
    finally:
        for each in (*leftovers, *strangers):
            each.kill()
            each.wait()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _marked(mark: str) -> int:
    """Processes that have the mark of a command in their environment or their command line."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            found += mark.encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    return found


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_the_scripts_run_in_every_shell_there_is(shell: list[str], tmp_path: Path) -> None:
    mark = "chord-00112233445566" + f"{os.getpid():x}"
    done = subprocess.run([*shell, "-c", script.wrap(["sh", "-c", "printf 'a b'; exit 7"], mark)], capture_output=True, text=True)
    assert script.unwrap(done.stdout, mark) == (7, "a b") and done.returncode == 7
    killed = subprocess.run([*shell, "-c", script.wrap(["sh", "-c", "kill -SEGV $$"], mark)], capture_output=True, text=True)
    assert (script.unwrap(killed.stdout, mark) or (0, ""))[0] == 128 + signal.SIGSEGV
    path = tmp_path / "a 'file'"
    path.write_bytes(b"12345")
    for limit, kind in ((5, "sha256"), (4, "none")):
        measured = subprocess.run([*shell, "-c", script.measure_file(str(path), limit)], capture_output=True, text=True).stdout.split()
        assert measured[:2] == ["5", kind]
    # A command whose shell is gone is found by what it inherited.
    orphan = subprocess.Popen([*shell, "-c", script.wrap(["sh", "-c", "sleep 300 & sleep 301"], mark)])
    _until(lambda: _marked(mark) >= 3)  # the shell, and two that outlive it
    orphan.kill()
    orphan.wait()
    ended = subprocess.run([*shell, "-c", script.kill_marked(mark)], capture_output=True, text=True)
    assert int(ended.stdout) >= 2
    # What has been killed may take a moment to be gone.
    _until(lambda: subprocess.run([*shell, "-c", script.kill_marked(mark)], capture_output=True, text=True).stdout.strip() == "0")
