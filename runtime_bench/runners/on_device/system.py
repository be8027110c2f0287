"""The system that the program runs on: files, signals, the counter of instructions, memory."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import struct
import sys
from typing import Any

NAME = "on_device.py"
ABIS = {"aarch64": "arm64-v8a", "x86_64": "x86_64", "armv7l": "armeabi-v7a"}


class Refused(Exception):
    """The input is wrong, or a file cannot be written: one sentence, exit status 2."""


def write_all(stream: Any, path: str, data: bytes) -> None:
    """All of ``data``, to an unbuffered stream."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror}); free some space there") from None


def read(path: str) -> bytes:
    """The contents of a file."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from None


class Stop:
    """The signal that asked for the end."""

    signal = 0

    def catch(self) -> None:
        for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, self._stop)

    def _stop(self, number: int, _: Any) -> None:
        self.signal = number


class Counter:
    """Executed instructions of this process, user space, threads included that are made after it."""

    SYSCALLS = {"x86_64": 298, "aarch64": 241}  # noqa: RUF012 - a table
    ENABLE, DISABLE, RESET = 0x2400, 0x2401, 0x2403

    def __init__(self) -> None:
        disabled, inherit, exclude_kernel, exclude_hypervisor = 1 << 0, 1 << 1, 1 << 5, 1 << 6
        flags = disabled | inherit | exclude_kernel | exclude_hypervisor
        hardware, instructions, size = 0, 1, 64
        attributes = ctypes.create_string_buffer(struct.pack("=IIQQQQQIIQ", hardware, size, instructions, 0, 0, 0, flags, 0, 0, 0), size)
        number = self.SYSCALLS.get(platform.machine())
        libc = ctypes.CDLL(None, use_errno=True)
        none, close_on_exec = ctypes.c_long(-1), ctypes.c_long(8)
        self._file = -1
        if number is not None:
            self._file = libc.syscall(ctypes.c_long(number), attributes, ctypes.c_long(0), none, none, close_on_exec)
        self.reason = "" if self._file >= 0 else os.strerror(ctypes.get_errno()) if number is not None else "unknown architecture"

    def start(self) -> None:
        if self._file >= 0:
            fcntl.ioctl(self._file, self.RESET, 0)
            fcntl.ioctl(self._file, self.ENABLE, 0)

    def stop(self) -> int:
        if self._file < 0:
            return 0
        fcntl.ioctl(self._file, self.DISABLE, 0)
        return int(struct.unpack("=Q", os.read(self._file, 8))[0])


def memory_bytes(total: str) -> int:
    """Resident memory: ``VmRSS`` is what there is now, ``VmHWM`` the peak since the last reset.

    The kernel's running totals in status lag by some 64 pages; smaps_rollup counts the pages that are there.
    """
    counted, running = _proc_bytes("/proc/self/smaps_rollup", "Rss"), _proc_bytes("/proc/self/status", total)
    if running == 0:
        raise Refused(f"/proc/self/status: has no {total}, so memory is not to be known")
    return max(counted, running)


def _proc_bytes(path: str, field: str) -> int:
    try:
        with open(path) as stream:
            return next((int(line.split()[1]) * 1024 for line in stream if line.startswith(f"{field}:")), 0)
    except OSError:
        return 0


def reset_peak() -> None:
    """Set the peak of resident memory to what is resident now, where the kernel can."""
    try:
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")
    except OSError:
        print(f"{NAME}: the kernel does not reset the peak of memory; it counts from the start", file=sys.stderr)
