"""What a device is and what it does now, each from one command on the device.

What a device does not have (``getprop`` and ``dumpsys`` on a plain Linux, files that its shell may not read) is left out, never guessed.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import chordkit
from chordkit.errors import DeviceError
from chordkit.provenance import checkout
from chordkit.runtime_bench.android import battery, processors, properties, thermal
from chordkit.runtime_bench.devices.device import Completed
from chordkit.runtime_bench.results import Machine, State

LIMIT_S = 60.0
"""Limit for reading all; a service of Android that hangs gives up after ten seconds."""

_ABIS = {
    "aarch64": "arm64-v8a",
    "arm64": "arm64-v8a",
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "armv7l": "armeabi-v7a",
    "armv8l": "armeabi-v7a",
    "i686": "x86",
}


class Shell(Protocol):
    """Something that runs commands on a device: a :class:`Device` or an ``AdbShell``."""

    name: str

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """See :meth:`chordkit.runtime_bench.devices.device.Device.run`."""


def read_machine(shell: Shell, *, emulated: bool = False) -> Machine:
    """The machine behind ``shell``.

    Args:
        emulated: it is known to be emulated; otherwise what it says of itself decides.

    Raises:
        DeviceError: the device does not answer.
    """
    text = ask(
        shell,
        properties="getprop",
        architecture="uname -m",
        kernel="uname -r",
        cpuinfo="cat /proc/cpuinfo",
        memory="grep MemTotal /proc/meminfo",
        board="cat /proc/device-tree/compatible",
        files=_cat(processors.FILES),
    )
    props, info = properties.parse(text["properties"]), processors.parse_cpuinfo(text["cpuinfo"])
    files = parse_files(text["files"])
    known = processors.clusters(files, info)
    architecture = text["architecture"].strip() or "unknown"
    guest = "hypervisor" in info.flags or "linux,dummy-virt" in text["board"]
    commit, dirty = checkout()
    return Machine(
        cpu=info.name or " + ".join(f"{len(each.cpus)} x {each.core}" for each in known if each.core) or "unknown",
        architecture=architecture,
        abi=props.get("ro.product.cpu.abi") or abi_of(architecture),
        emulated=emulated or properties.is_emulator(props) or "linux,dummy-virt" in text["board"],
        android=properties.android(props),
        clusters=known,
        flags=info.flags,
        cores=max(sum(len(each.cpus) for each in known), 1),
        memory_bytes=_memory(text["memory"]),
        kernel=text["kernel"].strip() or "unknown",
        virtual=guest or properties.is_emulator(props),
        pinned_cpu=None,
        python=None,
        versions={"chordkit": chordkit.__version__},
        commit=commit,
        commit_dirty=dirty,
    )


def read_state(shell: Shell) -> State:
    """What the machine behind ``shell`` does now.

    Raises:
        DeviceError: the device does not answer.
    """
    text = ask(
        shell,
        properties="getprop",
        load="cat /proc/loadavg",
        cpuinfo="cat /proc/cpuinfo",
        thermal="dumpsys thermalservice",
        battery="dumpsys battery",
        files=_cat(processors.FILES + thermal.FILES),
    )
    files = parse_files(text["files"])
    clocks = processors.cluster_states(files, processors.clusters(files, processors.parse_cpuinfo(text["cpuinfo"])))
    charge = battery.parse(text["battery"])
    bad = (
        *properties.bad_states(properties.parse(text["properties"])),
        *(("UNLOCKED",) if processors.unlocked(clocks) else ()),
        *(("LOW-BATTERY",) if battery.low(charge) else ()),
    )
    return State(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=_load(text["load"]),
        clusters=clocks,
        battery=charge,
        thermal_status=thermal.status(text["thermal"]),
        temperatures_c=thermal.service_temperatures(text["thermal"]) or thermal.zones(files),
        bad=bad,
    )


def usable_cpus(shell: Shell) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Processors that are online, and those that the shell's cpuset allows (None: not told).

    Raises:
        DeviceError: the device does not answer.
    """
    text = ask(
        shell, online=f"cat {processors.CPU}/online", allowed="grep Cpus_allowed_list /proc/self/status", cpuinfo="cat /proc/cpuinfo"
    )
    online = processors.parse_cpu_list(text["online"]) or processors.parse_cpuinfo(text["cpuinfo"]).numbers
    return online, processors.parse_cpu_list(text["allowed"].partition(":")[2]) or None


def abi_of(architecture: str) -> str | None:
    """What Android calls the kernel's ``architecture``, or None."""
    return _ABIS.get(architecture)


def ask(shell: Shell, *, limit_s: float = LIMIT_S, **commands: str) -> dict[str, str]:
    """What each of several commands writes, in one command on the device; empty where one does not exist or fails.

    Raises:
        DeviceError: the device does not answer.
    """
    mark = f"=== {secrets.token_hex(8)}"
    script = "\n".join(f"echo; echo '{mark} {name}'; {{ {command}; }} 2>/dev/null </dev/null" for name, command in commands.items())
    answer = shell.run(["sh", "-c", f"{script}\necho; echo '{mark} end'"], limit_s)
    _, *parts = answer.stdout.split(f"\n{mark} ")
    texts = dict(part.partition("\n")[::2] for part in parts)
    if "end" not in texts:
        raise DeviceError(f"{shell.name}: the answer about the device's state is cut off; run again")
    return {name: texts.get(name, "") for name in commands}


def parse_files(text: str) -> dict[str, str]:
    """Path -> first line, from lines ``path<TAB>content``."""
    rows = (line.partition("\t") for line in text.splitlines())
    return {path: content.strip() for path, separator, content in rows if separator}


def _cat(patterns: Iterable[str]) -> str:
    """A command that writes ``path<TAB>first line`` of every file that matches; of one that cannot be read, nothing."""
    return f'for f in {" ".join(patterns)}; do c=; {{ read -r c < $f; }} 2>/dev/null; [ -n "$c" ] && echo "$f\t$c"; done'


def _memory(text: str) -> int:
    words = text.split()
    return int(words[1]) * 1024 if len(words) >= 2 and words[1].isascii() and words[1].isdigit() and len(words[1]) < 13 else 0


def _load(text: str) -> tuple[float, float, float] | None:
    try:
        one, five, fifteen = (float(word) for word in text.split()[:3])
    except ValueError:
        return None
    # Every figure of the record is finite.
    return (one, five, fifteen) if max(map(abs, (one, five, fifteen))) < 1e9 else None
