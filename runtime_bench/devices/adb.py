"""What can be measured on: this host now; attached Android devices are listed, measuring on them comes later."""

import shutil
import subprocess

from pydantic import BaseModel, ConfigDict

from chordkit.errors import DeviceError
from chordkit.runtime_bench.machine import describe

HOST = "host"
_SUPPORTED = "this release measures on: host"


class Device(BaseModel):
    """A device. ``measurable`` says whether this release can benchmark on it; ``detail`` says what it is, or why not."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    detail: str
    measurable: bool


class DeviceList(BaseModel):
    """All devices, and a remark when some could not be looked for."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[Device, ...]
    remarks: tuple[str, ...]


def list_devices() -> DeviceList:
    """This host, and every device that ``adb devices`` knows.

    Raises:
        DeviceError: adb is installed but does not answer.
    """
    machine = describe()
    host = Device(name=HOST, kind="host", detail=f"{machine.cpu}, {machine.architecture}, {machine.cores} cores", measurable=True)
    adb = shutil.which("adb")
    if adb is None:
        return DeviceList(
            devices=(host,), remarks=("adb is not installed, so Android devices cannot be listed; install Android's platform-tools",)
        )
    attached = tuple(
        Device(
            name=f"adb:{serial}", kind="android", detail=f"{state}; measuring on Android devices comes in a later release", measurable=False
        )
        for serial, state in _parse_adb(_run_adb(adb))
    )
    return DeviceList(devices=(host, *attached), remarks=() if attached else ("adb lists no device; connect one and allow USB debugging",))


def require_measurable(device: str) -> str:
    """``device``, if a benchmark can run on it in this release.

    Raises:
        DeviceError: it cannot; the sentence names what can.
    """
    if device == HOST:
        return device
    if device == "emulator" or (device.startswith("adb:") and len(device) > len("adb:")):
        raise DeviceError(f"measuring on device {device!r} comes in a later release; {_SUPPORTED}")
    raise DeviceError(f"there is no device {device!r}; {_SUPPORTED} (`chordkit devices` lists what is attached)")


def _run_adb(adb: str) -> str:
    try:
        answer = subprocess.run([adb, "devices"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise DeviceError(f"{adb}: `adb devices` does not answer; restart it with `adb kill-server`") from None
    if answer.returncode != 0:
        words = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{adb}: `adb devices` failed: {words}")
    return answer.stdout


def _parse_adb(text: str) -> list[tuple[str, str]]:
    """(serial, state) of each line after adb's heading; the daemon's own remarks start with an asterisk."""
    _, _, listing = text.partition("List of devices attached")
    rows = [line.split(maxsplit=1) for line in listing.splitlines() if line.strip() and not line.startswith("*")]
    return [(row[0], row[1].strip() if len(row) == 2 else "unknown") for row in rows]
