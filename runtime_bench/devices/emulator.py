"""Emulated arm64 machines that chordkit makes and boots itself: ``emulator:cortex-a53|cortex-a76|max``; ``emulator`` is the second.

They are reached as a phone is: by adb, through Android's own adbd. Their clock counts instructions, two nanoseconds each, so that figures
repeat on any host and are the time of no phone.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.runtime_bench.android import client
from chordkit.runtime_bench.devices.adb import AdbDevice
from chordkit.runtime_bench.devices.device import Device, DeviceList, Listed
from chordkit.runtime_bench.emulated import COMMAND, EmulatedMachine, Prepared, prepare, prepared
from chordkit.runtime_bench.emulated.java import Java
from chordkit.runtime_bench.emulated.machine import CPUS
from chordkit.runtime_bench.emulated.python import executorch_prefix
from chordkit.runtime_bench.results import Machine, State

__all__ = ["DEFAULT", "Emulator", "booted_with", "connect", "find", "prepare"]

DEFAULT = "cortex-a76"

# Random hashes, and what a runtime finds that its last run has left at home, would make one run's instructions differ from another's.
_PYTHON = ("env", "PYTHONHASHSEED=0", "HOME=/proc", "chroot", "/python", "/usr/bin/python3.11", "-s", "-B")
_CONNECT_S = 30.0
_BAD = "EMULATOR"


class Emulator(AdbDevice):
    """A machine that is booted when it is connected to, and ends when it is closed.

    Args:
        cpu: which processor it has.
        made: what :func:`prepare` made.
        initrd: what boots instead of the machine with its Python.

    Attributes:
        machine: the running machine, for who wants to pull its cable.

    Raises:
        DeviceError: there is no such processor, a file of ``made`` is damaged, or the machine does not boot.
    """

    def __init__(self, cpu: str, made: Prepared, initrd: Path | None = None) -> None:
        if cpu not in CPUS:
            raise DeviceError(f"there is no device 'emulator:{cpu}'; use {' or '.join(f'emulator:{name}' for name in CPUS)}")
        client.adb_path()
        made.check(made.kernel.name, *([made.initrd_python.name] if initrd is None else []))
        self._made, self.emulated_cpu = made, cpu
        self.machine = EmulatedMachine(cpu, made.qemu_system, made.kernel, initrd or made.initrd_python)
        try:
            super().__init__(self.machine.serial, f"emulator:{cpu}", emulated=True, timeout_s=_CONNECT_S)
        except BaseException:
            self.close()
            raise

    def describe(self) -> Machine:
        described, record = super().describe(), self._made.record
        versions = {**described.versions, **{name: record.versions[name] for name in sorted(record.versions)}}
        return described.model_copy(update={"python": record.versions["python"], "versions": versions})

    def state(self) -> State:
        state = super().state()
        return state.model_copy(update={"bad": tuple(dict.fromkeys((*state.bad, _BAD)))})

    def python(self) -> tuple[str, ...]:
        """Python in its own root; :attr:`folder` is the same path inside and outside."""
        return _PYTHON

    def executorch(self) -> tuple[str, ...]:
        """What to put before a program in :attr:`folder` that is linked with the libraries of :attr:`Prepared.executorch_package`."""
        return ("chroot", "/python", *executorch_prefix(""))

    def close(self) -> None:
        if hasattr(self, "shell"):
            with contextlib.suppress(DeviceError, MissingRuntimeError):
                self.shell.disconnect()
        self.machine.close()


@contextlib.contextmanager
def booted_with(java: Java, cpu: str = DEFAULT) -> Iterator[Emulator]:
    """A machine that has Java instead of Python; ``java.within()`` starts it there.

    Raises:
        DeviceError: the machine is not prepared, or does not boot.
    """
    made = prepared()
    if made is None:
        raise DeviceError(f"emulator:{cpu} is not prepared; run `{COMMAND}` once, which fetches 200 MB and needs no root")
    made.check(made.initrd.name)
    with tempfile.TemporaryDirectory(prefix="chordkit-java-") as work:
        initrd = Path(work) / "initrd"
        java.append_to(made.initrd, initrd)
        with Emulator(cpu, made, initrd) as device:
            done = device.run(java.mounting(), _CONNECT_S)
            if done.status:
                raise DeviceError(f"{device.name}: Java's folders cannot be mounted: {done.stderr.strip()}")
            yield device


def find() -> DeviceList:
    """The machines that can be booted, or what makes them. Nothing is fetched or booted for it."""
    made = prepared()
    remarks: tuple[str, ...] = ()
    try:
        client.adb_path()
        missing = None
    except MissingRuntimeError as problem:
        missing = str(problem)
    if made is None:
        detail, remarks = "not prepared", (f"emulated arm64 machines are not prepared; `{COMMAND}` fetches and makes them",)
    else:
        detail = f"emulated arm64, QEMU {made.record.versions['qemu-system']}" + ("" if missing is None else f"; {missing}")
    measurable = made is not None and missing is None
    devices = tuple(Listed(name=f"emulator:{cpu}", kind="emulated", detail=detail, measurable=measurable) for cpu in CPUS)
    return DeviceList(devices=devices, remarks=remarks)


def connect(argument: str) -> Device:
    """Boot ``emulator:<argument>``; it takes some seconds.

    Raises:
        DeviceError: there is no such processor, the machine is not prepared, or it does not boot.
    """
    cpu = argument or DEFAULT
    made = prepared()
    if cpu in CPUS and made is None:
        raise DeviceError(f"emulator:{cpu} is not prepared; run `{COMMAND}` once, which fetches 200 MB and needs no root")
    if made is None:
        raise DeviceError(f"there is no device 'emulator:{cpu}'; use {' or '.join(f'emulator:{name}' for name in CPUS)}")
    return Emulator(cpu, made)
