"""How hot a device is: what Android's thermal service says, and the kernel's thermal zones."""

import math
import re

ZONES = "/sys/class/thermal/thermal_zone"

FILES = (f"{ZONES}[0-9]*/type", f"{ZONES}[0-9]*/temp")
"""Files that :func:`zones` reads, as patterns of the shell."""

_HIGHEST_C = 125.0
_TEMPERATURE = re.compile(
    r"Temperature\{mValue=([-+.\dEe]{1,20}|NaN), mType=(-?\d{1,4}), mName=([^,}\n]{1,80}), mStatus=(\d{1,2})\}", re.ASCII
)


def status(text: str) -> int | None:
    """Thermal status in the text of ``dumpsys thermalservice``: 0 = NONE to 6 = SHUTDOWN; None before API 29 or where it does not say."""
    found = re.search(r"^\s*Thermal Status: ([0-6])\s*$", text, re.MULTILINE)
    return int(found[1]) if found else None


def service_temperatures(text: str) -> dict[str, float]:
    """Plausible temperatures by name in the text of ``dumpsys thermalservice``, in degrees Celsius: the current ones, else the cached."""
    _, _, current = text.partition("Current temperatures from HAL:")
    found = _temperatures(re.split(r"Current cooling devices|Temperature static thresholds", current)[0])
    return found or _temperatures(text)


def zones(files: dict[str, str]) -> dict[str, float]:
    """Plausible temperatures of the kernel's zones by type, in degrees Celsius.

    Drivers differ in their unit: from 1,000 on it is thousandths, from 200 to 999 tenths, up to 125 whole degrees. Zero and less, and
    what would be 125 degrees or more, are sensors that are off.
    """
    found: dict[str, float] = {}
    for path, text in sorted(files.items(), key=lambda item: (len(item[0]), item[0])):
        match = re.fullmatch(rf"{ZONES}(\d{{1,4}})/temp", path, re.ASCII)
        if not match or not re.fullmatch(r"[0-9]{1,7}", text.strip()):
            continue
        value = _celsius(int(text))
        if value is None:
            continue
        name = files.get(f"{ZONES}{match[1]}/type", "").strip() or f"zone{match[1]}"
        found[name if name not in found else f"{name}#{match[1]}"] = value
    return found


def _temperatures(text: str) -> dict[str, float]:
    found = {}
    for value, _, name, _ in _TEMPERATURE.findall(text):
        try:
            celsius = float(value)
        except ValueError:
            continue
        if math.isfinite(celsius) and 0 < celsius < _HIGHEST_C:
            found[name.strip()] = round(celsius, 3)
    return found


def _celsius(value: int) -> float | None:
    celsius = value / 1000 if value >= 1000 else value / 10 if value >= 200 else float(value)
    return celsius if 0 < celsius < _HIGHEST_C else None
