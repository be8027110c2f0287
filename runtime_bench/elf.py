"""Which processor a program is for, from the first bytes of its ELF header."""

import os
import struct

from chordkit.errors import DeviceError

_MACHINES = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a", 243: "riscv64"}
"""e_machine, as Android calls it."""


def elf_abi(path: str | os.PathLike[str]) -> str | None:
    """The ABI that a program is for, by Android's name, or ``machine 8`` and the like where it has none; None: it is no ELF file.

    Raises:
        DeviceError: the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(20)
    except OSError as error:
        raise DeviceError(f"{path}: the program cannot be read ({error.strerror})") from None
    if len(head) < 20 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    (machine,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return _MACHINES.get(machine, f"machine {machine}")


def check_abi(path: str | os.PathLike[str], abi: str) -> None:
    """Look whether a device of ``abi`` can run a program: a device's own complaint about a wrong one is a syntax error of its shell.

    Raises:
        DeviceError: it cannot, or the file is no program.
    """
    found = elf_abi(path)
    if found is None:
        raise DeviceError(f"{path}: is no ELF program; build it anew")
    if found != abi:
        raise DeviceError(f"{path}: is a program for {found}, and the device runs {abi}; build it for that")
