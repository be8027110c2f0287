"""Phones and Android emulators that adb knows. They are listed; measuring on them comes in a later release."""

import shutil
import subprocess

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices.device import Device, DeviceList, Listed


def find() -> DeviceList:
    """What ``adb devices`` lists.

    Raises:
        DeviceError: adb is installed but does not answer.
    """
    adb = shutil.which("adb")
    if adb is None:
        return DeviceList(
            devices=(), remarks=("adb is not installed, so Android devices cannot be listed; install Android's platform-tools",)
        )
    attached = tuple(
        Listed(
            name=f"adb:{serial}", kind="android", detail=f"{state}; measuring on Android devices comes in a later release", measurable=False
        )
        for serial, state in _parse_adb(_run_adb(adb))
    )
    return DeviceList(devices=attached, remarks=() if attached else ("adb lists no device; connect one and allow USB debugging",))


def connect(argument: str) -> Device:
    """No Android device can be measured on yet, so this always raises."""
    if not argument:
        raise DeviceError("there is no device 'adb'; give the serial that `chordkit devices` shows, as adb:SERIAL")
    raise DeviceError(f"measuring on device 'adb:{argument}' comes in a later release; `chordkit devices` shows what is measurable now")


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
