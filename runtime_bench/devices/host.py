"""This machine."""

import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.android.state import abi_of
from chordkit.runtime_bench.devices.device import Completed, Device, DeviceList, Listed
from chordkit.runtime_bench.devices.local import completed, copy_whole
from chordkit.runtime_bench.protocol import HOST
from chordkit.runtime_bench.results import Machine, State


class Host(Device):
    """The machine that this process runs on. Its folder is a temporary one, gone when it is closed."""

    name = HOST

    def __init__(self) -> None:
        machine_name = platform.machine().lower()
        self.abi = abi_of(machine_name) or machine_name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> str:  # type: ignore[override]  # made when it is first asked for
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="chordkit-host-")
        return self._temporary.name

    def describe(self) -> Machine:
        return machine.describe()

    def state(self) -> State:
        return machine.state()

    def push(self, local: Path, remote: str) -> None:
        _copy(local, Path(remote))

    def pull(self, remote: str, local: Path) -> None:
        _copy(Path(remote), local)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        try:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise DeviceError(f"{command[0]}: cannot be run on this machine ({error.strerror})") from None
        try:
            return completed(child, timeout_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{command[0]}: it took longer than {timeout_s:g} s and was ended") from None

    def python(self) -> tuple[str, ...]:
        return (sys.executable,)

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


def _copy(source: Path, destination: Path) -> None:
    try:
        copy_whole(source, destination)
    except OSError as error:
        raise DeviceError(f"{source}: it cannot be copied to {destination} ({error.strerror})") from None


def find() -> DeviceList:
    """The host is always there."""
    about = Host().describe()
    detail = f"{about.cpu}, {about.architecture}, {about.cores} cores"
    return DeviceList(devices=(Listed(name=HOST, kind="host", detail=detail, measurable=True),))


def connect(argument: str) -> Device:
    """The host; there is only one."""
    if argument:
        raise DeviceError(f"there is no device '{HOST}:{argument}'; this machine is called {HOST}")
    return Host()
