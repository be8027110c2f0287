"""What a device is: something that the contenders of a benchmark can be measured on.

A device exists because its file does. The module ``devices/<scheme>.py`` is the home of all devices called ``<scheme>`` or
``<scheme>:<argument>`` (``qemu_user.py`` of ``qemu-user:...``); it offers what :class:`DeviceModule` asks for, and is found by
:mod:`chordkit.runtime_bench.devices.registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from chordkit.export.parity import Ids
from chordkit.progress import Progress
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.results import BenchReport, Machine, Settings


class Device(ABC):
    """A device that is there and can be measured on.

    Attributes:
        name: what ``--device`` takes and :attr:`BenchReport.device` says.
    """

    name: str

    @abstractmethod
    def describe(self) -> Machine:
        """The machine, its software and its present state.

        Raises:
            DeviceError: the device does not answer.
        """

    @abstractmethod
    def measure(
        self,
        contenders: Sequence[Contender],
        histories: Ids,
        candidates: Ids,
        settings: Settings | None = None,
        *,
        baseline: str | None = None,
        progress: Progress | None = None,
    ) -> BenchReport:
        """Time ``contenders`` here, interleaved, by the protocol of docs/benchmarking.md.

        Args:
            contenders: the artifacts, and eager PyTorch beside them.
            histories: int32 ``[n, length]``, real ones, padded as they come; every contender walks through them in the
                same order.
            candidates: int32 ``[n, candidates]``.
            settings: the protocol; None = the defaults.
            baseline: name of the contender that ratios are taken against; None = no ratios.
            progress: called with (phase, done, total).

        Raises:
            DeviceError: a contender cannot be loaded here, or ``baseline`` is none of them.
            CheckFailed: a contender gives scores of a wrong shape or that are not finite; it is not worth timing.
        """


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
