"""What a device is: something that the contenders of a benchmark can be measured on.

A device exists because its file does. The module ``devices/<scheme>.py`` is the home of all devices called ``<scheme>`` or
``<scheme>:<argument>`` (``qemu_user.py`` of ``qemu-user:...``); it offers what :class:`DeviceModule` asks for, and is found by
:mod:`chordkit.runtime_bench.devices.registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict

from chordkit.runtime_bench.results import Machine, State


@dataclass(frozen=True)
class Completed:
    """How a command on a device ended: its exit status (above 128: killed by signal status - 128) and what it wrote."""

    status: int
    stdout: str
    stderr: str


class Device(ABC):
    """A device that is there: what its name says, a place for files on it, and commands that run there.

    Attributes:
        name: what ``--device`` takes and :attr:`BenchReport.device` says.
        emulated: its clock counts instructions or is a guest's; its times say nothing of a phone.
        abi: of the programs that it runs, as Android calls it: ``arm64-v8a``, ``x86_64``.
        folder: a folder on the device that belongs to chordkit.
        has_clock: its times mean something: a real clock, or one that counts instructions.
        apps: apps may be installed on it, and started with ``am``.
        emulated_cpu: the processor, as QEMU calls it, of a device whose programs can be profiled instruction by instruction.
    """

    name: str
    emulated: bool = False
    abi: str
    folder: str
    has_clock: bool = True
    apps: bool = False
    emulated_cpu: str | None = None

    @abstractmethod
    def describe(self) -> Machine:
        """The machine and its software.

        Raises:
            DeviceError: the device does not answer.
        """

    @abstractmethod
    def state(self) -> State:
        """What can change from one minute to the next: clocks, temperatures, battery, bad states.

        Raises:
            DeviceError: the device does not answer.
        """

    @abstractmethod
    def push(self, local: Path, remote: str) -> None:
        """Copy a file onto the device, executable where it is so here; missing folders are made.

        Raises:
            DeviceError: the device does not answer or its disk is full. Nothing partial is left under ``remote``.
        """

    @abstractmethod
    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device.

        Raises:
            DeviceError: the device does not answer, or the file is not there or above 64 MiB.
        """

    @abstractmethod
    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the device and wait for it.

        Raises:
            DeviceError: the device went away, or the program took longer than ``timeout_s``; it is killed where it still can be.
        """

    def processors(self) -> tuple[int, ...] | None:
        """The processors to measure on, all of one kind; None: no choice is made."""
        return None

    def python(self) -> tuple[str, ...] | None:
        """What to put before a Python script in :attr:`folder` so that it runs with numpy and the runtimes; None: there is no Python."""
        return None

    def executorch(self) -> tuple[str, ...] | None:
        """What to put before a program in :attr:`folder` that is linked with the prepared ExecuTorch's libraries; None: it has none."""
        return None

    def close(self) -> None:  # noqa: B027 - most devices hold nothing
        """Give back what the connection holds; an emulated machine is shut down."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Listed(BaseModel):
    """A line of ``chordkit devices``. ``measurable`` says whether :meth:`DeviceModule.connect` gives a device for it; ``detail`` says
    what it is, or why not."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    detail: str
    measurable: bool


class DeviceList(BaseModel):
    """Devices that are there, and a remark when some could not be looked for."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[Listed, ...]
    remarks: tuple[str, ...] = ()


@runtime_checkable
class DeviceModule(Protocol):
    """What a module of this folder offers."""

    def find(self) -> DeviceList:
        """The devices of this scheme that are there now.

        Raises:
            DeviceError: they cannot be looked for although what that takes is installed.
        """

    def connect(self, argument: str) -> Device:
        """The device ``<scheme>:<argument>``; the argument is empty for ``<scheme>`` alone.

        Raises:
            DeviceError: there is no such device, or it cannot be measured on.
        """
