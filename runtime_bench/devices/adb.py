"""Phones, tablets and running Android emulators that adb knows: ``adb:SERIAL``."""

from collections.abc import Sequence
from pathlib import Path

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.runtime_bench.android import adb, client, processors, properties, state
from chordkit.runtime_bench.android.adb import AdbShell
from chordkit.runtime_bench.android.trouble import explain
from chordkit.runtime_bench.devices.device import Completed, Device, DeviceList, Listed
from chordkit.runtime_bench.results import Machine, State

FOLDER = "/data/local/tmp/chordkit"
"""Where Android lets the shell write and run programs."""

ABIS = ("arm64-v8a", "x86_64")
"""ABIs of which there are runners."""

_GLANCE_S = 8.0


class AdbDevice(Device):
    """A device behind adb.

    Args:
        serial: as ``adb devices`` lists it.
        name: what it is called; ``adb:SERIAL`` by default.
        emulated: it is known to be emulated; otherwise what it says of itself decides.
        timeout_s: longest wait for it to be connected.

    Attributes:
        choice: which of its kinds of processors to measure on.

    Raises:
        DeviceError: it is not attached or cannot be used, or there are no runners for its ABI.
    """

    apps = True

    def __init__(self, serial: str, name: str | None = None, *, emulated: bool = False, timeout_s: float = client.QUICK_S) -> None:
        self.shell = AdbShell(serial, name)
        self.name = self.shell.name
        self.folder = FOLDER
        self.shell.connect(timeout_s)
        machine = state.read_machine(self.shell, emulated=emulated)
        self.emulated = machine.emulated
        if machine.abi not in ABIS:
            raise DeviceError(f"{self.name}: its ABI is {machine.abi or 'not known'}; there are runners for {' and '.join(ABIS)}")
        self.abi = machine.abi
        self.choice: processors.Choice = "big"

    def describe(self) -> Machine:
        return state.read_machine(self.shell, emulated=self.emulated)

    def state(self) -> State:
        return state.read_state(self.shell)

    def processors(self) -> tuple[int, ...]:
        """The processors of one kind that are online and allowed to the shell.

        Raises:
            DeviceError: the device does not answer, or has none such.
        """
        online, allowed = state.usable_cpus(self.shell)
        try:
            return processors.measuring_cluster(self.describe().clusters, online, allowed, self.choice).cpus
        except DeviceError as problem:
            raise DeviceError(str(problem) if str(problem).startswith(self.name) else f"{self.name}: {problem}") from None

    def push(self, local: Path, remote: str) -> None:
        self.shell.push(local, remote)

    def pull(self, remote: str, local: Path) -> None:
        self.shell.pull(remote, local)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        return self.shell.run(command, timeout_s)


def find() -> DeviceList:
    """What adb lists, and why what cannot be measured on cannot.

    Raises:
        DeviceError: adb is there but its server does not answer.
    """
    try:
        attached = adb.devices()
    except MissingRuntimeError as problem:
        return DeviceList(devices=(), remarks=(str(problem),))
    remarks = () if attached else ("no Android device is attached; connect one and allow USB debugging, or `adb connect HOST:PORT`",)
    return DeviceList(devices=tuple(_listed(serial, said) for serial, said in attached), remarks=remarks)


def connect(argument: str) -> Device:
    """The device with the serial ``argument``.

    Raises:
        DeviceError: it is not attached or cannot be used.
    """
    if not argument:
        raise DeviceError("there is no device 'adb'; give the serial that `chordkit devices` shows, as adb:SERIAL")
    return AdbDevice(argument)


def _listed(serial: str, said: str) -> Listed:
    name = f"adb:{serial}"
    if said != "device":
        reason = explain(name, said).removeprefix(f"{name}: ")
        return Listed(name=name, kind="android", detail=reason, measurable=False)
    try:
        answer = state.ask(AdbShell(serial), limit_s=_GLANCE_S, properties="getprop", architecture="uname -m")
    except DeviceError as problem:
        return Listed(name=name, kind="android", detail=str(problem).removeprefix(f"{name}: "), measurable=False)
    props = properties.parse(answer["properties"])
    build = properties.android(props)
    abi = props.get("ro.product.cpu.abi") or state.abi_of(answer["architecture"].strip()) or "unknown ABI"
    what = f"{build.manufacturer} {build.model}, Android {build.release}" if build else "no Android"
    detail = f"{what}, {abi}{', emulator' if properties.is_emulator(props) else ''}"
    if abi not in ABIS:
        return Listed(name=name, kind="android", detail=f"{detail}; there are runners for {' and '.join(ABIS)}", measurable=False)
    return Listed(name=name, kind="android", detail=detail, measurable=True)
