"""An emulated arm64 machine that runs while it is needed: booted from what ``prepare`` made, reached by adb, ended with this process.

QEMU counts instructions instead of time (``-icount``): an instruction takes two nanoseconds of the machine's clock, whatever the host does
beside it, and idle time is skipped. Figures repeat, and are the time of no real processor.
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from chordkit.errors import DeviceError

CPUS = {"cortex-a53": "cortex-a53", "cortex-a76": "cortex-a76", "max": "max,pauth-impdef=on"}
"""The processors that can be had, as QEMU is asked for them. ``max``: without the costly cipher of pointer signatures."""

MEMORY_MB = 2048

# Ends QEMU when the pipe that this process holds open closes: at the latest with this process, however it ends.
_WATCHED = """"$@" & machine=$!
exec 3<&0
(read -r _ <&3; kill -KILL $machine) 2>/dev/null & watcher=$!
wait $machine; status=$?
kill $watcher
exit $status"""
_READY = "init: ready"
_BOOT_S = 120.0
_QUICK_S = 30.0


class EmulatedMachine:
    """A machine that boots when it is made. A context manager.

    Args:
        cpu: a key of :data:`CPUS`.
        qemu: how qemu-system-aarch64 is started.
        kernel: and initrd: what boots.
        boot_s: limit for booting.

    Raises:
        DeviceError: there is no such processor, or the machine does not boot; its last words are in the message.
    """

    def __init__(
        self,
        cpu: str,
        qemu: Sequence[str],
        kernel: Path,
        initrd: Path,
        boot_s: float = _BOOT_S,
    ) -> None:
        if cpu not in CPUS:
            raise DeviceError(f"there is no emulated processor {cpu!r}; use {', '.join(CPUS)}")
        self.cpu = cpu
        self._work = Path(tempfile.mkdtemp(prefix="chordkit-machine-"))
        self._monitor, theirs = socket.socketpair()
        self._answers = self._monitor.makefile("r")
        try:
            with theirs, open(self._work / "qemu.log", "wb") as log:
                self._process = subprocess.Popen(
                    ["sh", "-c", _WATCHED, "chordkit-machine", *qemu, *self._options(kernel, initrd, theirs.fileno())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    cwd=self._work,
                    # Ctrl-C is this process's to handle.
                    start_new_session=True,
                )
            self._monitor.settimeout(_QUICK_S)
            self.port = self._connect()
            self._wait(boot_s)
        except BaseException:
            self.close()
            raise

    @property
    def serial(self) -> str:
        """What adb calls the machine."""
        return f"127.0.0.1:{self.port}"

    def running(self) -> bool:
        """Whether QEMU is there."""
        return self._process.poll() is None

    def console(self, lines: int = 5) -> str:
        """The last words of QEMU and of the machine's kernel."""
        words = []
        for name in ("qemu.log", "console.log"):
            with contextlib.suppress(OSError):
                words += [line for line in (self._work / name).read_text(errors="replace").splitlines() if line.strip()]
        panic = [line for line in words[:-lines] if "Kernel panic" in line][-1:]
        return " | ".join([*panic, *words[-lines:]]) or "nothing was said"

    def set_link(self, up: bool) -> None:
        """Plug the machine's network cable in, or pull it out.

        Raises:
            DeviceError: QEMU does not answer.
        """
        self._command("set_link", name="net", up=up)

    def close(self) -> None:
        """End QEMU, at once."""
        if hasattr(self, "_process"):
            if self.running():
                with contextlib.suppress(DeviceError):
                    self._command("quit")
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]
            try:
                self._process.wait(_QUICK_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._answers.close()
        self._monitor.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _options(self, kernel: Path, initrd: Path, monitor: int) -> list[str]:
        # norandmaps, dtb-randomness, the fixed date: what a program finds is the same each time, so that it does the same.
        options = ["-M", "virt,gic-version=3,dtb-randomness=off", "-cpu", CPUS[self.cpu], "-m", str(MEMORY_MB), "-smp", "1"]
        options += ["-icount", "shift=1,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
        options += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "file:console.log"]
        options += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]
        options += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyAMA0 panic=-1 norandmaps"]
        options += ["-netdev", "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:6000", "-device", "virtio-net-device,netdev=net"]
        return options

    def _connect(self) -> int:
        """Greet the monitor; the port that the machine's adbd is reached at."""
        self._read()
        self._command("qmp_capabilities")
        network = self._command("human-monitor-command", **{"command-line": "info usernet"})
        found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", str(network))
        if found is None:
            raise DeviceError(f"emulator:{self.cpu}: QEMU opened no port for adb: {self.console()}")
        return int(found.group(1))

    def _command(self, command: str, /, **arguments: object) -> Any:
        try:
            self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        except OSError:
            raise DeviceError(f"emulator:{self.cpu}: QEMU has ended: {self.console()}") from None
        while "return" not in (answer := self._read()):
            if "error" in answer:
                raise DeviceError(f"emulator:{self.cpu}: QEMU refused {command}: {answer['error'].get('desc', answer['error'])}")
        return answer["return"]

    def _read(self) -> dict[str, Any]:
        """The monitor's next line: an answer, or an event."""
        try:
            line = self._answers.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            raise DeviceError(f"emulator:{self.cpu}: QEMU does not start or has ended: {self.console()}")
        return answer

    def _wait(self, boot_s: float) -> None:
        """Until the machine says that it is ready."""
        deadline = time.monotonic() + boot_s
        log = self._work / "console.log"
        while not (log.is_file() and _READY in log.read_text(errors="replace")):
            if not self.running():
                raise DeviceError(f"emulator:{self.cpu}: the machine ended while it booted: {self.console()}")
            if time.monotonic() > deadline:
                raise DeviceError(f"emulator:{self.cpu}: the machine did not boot within {boot_s:g} s: {self.console()}")
            time.sleep(0.05)
