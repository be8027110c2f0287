"""Commands and files over adb, such that a lost connection never looks like success and nothing hangs."""

import contextlib
import hashlib
import os
import posixpath
import re
import secrets
import shlex
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import client, script
from chordkit.runtime_bench.android.trouble import explain, refusal
from chordkit.runtime_bench.devices.device import Completed

PULL_LIMIT = 64 << 20
"""Most bytes of a file that is taken from a device."""

KILL_S = 5.0
"""Limit for ending what was started on a device."""

_SLOWEST_BYTES_A_SECOND = 500_000


def devices(timeout_s: float = client.QUICK_S) -> list[tuple[str, str]]:
    """(serial, state) of everything attached; the state of one that can be used is ``device``.

    Raises:
        DeviceError: the adb server cannot be started or does not answer.
        MissingRuntimeError: there is no adb.
    """
    try:
        answer = client.call(["devices"], timeout_s)
    except TimeoutError:
        raise DeviceError(explain("adb", "", server_hangs=True)) from None
    heading, _, listing = answer.stdout.partition("List of devices attached")
    if answer.status != 0:
        raise DeviceError(explain("adb", answer.stderr or heading))
    rows = [re.split(r"\t\s*|\s+", line.strip(), maxsplit=1) for line in listing.splitlines() if line.strip() and not line.startswith("*")]
    return [(row[0], row[1] if len(row) == 2 else "unknown") for row in rows]


