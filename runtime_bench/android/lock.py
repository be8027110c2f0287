"""One bench at a time on a device: a lock that lies on the device itself, and the programs that a killed client left there.

A lock that its client did not give back is recognised: its device has started anew since, or its client ran on this computer and is no
longer there. Another computer cannot be asked, so its lock holds until somebody removes it; the message says how.
"""

import contextlib
import getpass
import hashlib
import os
import platform
import secrets
import shlex
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import script
from chordkit.runtime_bench.android.trouble import refusal
from chordkit.runtime_bench.devices.device import Completed, Device

_LIMIT_S = 30.0
_MOST_CHARACTERS = 4096  # of a lock: it comes from the phone
_ATTEMPTS = 10


class Owner(BaseModel):
    """Who holds a device: a process of a user on a computer, since when, and on which start of the device.

    Attributes:
        machine: tells computers of one name apart.
        boot: of the computer; empty where it does not tell.
        namespace: of process numbers: a container has its own.
        started: when the process started, because numbers are used again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str
    user: str
    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: str
    since: str
    device_boot: str

    def is_gone(self) -> bool:
        """Whether the client ran on this computer and no longer does."""
        here = _this_client("", "")
        if (self.host, self.machine, self.namespace) != (here.host, here.machine, here.namespace):
            return False
        return self.boot != here.boot or _process_start(self.pid) != self.started

    def __str__(self) -> str:
        return f"{self.user} on {self.host}, process {self.pid}, since {self.since}"


@contextlib.contextmanager
def lock(device: Device) -> Iterator[Owner]:
    """Hold the device until the block ends.

    Raises:
        DeviceError: another bench holds it, or it cannot be written to.
    """
    mine = _take(device)
    try:
        yield mine
    finally:
        # The device may be gone by now; its lock is recognised as stale by the next client then.
        with contextlib.suppress(DeviceError):
            _shell(device, _removal(device, mine.model_dump_json()))


def clear_leftovers(device: Device) -> list[str]:
    """End the programs in the device's folder that still run, and remove files that were not completed; only under :func:`lock`.

    Returns:
        The programs that were ended: those whose command line names a file in the folder.

    Raises:
        DeviceError: the device does not answer.
    """
    folder = device.folder.rstrip("/")
    ended = _shell(device, script.kill_programs_in(folder)).stdout.splitlines()
    _shell(device, f"find {shlex.quote(folder)} -name '*.part-*' -type f -exec rm -f {{}} \\;")
    return [line.removesuffix(" (deleted)") for line in ended if line]


def _take(device: Device) -> Owner:
    boot = _shell(device, "cat /proc/sys/kernel/random/boot_id || grep btime /proc/stat").stdout.strip()
    mine = _this_client(secrets.token_hex(8), boot)
    holder = ""
    for attempt in range(_ATTEMPTS):
        holder = _try(device, mine)
        if holder == mine.model_dump_json():
            return mine
        if not holder and attempt + 1 < _ATTEMPTS:
            # Given back, or removed by another client, between our looking and reading.
            time.sleep(0.05)
            continue
        try:
            owner = Owner.model_validate_json(holder[:_MOST_CHARACTERS])
        except ValidationError:
            raise DeviceError(f"{device.name} is locked by what is no lock of chordkit; {_mend(device)}") from None
        if not (boot and owner.device_boot and owner.device_boot != boot) and not owner.is_gone():
            raise DeviceError(f"{device.name} is in use by {owner}; wait until that bench ends, or {_mend(device)}")
        _remove(device, holder)
    raise DeviceError(f"{device.name} is in use by other benches that start and end; run again, or {_mend(device)}")


def _try(device: Device, mine: Owner) -> str:
    """Make the lock if there is none; who holds it now, empty where nobody does any more.

    A folder that is complete is renamed, so that a lock always has an owner.
    """
    new, path = shlex.quote(f"{device.folder}/lock-{mine.token}"), _path(device)
    made = _shell(
        device,
        f"mkdir -p {new} && echo {shlex.quote(mine.model_dump_json())} > {new}/owner || {{ s=$?; rm -rf {new}; exit $s; }}\n"
        # Where a lock is there, mv puts the folder inside it or fails.
        f"mv {new} {path} 2>/dev/null\nrm -rf {path}/lock-{mine.token} {new}\n"
        # One without an owner is what a removal left that was killed.
        f"cat {path}/owner 2>/dev/null || rmdir {path} 2>/dev/null\ntrue",
    )
    if made.status != 0:
        raise DeviceError(refusal(device.name, script.answer_of(made), f"{device.folder}/lock"))
    return made.stdout.strip()


def _remove(device: Device, holder: str) -> None:
    """Remove the lock if it is still ``holder``'s. One client at a time may, or one would remove the lock that another has just made."""
    turn = shlex.quote(f"{device.folder}/lock-removing")
    _shell(device, f"mkdir {turn} || exit 0\n{_removal(device, holder)}\nrmdir {turn}")


def _removal(device: Device, holder: str) -> str:
    """The script that removes the lock if it is ``holder``'s. Renamed first: another's folder could be put into one that is half gone."""
    path, gone = _path(device), shlex.quote(f"{device.folder}/lock-gone-{secrets.token_hex(8)}")
    return f'[ "$(cat {path}/owner)" = {shlex.quote(holder)} ] && mv {path} {gone} && rm -rf {gone}'


def _shell(device: Device, text: str) -> Completed:
    return device.run(["sh", "-c", text], _LIMIT_S)


def _path(device: Device) -> str:
    return shlex.quote(f"{device.folder}/lock")


def _mend(device: Device) -> str:
    return f"if none runs remove {device.folder}/lock* on the device"


def _this_client(token: str, device_boot: str) -> Owner:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    return Owner(
        token=token,
        user=user,
        host=platform.node() or "a computer",
        machine=hashlib.sha256((_read("/etc/machine-id") or f"{uuid.getnode():x}").encode()).hexdigest()[:16],
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_link("/proc/self/ns/pid"),
        pid=os.getpid(),
        started=_process_start(os.getpid()),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        device_boot=device_boot,
    )


def _process_start(pid: int) -> str:
    """When a process of this computer started, by the kernel's clock; empty where there is no such process."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) > 19:
        return fields[19]
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:
        pass
    return "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
