"""arm64 programs in a folder of this machine, on the real qemu-aarch64."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices import qemu_user
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.elf import elf_abi
from chordkit.runtime_bench.emulated import COMMAND, prepared


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """A Cortex-A53."""
    if prepared() is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    with qemu_user.connect("cortex-a53") as connected:
        yield connected


def python(device: Device, code: str, timeout_s: float = 60) -> tuple[int, str]:
    prefix = device.python()
    assert prefix is not None
    answer = device.run([*prefix, "-c", code], timeout_s)
    return answer.status, answer.stdout.strip() or answer.stderr


def test_each_processor_has_its_own_features(device: Device) -> None:
    assert "asimddp" not in device.describe().flags
    with qemu_user.connect("cortex-a76") as other:
        about = other.describe()
    assert "asimddp" in about.flags
    assert (about.emulated, about.abi, about.cores) == (True, "arm64-v8a", 1)
    assert "qemu-user" in about.versions


def test_files_go_there_and_come_back_and_stay_inside_the_folder(device: Device, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"words")
    device.push(tmp_path / "file", f"{device.folder}/a/file")
    device.pull(f"{device.folder}/a/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"words"
    for wrong in ("/etc/passwd", f"{device.folder}/../other"):
        with pytest.raises(DeviceError, match="is outside the device's folder"):
            device.push(tmp_path / "file", wrong)
    with pytest.raises(DeviceError, match="cannot be copied"):
        device.pull(f"{device.folder}/nothing", tmp_path / "back")


def test_an_arm64_program_runs_there(device: Device, tmp_path: Path) -> None:
    made = prepared()
    assert made is not None
    interpreter = made.python_tree / "usr" / "bin" / "python3.11"
    assert elf_abi(interpreter) == "arm64-v8a"
    device.push(interpreter, f"{device.folder}/program")
    answer = device.run([f"{device.folder}/program", "--version"], 60)
    assert (answer.status, answer.stdout[:11]) == (0, "Python 3.11")


def test_a_program_for_another_processor_is_refused(device: Device) -> None:
    own = elf_abi("/bin/sh")
    if own == "arm64-v8a":
        pytest.skip("this machine's own programs are arm64")
    shutil.copy("/bin/sh", f"{device.folder}/sh")
    with pytest.raises(DeviceError, match=f"sh is a program for {own}, this device runs arm64-v8a"):
        device.run([f"{device.folder}/sh", "-c", "true"], 10)


def test_its_python_has_the_runtimes(device: Device) -> None:
    code = "import numpy, onnxruntime, ai_edge_litert.interpreter, platform; print(platform.machine())"
    assert python(device, code) == (0, "aarch64")


def test_status_and_signals_are_told(device: Device) -> None:
    assert python(device, "raise SystemExit(3)")[0] == 3
    assert python(device, "import os; os.kill(os.getpid(), 9)")[0] == 128 + 9
    assert device.run([f"{device.folder}/nothing"], 10).status == 127
    assert device.run(["sh", "-c", "exit 5"], 10).status == 5


def test_a_program_that_takes_too_long_is_ended(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"python3\.11 took longer than 0\.5 s and was ended"):
        python(device, "while True: pass", timeout_s=0.5)


def test_its_folder_goes_with_it() -> None:
    if prepared() is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    with qemu_user.connect("max") as device:
        folder = Path(device.folder)
        assert folder.is_dir()
    assert not folder.exists()


def test_an_unknown_processor_is_refused_with_those_that_exist() -> None:
    for name in ("", "pentium"):
        with pytest.raises(DeviceError, match=r"there is no device 'qemu-user.*cortex-a76"):
            qemu_user.connect(name)


def test_what_is_not_prepared_is_listed_with_the_command_that_prepares_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path))
    found = qemu_user.find()
    assert not any(device.measurable for device in found.devices)
    assert f"`{COMMAND}`" in found.remarks[0]
    with pytest.raises(DeviceError, match=f"qemu-user:max is not prepared; run `{COMMAND}`"):
        qemu_user.connect("max")