class AdbShell:
    """A device that adb reaches.

    Args:
        serial: as ``adb devices`` lists it; ``host:port`` for one over the network, which :meth:`connect` connects.
        name: what messages call the device; ``adb:SERIAL`` by default.
    """

    def __init__(self, serial: str, name: str | None = None) -> None:
        self.serial = serial
        self.name = name or f"adb:{serial}"

    def connect(self, timeout_s: float = client.QUICK_S) -> None:
        """Wait until the device can be used; one over the network is connected, anew where adb holds a dead connection.

        Raises:
            DeviceError: it is not there, or not in a state that can be used, within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        words = ""
        while True:
            if self._network and (state := self._state()) != "device":
                if state is not None:
                    self.disconnect()
                words = self._adb(["connect", self.serial], max(deadline - time.monotonic(), 1.0)).stdout
            state = self._state()
            if state == "device":
                return
            if state == "unauthorized" or (state or "").startswith("no permissions") or time.monotonic() > deadline:
                raise DeviceError(explain(self.name, words if state is None and words else state or f"device '{self.serial}' not found"))
            time.sleep(0.2)

    def disconnect(self) -> None:
        """Let adb forget a device over the network; one on a cable stays."""
        if self._network:
            with contextlib.suppress(DeviceError):
                self._adb(["disconnect", self.serial], client.QUICK_S)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the device and wait for it. Its status is the one that the device wrote after it, never adb's.

        Raises:
            DeviceError: the connection was lost, or the program took longer than ``timeout_s``; it is ended where the device still answers.
        """
        mark = f"chord-{secrets.token_hex(8)}"
        text = script.wrap(command, mark)
        try:
            answer = client.call(["-s", self.serial, "shell", "-T", "-n", text], timeout_s)
        except TimeoutError:
            raise DeviceError(self._too_long(command, timeout_s, mark)) from None
        except BaseException as problem:
            # Ctrl-C, or more output than is taken: the program must not go on without us.
            with contextlib.suppress(DeviceError, TimeoutError):
                self._kill(mark)
            if isinstance(problem, DeviceError):
                raise DeviceError(f"{self.name}: {problem}") from None
            raise
        done = script.unwrap(answer.stdout, mark)
        if done is None:
            raise DeviceError(self._lost(answer))
        return Completed(done[0], done[1], answer.stderr)

    def shell(self, text: str, timeout_s: float = client.QUICK_S) -> Completed:
        """Run a script of the device's sh."""
        return self.run(["sh", "-c", text], timeout_s)

    def push(self, local: Path, remote: str) -> None:
        """Copy a file onto the device, executable where it is so here; it appears under ``remote`` once it is complete and right.

        Raises:
            DeviceError: ``local`` cannot be read, the connection was lost, the disk is full, or other bytes arrived; nothing partial stays.
        """
        try:
            size, sums = _sums(local)
            mode = 0o755 if os.access(local, os.X_OK) else 0o644
        except OSError as problem:
            raise DeviceError(f"{local}: cannot be read ({problem.strerror})") from None
        part = f"{remote}.part-{secrets.token_hex(4)}"
        self._do(f"mkdir -p {shlex.quote(posixpath.dirname(remote) or '/')}", remote)
        try:
            self._copy(["push", str(local), part], size, remote)
            self._check(part, size, sums)
            self._do(f"chmod {mode:o} {shlex.quote(part)} && mv -f {shlex.quote(part)} {shlex.quote(remote)}", remote)
        except BaseException:
            with contextlib.suppress(DeviceError):
                self.shell(f"rm -f {shlex.quote(part)}", KILL_S)
            raise

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device; it appears under ``local`` when it is complete and its checksum right.

        Raises:
            DeviceError: the connection was lost, the file is not there or above 64 MiB, or changed meanwhile; nothing partial stays.
        """
        size, kind, checksum = self._measure(remote, PULL_LIMIT)
        if size > PULL_LIMIT:
            raise DeviceError(f"{self.name}: {remote} has {size:,} bytes; at most {PULL_LIMIT:,} are taken")
        part = local.with_name(f".{local.name}.part-{secrets.token_hex(4)}")
        try:
            # Before the device is asked: adb would call this the device's failure.
            part.touch()
        except OSError as problem:
            raise DeviceError(f"{local}: cannot be written ({problem.strerror})") from None
        try:
            self._copy(["pull", remote, str(part)], size, remote)
            arrived, sums = _sums(part)
            if arrived != size or sums.get(kind, checksum) != checksum:
                raise DeviceError(f"{self.name}: {remote} changed while it was copied, or was damaged on the way; copy it again")
            os.replace(part, local)
        except OSError as problem:
            raise DeviceError(f"{local}: cannot be written ({problem.strerror})") from None
        finally:
            part.unlink(missing_ok=True)

    @property
    def _network(self) -> bool:
        return bool(re.search(r":\d+$", self.serial))

    def _state(self) -> str | None:
        return dict(devices()).get(self.serial)

    def _adb(self, arguments: Sequence[str], timeout_s: float) -> Completed:
        try:
            return client.call(arguments, timeout_s)
        except TimeoutError:
            raise DeviceError(explain(self.name, "", timeout_s=timeout_s)) from None

    def _do(self, text: str, path: str) -> None:
        done = self.shell(text)
        if done.status != 0:
            raise DeviceError(refusal(self.name, script.answer_of(done), path))

    def _copy(self, arguments: list[str], size: int, path: str) -> None:
        answer = self._adb(["-s", self.serial, *arguments], client.QUICK_S + size / _SLOWEST_BYTES_A_SECOND)
        if answer.status != 0:
            raise DeviceError(self._lost(answer, path))

    def _measure(self, remote: str, limit: int) -> tuple[int, str, str]:
        answer = self.shell(script.measure_file(remote, limit), client.QUICK_S + limit / _SLOWEST_BYTES_A_SECOND)
        words = answer.stdout.split()
        if answer.status != 0 or len(words) != 3 or not words[0].isdigit():
            raise DeviceError(f"{self.name}: {remote} cannot be read ({script.answer_of(answer)})")
        return int(words[0]), words[1], words[2]

    def _check(self, part: str, size: int, sums: dict[str, str]) -> None:
        there, kind, checksum = self._measure(part, size)
        if there != size:
            raise DeviceError(f"{self.name}: {there:,} of {size:,} bytes arrived; is the device's disk full?")
        if sums.get(kind, checksum) != checksum:
            raise DeviceError(f"{self.name}: other bytes arrived than were sent; try another cable or port")

    def _kill(self, mark: str) -> bool:
        """End what was started under ``mark``; whether the device answered."""
        answer = client.call(["-s", self.serial, "shell", "-T", "-n", script.kill_marked(mark)], KILL_S)
        return answer.stdout.strip().isdigit()

    def _too_long(self, command: Sequence[str], timeout_s: float, mark: str) -> str:
        try:
            answers = self._kill(mark)
        except TimeoutError:
            answers = False
        if answers:
            return f"{self.name}: {posixpath.basename(command[0])} took longer than {timeout_s:g} s and was ended"
        return explain(self.name, "", timeout_s=timeout_s)

    def _lost(self, answer: Completed, path: str | None = None) -> str:
        """Why a command failed on the way: adb's own words, or else the state that the device is in now."""
        words = answer.stderr.strip()
        if not words or "error: closed" in words:
            state = self._state()
            if state != "device":
                words = state or f"device '{self.serial}' not found"
        return explain(self.name, words, path)


def _sums(path: Path) -> tuple[int, dict[str, str]]:
    """Size of a file, and its checksums by the names of the tools that make them on a device."""
    # POSIX cksum is zlib's CRC-32 with the bits of every byte and of the result reversed, begun at 0, over the bytes and their count.
    size, digest, crc = 0, hashlib.sha256(), 0xFFFFFFFF
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            size += len(chunk)
            digest.update(chunk)
            crc = zlib.crc32(chunk.translate(_REVERSED), crc)
    crc = zlib.crc32(size.to_bytes((size.bit_length() + 7) // 8, "little").translate(_REVERSED), crc)
    return size, {"sha256": digest.hexdigest(), "cksum": str(int(f"{crc:032b}"[::-1], 2))}


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
