"""The initial file system of the emulated machine: a newc archive, the same bytes for the same packages.

It holds busybox, the drivers of the kernel's package, adbd with its libraries and ``init.sh``. It is not compressed: the machine would
take its own slow time to expand it. Python comes as a second archive behind it (:mod:`~chordkit.runtime_bench.emulated.python`): in the
machine's memory, since waiting for a disk takes any time there is on a clock that skips idle time.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chordkit.errors import DeviceError
from chordkit.runtime_bench.emulated import elf

INIT = Path(__file__).with_name("init.sh")

MODULES = ("failover", "net_failover", "virtio", "virtio_ring", "virtio_mmio", "virtio_net")
"""Drivers in the order they are loaded."""

FOLDERS = ("bin", "data", "dev", "lib", "modules", "proc", "python", "sys", "tmp")

INTERPRETER = "ld-linux-aarch64.so.1"


@dataclass(frozen=True)
class Entry:
    """A file, link or folder of an archive. ``data``: contents, or where they are, or a link's target."""

    name: str
    mode: int
    data: bytes | Path = b""


def entries(guest: Path) -> list[Entry]:
    """What the archive holds.

    Raises:
        DeviceError: a program, driver or library is not among the packages.
    """
    found = [Entry(name, stat.S_IFDIR | 0o755) for name in FOLDERS]
    found += [Entry("init", stat.S_IFREG | 0o755, INIT.read_bytes())]
    found += [_program(guest, "busybox", "bin/busybox", "usr/bin/busybox"), _program(guest, "adbd", "usr/bin/adbd", "usr/sbin/adbd")]
    known = elf.libraries(guest)
    adbd = next(guest / name for name in ("usr/bin/adbd", "usr/sbin/adbd") if (guest / name).is_file())
    for name, path in elf.closure([adbd], known).items():
        found.append(Entry(f"lib/{name}", stat.S_IFREG | 0o755, path.read_bytes()))
    for module in MODULES:
        found.append(Entry(f"modules/{module}.ko", stat.S_IFREG | 0o644, _module(guest, module)))
    found.append(Entry("modules/order", stat.S_IFREG | 0o644, "".join(f"{module}.ko\n" for module in MODULES).encode()))
    return found


def kernel(guest: Path) -> Path:
    """The kernel's image among the unpacked packages.

    Raises:
        DeviceError: there is none.
    """
    images = sorted((guest / "boot").glob("vmlinuz-*"))
    if not images:
        raise DeviceError(f"{guest / 'boot'}: has no kernel; fetch the machine's packages anew")
    return images[-1]


def tree(root: Path, prefix: str) -> list[Entry]:
    """Every file, link and folder below ``root``, called ``prefix/...``; who may do what is kept no finer than whether it runs."""
    found = []
    for path in root.rglob("*"):
        name, mode = f"{prefix}/{path.relative_to(root).as_posix()}", path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found.append(Entry(name, stat.S_IFLNK | 0o777, os.readlink(path).encode()))
        elif stat.S_ISDIR(mode):
            found.append(Entry(name, stat.S_IFDIR | 0o755))
        elif stat.S_ISREG(mode):
            found.append(Entry(name, stat.S_IFREG | (0o755 if mode & 0o100 else 0o644), path))
    return found


def pack(contents: Iterable[Entry], out: BinaryIO) -> None:
    """Write a newc archive (cpio's ``070701``): sorted by name, owned by root, without times. Archives can follow each other in a file."""
    for number, entry in enumerate([*sorted(contents, key=lambda entry: entry.name), Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        data = entry.data.read_bytes() if isinstance(entry.data, Path) else entry.data
        fields = (number, entry.mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


def _program(guest: Path, name: str, *places: str) -> Entry:
    for place in places:
        if (guest / place).is_file():
            return Entry(f"bin/{name}", stat.S_IFREG | 0o755, (guest / place).read_bytes())
    raise DeviceError(f"{guest}: none of the packages has {name}; fetch the machine's packages anew")


def _module(guest: Path, name: str) -> bytes:
    found = sorted(guest.glob(f"*lib/modules/*/kernel/**/{name}.ko")) or sorted(guest.glob(f"usr/lib/modules/*/kernel/**/{name}.ko"))
    if not found:
        raise DeviceError(f"{guest}: the kernel's package has no driver {name}; fetch the machine's packages anew")
    return found[-1].read_bytes()
