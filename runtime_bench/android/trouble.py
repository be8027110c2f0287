"""adb's words for what is wrong, turned into one sentence with the mend."""

import re

from chordkit.runtime_bench.android.client import server_port

_REFUSALS = (
    (r"No space left", "the device's disk is full; free some space there and run again"),
    (r"Read-only file system", "this part of the device cannot be written"),
    (r"[Pp]ermission denied|Operation not permitted", "the device does not allow this to the shell"),
)
_MENDS = (
    *_REFUSALS,
    (
        r"no permissions|insufficient permissions",
        "this user may not open the USB device; install udev rules for it (Debian: `apt install android-sdk-platform-tools-common`), "
        "join the group plugdev, and plug the cable in again",
    ),
    (r"unauthorized", "the device has not allowed this computer; unlock its screen and accept the question about USB debugging"),
    (r"more than one", "more than one device answers to this serial; unplug all but one"),
    (r"offline", "the device is offline; plug the cable in again, or over the network run `adb disconnect` and `adb connect`"),
    (r"authorizing|connecting", "the device is still connecting; run again in a few seconds"),
    (r"recovery|sideload|bootloader|rescue", "the device is not running Android's system; let it start normally"),
    (
        r"(failed|cannot|unable) to connect to '?[\w.:\[\]-]+'?(?!.*daemon)(: .*)?$|missing port|[Ff]ailed to resolve",
        "nothing answers there as a device; check the address, and that debugging over the network is on",
    ),
    (
        r"daemon|protocol fault|server version|ADB Server|Address already in use|bind",
        "the adb server on {port} does not answer as one; end the program that holds it, or set ANDROID_ADB_SERVER_PORT to a free port",
    ),
    (r"not found|no such device|no devices", "the device is not attached; connect it and allow USB debugging, and see `chordkit devices`"),
)
_LOST = "the connection was lost; check the cable, and run again when `chordkit devices` shows the device"


def explain(name: str, words: str, path: str | None = None, *, timeout_s: float | None = None, server_hangs: bool = False) -> str:
    """One sentence about device ``name`` for adb's ``words``.

    Args:
        path: the file that it was about.
        timeout_s: nothing answered for this long.
        server_hangs: the adb server itself does not answer.
    """
    if server_hangs:
        return f"{name}: the adb server on {server_port()} does not answer; `adb kill-server` ends it, or set ANDROID_ADB_SERVER_PORT"
    if timeout_s is not None:
        return f"{name}: the device did not answer for {timeout_s:g} s; check the cable or the network, and run again"
    # adb tells with an asterisk that it started its server, on the way to what it was asked.
    words = "\n".join(line for line in words.splitlines() if not line.startswith("*"))
    said = _said(words)
    about = f"{name}: {path}" if path else name
    return f"{about}: {_mend(_MENDS, words) or _LOST}{said}"


def refusal(name: str, words: str, path: str) -> str:
    """One sentence about what device ``name`` itself answered when it was asked to write ``path``."""
    return f"{name}: {path}: {_mend(_REFUSALS, words) or 'the device cannot write this'}{_said(words)}"


def _mend(table: tuple[tuple[str, str], ...], words: str) -> str | None:
    return next((mend.format(port=server_port()) for pattern, mend in table if re.search(pattern, words)), None)


def _said(words: str) -> str:
    """The line that tells most, in brackets: the last that adb calls an error."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(adb: )?error|adb: ", line)]
    return f" ({(errors or lines)[-1]})" if lines else ""
