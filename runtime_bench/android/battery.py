"""The battery, by ``dumpsys battery``."""

import re

from chordkit.runtime_bench.results import Battery

LOW_PERCENT = 25
"""AndroidX Benchmark refuses to measure below this charge: the system may save power then."""

_POWERED = ("AC powered", "USB powered", "Wireless powered", "Dock powered")


def parse(text: str) -> Battery | None:
    """Charge, temperature and whether a cable gives power; None where there is no battery or the service does not tell."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            values.setdefault(key.strip(), value.strip())
    level, scale = _whole(values.get("level")), _whole(values.get("scale", "100"))
    if values.get("present") == "false" or level is None or not scale or not 0 <= level <= scale:
        return None
    tenths = _whole(values.get("temperature"))
    return Battery(
        level_percent=round(100 * level / scale),
        temperature_c=tenths / 10 if tenths is not None and -400 <= tenths <= 1200 else None,
        powered=any(values.get(name) == "true" for name in _POWERED),
    )


def low(battery: Battery | None) -> bool:
    """Whether AndroidX would call this LOW-BATTERY."""
    return battery is not None and battery.level_percent < LOW_PERCENT


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,6}", text) else None
