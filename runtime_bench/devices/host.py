"""This machine."""

from collections.abc import Sequence

from chordkit.errors import DeviceError
from chordkit.export.parity import Ids
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.devices.device import Device, DeviceList, Listed
from chordkit.runtime_bench.protocol import HOST, run_host
from chordkit.runtime_bench.results import BenchReport, Machine, Settings


class Host(Device):
    """The machine that this process runs on."""

    name = HOST

    def describe(self) -> Machine:
        return machine.describe()

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
        return run_host(contenders, histories, candidates, settings, baseline=baseline, progress=progress)


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
