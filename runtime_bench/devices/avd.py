"""Android Virtual Devices: ``avd:NAME`` starts the emulator of an Android SDK, waits for it, and shuts it down at the end.

An emulator that somebody else started is an ``adb:emulator-PORT``; it is never touched here.
"""

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import adb, client
from chordkit.runtime_bench.android.adb import AdbShell
from chordkit.runtime_bench.devices.adb import AdbDevice
from chordkit.runtime_bench.devices.device import Device, DeviceList, Listed

BOOT_S = 300.0
"""Longest wait for an emulator to be ready; minutes without hardware help."""

_PORTS = range(5580, 5680, 2)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}", re.ASCII)
_INSTALL = (
    "no Android SDK with an emulator is found, so Android Virtual Devices cannot be started; set ANDROID_HOME, or install one with "
    "`sdkmanager emulator platform-tools 'system-images;android-34;default;x86_64'`"
)


class Avd(AdbDevice):
    """A virtual device that this object started and shuts down.

    Args:
        name: of the virtual device.
        emulator: the program that runs it.
        boot_s: longest wait until it is ready.

    Raises:
        DeviceError: there is no such virtual device, or it does not start; what was started is ended then.
    """

    def __init__(self, name: str, emulator: Path, boot_s: float = BOOT_S) -> None:
        port = _free_port()
        self._serial = f"emulator-{port}"
        # What the emulator writes goes to a file: a pipe that nobody reads would stop it.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the emulator
        self._process: subprocess.Popen[bytes] | None = None
        command = [str(emulator), "-avd", name, "-no-window", "-no-audio", "-no-boot-anim", "-no-snapshot", "-port", str(port)]
        try:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
                )
            except OSError as problem:
                raise DeviceError(f"{emulator}: cannot be started ({problem.strerror}); install the SDK's emulator anew") from None
            self._wait_for_boot(name, time.monotonic() + boot_s, boot_s)
            super().__init__(self._serial, f"avd:{name}", emulated=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Shut the emulator down: kindly, then by force."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                with contextlib.suppress(DeviceError, TimeoutError):
                    kindly = client.call(["-s", self._serial, "emu", "kill"], client.QUICK_S).status == 0
                    _wait(process, 20 if kindly else 0)
            for end in (process.terminate, process.kill):
                if process.poll() is None:
                    end()
                    _wait(process, 10)
        self._log.close()

    def _wait_for_boot(self, name: str, deadline: float, boot_s: float) -> None:
        """Until Android says that it has booted."""
        shell = AdbShell(self._serial, f"avd:{name}")
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise DeviceError(f"avd:{name}: the emulator ended with status {self._process.returncode}: {self._last_words()}")
            if dict(adb.devices()).get(self._serial) == "device":
                with contextlib.suppress(DeviceError):
                    if shell.run(["getprop", "sys.boot_completed"], 10).stdout.strip() == "1":
                        return
            time.sleep(1)
        raise DeviceError(
            f"avd:{name}: Android was not ready after {boot_s:g} s ({self._last_words()}); start it once by hand and run again"
        )

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-4096:].decode(errors="replace").strip().splitlines()
        # The emulator ends many runs with remarks; the line that says why comes with one of these words.
        said = [line for line in lines if re.search("PANIC|FATAL|ERROR", line)] or lines
        return said[-1].strip() if said else "it said nothing"


def find() -> DeviceList:
    """The virtual devices that an SDK on this computer could start."""
    emulator = find_emulator(os.environ, Path.home())
    if emulator is None:
        return DeviceList(devices=(), remarks=(_INSTALL,))
    names = list_avds(os.environ, Path.home())
    remarks = () if names else ("the Android SDK has no virtual device; `avdmanager create avd -n phone -k 'IMAGE'` makes one",)
    return DeviceList(
        devices=tuple(
            Listed(name=f"avd:{name}", kind="avd", detail="started when it is used; emulated", measurable=True) for name in names
        ),
        remarks=remarks,
    )


def connect(argument: str) -> Device:
    """Start the virtual device ``argument`` and wait until it can be measured on.

    Raises:
        DeviceError: there is no SDK or no such virtual device, or it does not start.
    """
    emulator = find_emulator(os.environ, Path.home())
    if emulator is None:
        raise DeviceError(f"there is no device 'avd:{argument}': {_INSTALL}")
    names = list_avds(os.environ, Path.home())
    if argument not in names:
        raise DeviceError(f"there is no device 'avd:{argument}'; the virtual devices are {', '.join(names) or 'none'}")
    return Avd(argument, emulator)


def find_emulator(environment: Mapping[str, str], home: Path) -> Path | None:
    """The emulator of the first SDK that has one: ``ANDROID_HOME``, ``ANDROID_SDK_ROOT``, then where Android Studio puts it."""
    named = [environment[name] for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT") if environment.get(name)]
    usual = [home / "Android" / "Sdk", home / "Library" / "Android" / "sdk", Path("/opt/android-sdk"), Path("/usr/lib/android-sdk")]
    for sdk in (*map(Path, named), *usual):
        program = sdk / "emulator" / ("emulator.exe" if os.name == "nt" else "emulator")
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return None


def list_avds(environment: Mapping[str, str], home: Path) -> list[str]:
    """The virtual devices by name: an ``.ini`` file each, in ``ANDROID_AVD_HOME`` or below the user's Android folder."""
    named = environment.get("ANDROID_AVD_HOME")
    user = Path(environment.get("ANDROID_USER_HOME") or home / ".android")
    folder = Path(named) if named else user / "avd"
    try:
        return sorted(path.stem for path in folder.glob("*.ini") if _NAME.fullmatch(path.stem))
    except OSError:
        return []


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)


def _free_port() -> int:
    """An even port whose successor is free too: the emulator's console and its adb."""
    for port in _PORTS:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for each in (port, port + 1):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            return port
    raise DeviceError("no pair of ports from 5580 to 5679 is free for an emulator; shut some emulators down")
