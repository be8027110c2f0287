"""The emulated machine, booted for real."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices import emulator
from chordkit.runtime_bench.devices.emulator import Emulator
from chordkit.runtime_bench.emulated import COMMAND, EmulatedMachine, Prepared, prepare, prepared
from chordkit.runtime_bench.emulated.machine import CPUS


@pytest.fixture(scope="module")
def made() -> Prepared:
    """What machines are booted from."""
    pytest.importorskip("adbutils")
    machine = prepared()
    if machine is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    return machine


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def device(made: Prepared) -> Iterator[Emulator]:
    """A machine with a Cortex-A76."""
    connected = emulator.connect("")
    assert isinstance(connected, Emulator)
    with connected:
        yield connected


def test_it_says_what_it_is(device: Emulator) -> None:
    about = device.describe()
    assert device.name == "emulator:cortex-a76"
    assert (about.emulated, about.abi, about.architecture, about.cores) == (True, "arm64-v8a", "aarch64", 1)
    assert "asimddp" in about.flags
    assert "i8mm" not in about.flags
    assert {"qemu-system", "kernel", "adbd", "onnxruntime", "ai-edge-litert"} <= set(about.versions)
    assert about.clusters[0].core == "Cortex-A76"
    assert "EMULATOR" in device.state().bad


def test_files_go_there_and_come_back(device: Emulator, tmp_path: Path) -> None:
    local = tmp_path / "file"
    local.write_bytes(os.urandom(100_000))
    device.push(local, f"{device.folder}/new folder/file")
    device.pull(f"{device.folder}/new folder/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_a_program_is_run_with_its_status_and_words(device: Emulator) -> None:
    answer = device.run(["sh", "-c", "echo out; echo err >&2; exit 7"], 20)
    assert (answer.status, answer.stdout, answer.stderr) == (7, "out\n", "err\n")


def test_instructions_can_be_counted_there(device: Emulator) -> None:
    assert device.run(["cat", "/proc/sys/kernel/perf_event_paranoid"], 20).stdout.strip() == "-1"
    assert device.run(["sh", "-c", "ls -d /sys/bus/event_source/devices/armv8*"], 20).status == 0


def test_its_python_has_the_runtimes_and_sees_the_same_folder(device: Emulator, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, platform, sys\n"
        "import numpy, onnxruntime\n"
        "import ai_edge_litert.interpreter\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{platform.machine()} {numpy.__version__} {onnxruntime.__version__}')\n"
    )
    device.push(script, f"{device.folder}/script.py")
    answer = device.run([*device.python(), f"{device.folder}/script.py", f"{device.folder}/out"], 60)
    assert answer.status == 0, answer
    device.pull(f"{device.folder}/out", tmp_path / "out")
    versions = device.describe().versions
    assert (tmp_path / "out").read_text() == f"aarch64 {versions['numpy']} {versions['onnxruntime']}"


def test_programs_for_executorch_find_its_libraries(device: Emulator, made: Prepared) -> None:
    assert (made.executorch_package / "include" / "executorch" / "runtime").is_dir()
    code = "print(sum('libexecutorch_backend_xnnpack.so' in line for line in open('/proc/self/maps')) > 0)"
    answer = device.run([*device.executorch(), "/usr/bin/python3.11", "-c", code], 60)
    assert (answer.status, answer.stdout.strip()) == (0, "True"), answer


def test_it_ends_with_the_process_that_booted_it(made: Prepared) -> None:
    code = (
        "import os, signal\n"
        "from chordkit.runtime_bench.emulated import EmulatedMachine, prepared\n"
        "made = prepared()\n"
        "machine = EmulatedMachine('cortex-a53', made.qemu_system, made.kernel, made.initrd)\n"
        "print(machine._process.pid, machine._work, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    session, work = done.stdout.split()
    deadline = time.monotonic() + 60
    while members := _in_session(int(session)):
        assert time.monotonic() < deadline, members
    for left in Path(work).iterdir():
        left.unlink()
    Path(work).rmdir()


def test_closing_it_leaves_nothing(made: Prepared) -> None:
    with EmulatedMachine("cortex-a53", made.qemu_system, made.kernel, made.initrd) as machine:
        session, work = machine._process.pid, machine._work
        assert machine.running()
        assert _in_session(session)
    machine.close()
    assert not machine.running()
    assert _in_session(session) == []
    assert not work.exists()


def test_a_machine_that_does_not_boot_says_its_last_words(made: Prepared, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: QEMU does not start or has ended: .*nothing-there"):
        EmulatedMachine("cortex-a53", ["nothing-there"], made.kernel, made.initrd)
    (tmp_path / "initrd").write_bytes(b"")
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: the machine ended while it booted: .*Kernel panic"):
        EmulatedMachine("cortex-a53", made.qemu_system, made.kernel, tmp_path / "initrd")
    with pytest.raises(DeviceError, match=r"emulator:cortex-a53: the machine did not boot within 0\.1 s"):
        EmulatedMachine("cortex-a53", made.qemu_system, made.kernel, made.initrd, boot_s=0.1)


def test_a_damaged_machine_is_not_booted_and_is_made_anew_when_prepared(made: Prepared, tmp_path: Path) -> None:
    copy = Prepared(tmp_path, made.record)
    (tmp_path / "kernel").write_bytes(made.kernel.read_bytes()[:-1] + b"?")
    with pytest.raises(DeviceError, match=rf"kernel: is damaged; run `{COMMAND}`"):
        Emulator("max", copy)


def test_preparing_what_is_prepared_fetches_nothing(made: Prepared) -> None:
    report = prepare()
    assert (report.fetched_bytes, report.fetched, report.folder) == (0, (), str(made.folder))
    assert report.initrd_sha256 == made.record.sha256["initrd"]


def test_an_unknown_processor_is_refused_with_those_that_exist() -> None:
    for make in (emulator.connect, lambda cpu: EmulatedMachine(cpu, [], Path(), Path())):
        with pytest.raises(DeviceError) as error:
            make("cortex-m0")
        assert all(cpu in str(error.value) for cpu in CPUS)


def test_what_is_not_prepared_is_listed_with_the_command_that_prepares_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path))
    found = emulator.find()
    assert [(device.name, device.measurable) for device in found.devices] == [(f"emulator:{cpu}", False) for cpu in CPUS]
    assert f"`{COMMAND}`" in found.remarks[0]
    with pytest.raises(DeviceError, match=f"emulator:cortex-a76 is not prepared; run `{COMMAND}`"):
        emulator.connect("")


def _in_session(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(number) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found
