"""What goes wrong between a computer and a phone, for real, on an emulated phone behind Android's own adbd."""

import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import client, state
from chordkit.runtime_bench.android.lock import clear_leftovers, lock
from chordkit.runtime_bench.devices import adb as adb_devices
from chordkit.runtime_bench.devices import emulator
from chordkit.runtime_bench.devices.device import Completed
from chordkit.runtime_bench.devices.emulator import Emulator

from .tree import TreeShell, make_tree

pytestmark = pytest.mark.long

# The machine's clock runs with its instructions, so sleeping takes no time there; this does.
BUSY = "while :; do :; done"


def _busy(phone: Emulator) -> int:
    """How many endless loops run on the phone."""
    return int(phone.run(["sh", "-c", "ps | grep -c '[w]hile :'; true"], 20).stdout)


@pytest.fixture(scope="module")
def runner(phone: Emulator, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A program in the phone's folder that does not end by itself."""
    script = tmp_path_factory.mktemp("runner") / "endless.py"
    script.write_text("while True: pass\n")
    place = f"{phone.folder}/session/endless.py"
    phone.push(script, place)
    return [*phone.python(), place]


def _runs(phone: Emulator, words: str) -> bool:
    return phone.run(["sh", "-c", f"ps | grep -q '[{words[0]}]{words[1:]}'"], 20).status == 0


def _in_a_second(action: object) -> threading.Timer:
    timer = threading.Timer(1.0, action)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_status_and_both_outputs_come_back_apart(phone: Emulator) -> None:
    assert phone.run(["sh", "-c", "echo out; echo err >&2; exit 3"], 20) == Completed(3, "out\n", "err\n")
    assert phone.run(["printf", "%s|", "a b", "'", "$HOME", "*", "", "ü\\"], 20).stdout == "a b|'|$HOME|*||ü\\|"
    assert phone.run(["no-such-program"], 20).status == 127
    assert phone.run(["sh", "-c", "kill -SEGV $$"], 20).status == 128 + signal.SIGSEGV


def test_a_file_goes_there_and_comes_back(phone: Emulator, file: Path, tmp_path: Path) -> None:
    file.chmod(0o755)
    place = f"{phone.folder}/a folder/it's a file"
    phone.push(file, place)
    assert phone.run(["test", "-x", place], 20).status == 0
    phone.pull(place, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    file.chmod(0o644)
    phone.push(file, place)
    assert phone.run(["test", "-x", place], 20).status == 1
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) & 0o400
    phone.run(["rm", "-r", f"{phone.folder}/a folder"], 20)


def test_what_takes_too_long_is_ended_on_the_device(phone: Emulator) -> None:
    with pytest.raises(DeviceError, match="sh took longer than 1 s and was ended"):
        phone.run(["sh", "-c", f"({BUSY}) & {BUSY}"], 1)
    assert _busy(phone) == 0


def test_endless_output_is_ended(phone: Emulator) -> None:
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: .*more than 16 MiB|took longer"):
        phone.run(["yes", "0123456789" * 100], 60)
    assert phone.run(["sh", "-c", "ps | grep -c '[y]es 0123'; true"], 20).stdout == "0\n"


def test_adbd_killed_mid_run(phone: Emulator) -> None:
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: .*(lost|not attached|offline)"):
        phone.run(["sh", "-c", "kill -9 $(pidof adbd); sleep 1"], 30)
    phone.shell.connect(30)
    assert phone.run(["echo", "back"], 20).stdout == "back\n"


def test_the_adb_server_killed_mid_run(phone: Emulator, runner: list[str]) -> None:
    timer = _in_a_second(lambda: client.call(["kill-server"], 10))
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: .*(lost|not attached|offline)"):
        phone.run(runner, 30)
    timer.join()
    phone.shell.connect(30)
    clear_leftovers(phone)
    assert not _runs(phone, "endless.py")


def test_the_cable_cut_mid_run_and_plugged_in_again(phone: Emulator, runner: list[str]) -> None:
    timer = _in_a_second(lambda: phone.machine.set_link(False))
    with pytest.raises(DeviceError, match="did not answer for 3 s; check the cable"):
        phone.run(runner, 3)
    timer.join()
    with pytest.raises(DeviceError, match=r"did not answer|offline|lost"):
        phone.run(["true"], 2)
    phone.machine.set_link(True)
    phone.shell.disconnect()
    phone.shell.connect(30)
    clear_leftovers(phone)
    assert not _runs(phone, "endless.py")


def test_a_full_disk_leaves_nothing_partial(phone: Emulator, runner: list[str], file: Path) -> None:
    fill, place = f"{phone.folder}/fill", f"{phone.folder}/file"
    phone.run(["mkdir", "-p", phone.folder], 20)
    phone.run(["dd", "if=/dev/zero", f"of={fill}", "bs=1048576"], 120)
    try:
        with pytest.raises(DeviceError, match=f"{place}: the device's disk is full; free some space"):
            phone.push(file, place)
        assert phone.run(["ls", phone.folder], 20).stdout == "fill\nsession\n"
        with pytest.raises(DeviceError, match="disk is full"), lock(phone):
            pass
        # A command needs no space.
        with pytest.raises(DeviceError, match="was ended"):
            phone.run(["sh", "-c", BUSY], 1)
        assert _busy(phone) == 0
    finally:
        phone.run(["rm", "-f", fill], 20)
    phone.push(file, place)
    phone.run(["rm", place], 20)


def test_files_that_are_not_taken(phone: Emulator, tmp_path: Path) -> None:
    big = f"{phone.folder}/big"
    phone.run(["sh", "-c", f"mkdir -p {phone.folder}; truncate -s {(64 << 20) + 1} {big}"], 20)
    with pytest.raises(DeviceError, match=r"big has 67,108,865 bytes; at most 67,108,864"):
        phone.pull(big, tmp_path / "big")
    phone.run(["rm", big], 20)
    with pytest.raises(DeviceError, match=r"/nothing cannot be read \(no such file\)"):
        phone.pull("/nothing", tmp_path / "nothing")
    with pytest.raises(DeviceError, match="cannot be written"):
        phone.run(["mkdir", "-p", phone.folder], 20)
        phone.run(["touch", f"{phone.folder}/empty"], 20)
        phone.pull(f"{phone.folder}/empty", tmp_path / "no folder" / "empty")
    assert list(tmp_path.iterdir()) == []
    phone.run(["rm", f"{phone.folder}/empty"], 20)


def test_a_place_that_cannot_be_written_is_said(phone: Emulator, file: Path) -> None:
    with pytest.raises(DeviceError, match="/proc/none/file: the device cannot write this"):
        phone.push(file, "/proc/none/file")


def test_a_second_bench_at_once_is_told_to_wait(phone: Emulator) -> None:
    with lock(phone), pytest.raises(DeviceError, match="emulator:cortex-a53 is in use by"), lock(phone):
        pass
    with lock(phone):
        pass


CLIENT = """
import sys
from chordkit.runtime_bench.android.adb import AdbShell
AdbShell({serial!r}).run({command!r}, 120)
"""


def _client(phone: Emulator, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A client of its own that runs a command on the phone."""
    code = CLIENT.format(serial=phone.shell.serial, command=list(command))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)


def _until(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to be")


def test_the_runner_of_a_killed_client_is_ended_by_the_next(phone: Emulator, runner: list[str]) -> None:
    killed = _client(phone, runner)
    _until(lambda: _runs(phone, "endless.py"))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(1)
    assert _runs(phone, "endless.py")
    with lock(phone):
        assert [Path(each).name for each in clear_leftovers(phone)] == ["python3.11"]
        assert not _runs(phone, "endless.py")


def test_ctrl_c_ends_the_program_on_the_device(phone: Emulator) -> None:
    interrupted = _client(phone, ["sh", "-c", BUSY])
    _until(lambda: _busy(phone))
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=30)
    assert interrupted.returncode != 0 and b"KeyboardInterrupt" in said
    assert _busy(phone) == 0


def test_a_phone_on_the_network_is_listed_and_measurable(phone: Emulator) -> None:
    listed = [each for each in adb_devices.find().devices if each.name == f"adb:{phone.shell.serial}"]
    assert [(each.measurable, each.detail) for each in listed] == [(True, "no Android, arm64-v8a")]
    device = adb_devices.connect(phone.shell.serial)
    assert (device.abi, device.emulated, device.processors()) == ("arm64-v8a", True, (0,))


@dataclass
class InChroot:
    """The shell of a device's fixture, laid out on the phone."""

    phone: Emulator
    root: str
    name: str = "adb:chroot"

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        *shell, text = command
        return self.phone.run(["chroot", self.root, *shell, f"export PATH=/tools:/bin\n{text}"], timeout_s)


@pytest.mark.parametrize("name", ["galaxy-s23", "nexus-5x"])
def test_a_device_says_the_same_through_adbd_as_here(phone: Emulator, name: str, tmp_path: Path) -> None:
    tree = make_tree(name, tmp_path / name)
    with tarfile.open(tmp_path / "tree.tar", "w") as archive:
        archive.add(tree, name)
    phone.push(tmp_path / "tree.tar", f"{phone.folder}/tree.tar")
    root = f"{phone.folder}/{name}"
    laid = (
        f"cd {phone.folder} && tar xf tree.tar && cd {root} && mkdir bin dev && mknod dev/null c 1 3 && cp /bin/busybox bin"
        " && for tool in sh cat grep; do ln -s busybox bin/$tool; done"
    )
    assert phone.run(["sh", "-c", laid], 60).status == 0
    here, there = TreeShell(tree), InChroot(phone, root)
    # The kernel is the phone's own: busybox asks it before it looks for a tool.
    assert state.read_machine(there).model_copy(update={"kernel": ""}) == state.read_machine(here).model_copy(update={"kernel": ""})
    assert state.read_state(there).model_copy(update={"at": ""}) == state.read_state(here).model_copy(update={"at": ""})
    assert state.usable_cpus(there) == state.usable_cpus(here)
    phone.run(["rm", "-rf", root, f"{phone.folder}/tree.tar"], 20)


def test_a_phone_that_dies_mid_run(phone: Emulator) -> None:
    with emulator.connect("cortex-a53") as other:
        assert isinstance(other, Emulator)
        timer = _in_a_second(lambda: os.kill(_qemu(other), signal.SIGKILL))
        with pytest.raises(DeviceError, match=r"emulator:cortex-a53: .*(lost|not attached|offline|did not answer)"):
            other.run(["sh", "-c", BUSY], 10)
        timer.join()
        with pytest.raises(DeviceError):
            other.shell.connect(2)


def _qemu(phone: Emulator) -> int:
    """The process of the machine's QEMU: the child of the shell that watches it."""
    children = Path(f"/proc/{phone.machine._process.pid}/task/{phone.machine._process.pid}/children").read_text().split()
    return next(int(child) for child in children if "qemu" in Path(f"/proc/{child}/cmdline").read_text())
