"""What ``getprop`` says of an Android build."""

import re

from chordkit.runtime_bench.results import Android

_LINE = re.compile(r"^\[([^\]\n]+)\]: \[(.*?)\]\r?$", re.MULTILINE | re.DOTALL)
_EMULATED_HARDWARE = ("goldfish", "ranchu", "cutf", "vsoc", "vbox86", "gce_x86")
_EMULATED_MODELS = ("sdk_gphone", "sdk_google", "google_sdk", "Android SDK built for", "Cuttlefish", "Emulator")


def parse(text: str) -> dict[str, str]:
    """The properties in the text of ``getprop``; values may have several lines. Empty where there are none, as on a plain Linux."""
    return {name: value.strip() for name, value in _LINE.findall(text)}


def android(properties: dict[str, str]) -> Android | None:
    """The build, or None where the properties do not name an API level.

    The chip is ``ro.soc.model`` with its maker (API 31 and later), else the board's platform, else the hardware's name.
    """
    sdk = properties.get("ro.build.version.sdk", "")
    if not re.fullmatch(r"[0-9]{1,4}", sdk):
        return None

    def first(*names: str) -> str | None:
        return next((value for name in names if (value := properties.get(name)) and value.lower() != "unknown"), None)

    maker, chip = first("ro.soc.manufacturer"), first("ro.soc.model")
    return Android(
        manufacturer=first("ro.product.manufacturer", "ro.product.brand") or "unknown",
        model=first("ro.product.model", "ro.product.device") or "unknown",
        soc=f"{maker} {chip}" if maker and chip else chip or first("ro.board.platform", "ro.hardware"),
        release=first("ro.build.version.release") or "unknown",
        sdk=int(sdk),
        build=first("ro.build.id", "ro.build.display.id") or "unknown",
        build_type=first("ro.build.type") or "unknown",
        security_patch=first("ro.build.version.security_patch"),
    )


def is_emulator(properties: dict[str, str]) -> bool:
    """Whether the build says that it runs in an Android emulator."""
    if "1" in (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu")):
        return True
    hardware = (properties.get(name, "") for name in ("ro.hardware", "ro.boot.hardware", "ro.product.board"))
    models = (properties.get(name, "") for name in ("ro.product.model", "ro.product.name", "ro.build.product"))
    return any(each.startswith(_EMULATED_HARDWARE) for each in hardware) or any(
        word in each for each in models for word in _EMULATED_MODELS
    )


def bad_states(properties: dict[str, str]) -> tuple[str, ...]:
    """Which of AndroidX's DEBUGGABLE, EMULATOR and ENG-BUILD hold. DEBUGGABLE is the system's here: no app is measured."""
    states = {
        "DEBUGGABLE": properties.get("ro.debuggable") == "1",
        "EMULATOR": is_emulator(properties),
        "ENG-BUILD": properties.get("ro.build.type") == "eng",
    }
    return tuple(name for name, holds in states.items() if holds)
