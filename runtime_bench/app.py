"""Measuring inside an installed app: the way from Java to the kernels, with what Android does to an app's process.

The demo app (``android_demo/app``) has an activity that ``am start`` starts with a bundle's name, a key and a run's name. It does what the
measuring programs do and writes the same records, with one more that says what it was: :class:`chordkit.runtime_bench.records.App`. Files
go through the app's folder of external media, which both the shell and the app may read and write without any permission.
"""

import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chordkit.errors import DeviceError
from chordkit.runtime_bench.launching import EMULATED_TIMEOUT_S, TIMEOUT_S, Answer, Purpose, Room, Way
from chordkit.runtime_bench.records import App, Records
from chordkit.runtime_bench.results import Settings

PACKAGE = "io.chordkit.demo"
ACTIVITY = "io.chordkit.demo.BenchmarkActivity"
MODES = ("saturated", "cold")
SUFFIX = "@app"
"""Behind the name of an artifact that is measured in the app."""

_QUICK_S = 60.0
_ADOPTIONS = 20
_GONE_AFTER = 3
_MOST_WORDS = 1000


@dataclass(frozen=True)
class AppPart:
    """What of an artifact the app is told, and must say itself afterwards.

    Attributes:
        package: of the app.
        bundle: a copy of the bundle; sha256: of it, hexadecimal.
        key: the public key that signed it, 64 hexadecimal digits.
        fingerprint: of the backbone, 16 hexadecimal digits.
        strategy, strategy_sha256: name in the bundle and SHA-256 of the artifact's strategy; None = int8 everywhere.
        user: name of a user vector in the bundle, or None.
    """

    package: str
    bundle: Path
    sha256: str
    key: str
    fingerprint: str
    strategy: str | None
    strategy_sha256: str | None
    user: str | None


def require_modes(settings: Settings) -> None:
    """Refuse what the app does not do.

    Raises:
        DeviceError: another mode than saturated and cold, or several threads.
    """
    if settings.mode not in MODES or settings.threads != 1:
        raise DeviceError(f"--app: the app measures in mode {' or '.join(MODES)}, on one thread; choose these")


@dataclass(frozen=True)
class AppWay(Way):
    """The app's benchmark activity. Made by :func:`prepare_app`."""

    name: str
    room: Room
    part: AppPart
    folder: str
    bundle: str
    settings: Settings

    purposes = frozenset({Purpose.TIMES})

    def launch(self, purpose: Purpose) -> Answer:
        device, run = self.room.device, secrets.token_hex(8)
        self._start(run)
        limit = (EMULATED_TIMEOUT_S if device.emulated else TIMEOUT_S) + 2 * self._most_seconds()
        outcome = self._wait(run, limit)
        if outcome == "refused":
            raise DeviceError(f"{self.name}: on {device.name} the app says: {self._error(run)}")
        if outcome == "gone":
            raise DeviceError(f"{self.name}: on {device.name} the app ended before it had answered; `adb logcat` tells why")
        if outcome != "answered":
            raise DeviceError(f"{self.name}: on {device.name} the app did not answer for {limit:.0f} s; is the screen on and unlocked?")
        scores, records = self.room.here / "app.f32", self.room.here / "app.jsonl"
        device.pull(f"{self.folder}/{run}.f32", scores)
        device.pull(f"{self.folder}/{run}.jsonl", records)
        answer = Answer(np.fromfile(scores, "<f4").astype(np.float32), records)
        self._require_own(answer.read(), run)
        self._run(["rm", "-f", *(f"{self.folder}/{run}{ending}" for ending in (".f32", ".jsonl"))])
        return answer

    def reasons(self, records: Records) -> list[str]:
        found = []
        if records.app is not None and records.app.debuggable:
            found.append("the app is a debug build, in which Android checks every JNI call; install a release build")
        if records.app is not None and records.app.sustained:
            found.append("the app asked for sustained performance, which bounds the clocks")
        return found

    def _start(self, run: str) -> None:
        part, settings = self.part, self.settings
        texts = {"bundle": self.bundle, "key": part.key, "run": run, "strategy": part.strategy, "user": part.user, "mode": settings.mode}
        numbers = {
            "iterations": settings.min_samples,
            "least_ms": round(settings.min_seconds * 1000),
            "most_ms": round(self._most_seconds() * 1000),
            "block_ms": max(1, round(settings.block_ms)),
            "adoptions": None if part.strategy is None else _ADOPTIONS,
        }
        extras = [word for name, value in texts.items() if value is not None for word in ("--es", name, value)]
        extras += [word for name, value in numbers.items() if value is not None for word in ("--ei", name, str(value))]
        self._run(["am", "force-stop", part.package])
        said = self._run(["am", "start", "-W", "-n", f"{part.package}/{ACTIVITY}", *extras])
        wrong = next((line.strip() for line in said.splitlines() if "Error" in line or "Exception" in line), None)
        if wrong is not None:
            raise DeviceError(
                f"{self.name}: on {self.room.device.name} the app's benchmark cannot be started; "
                f"install this version's demo app ({_plain(wrong)})"
            )

    def _most_seconds(self) -> float:
        return max(60.0, 3 * self.settings.min_seconds)

    def _wait(self, run: str, limit_s: float) -> str:
        """answered, refused, gone (neither, and no process) or late."""
        answer, error = (shlex.quote(f"{self.folder}/{run}{ending}") for ending in (".jsonl", ".error"))
        script = (
            "n=0; g=0\n"
            f"while [ $n -lt {int(limit_s)} ]; do\n"
            f"  [ -e {answer} ] && {{ echo answered; exit 0; }}\n"
            f"  [ -e {error} ] && {{ echo refused; exit 0; }}\n"
            f"  if pidof {shlex.quote(self.part.package)} >/dev/null; then g=0; else g=$((g+1)); fi\n"
            f"  [ $g -ge {_GONE_AFTER} ] && {{ echo gone; exit 0; }}\n"
            "  sleep 1; n=$((n+1))\n"
            "done; echo late"
        )
        return self.room.device.run(["sh", "-c", script], limit_s + _QUICK_S).stdout.strip()

    def _error(self, run: str) -> str:
        words = self._run(["head", "-c", str(_MOST_WORDS), f"{self.folder}/{run}.error"])
        return _plain(words) or "nothing"

    def _require_own(self, records: Records, run: str) -> None:
        """The answer is to what was asked, and of the bytes that were sent."""
        part, said = self.part, records.app
        if said is None:
            raise DeviceError(f"{self.name}: on {self.room.device.name} the app's records do not say what they are of; update the demo app")
        wanted = App(
            event="app", version=1, run=run, package=part.package, app_version=said.app_version, debuggable=said.debuggable, sdk=said.sdk,
            sustained=said.sustained, bundle_sha256=part.sha256, bundle_counter=said.bundle_counter, fingerprint=part.fingerprint,
            strategy=part.strategy, strategy_sha256=part.strategy_sha256, user=part.user,
        )  # fmt: skip
        for field, value in wanted.model_dump().items():
            if getattr(said, field) != value:
                raise DeviceError(
                    f"{self.name}: on {self.room.device.name} the app answers with {field} {getattr(said, field)} where {value} was asked "
                    "for; measure again"
                )
        if records.start.mode != self.settings.mode:
            raise DeviceError(f"{self.name}: on {self.room.device.name} the app measured in mode {records.start.mode}; update the demo app")

    def _run(self, command: list[str]) -> str:
        return _checked(self.room, command)


def prepare_app(room: Room, name: str, part: AppPart, settings: Settings) -> AppWay:
    """The way into the app, with the bundle in its folder.

    Raises:
        DeviceError: the device is no Android, the app is not installed, or the bundle cannot be brought there.
    """
    device = room.device
    found = device.run(["pm", "path", part.package], _QUICK_S)
    if found.status == 127:
        raise DeviceError(f"{device.name}: it has no Android that an app could be installed on; measure without --app")
    if found.status != 0 or "package:" not in found.stdout:
        raise DeviceError(f"{device.name}: {part.package} is not installed; `make apk` builds it, `adb install` installs it")
    folder = f"/sdcard/Android/media/{part.package}/chordkit"
    bundle = f"{part.sha256[:32]}.chord"
    if not any(isinstance(each, _Leaving) for each in room.leaving):
        device.push(part.bundle, f"{folder}/{bundle}")
        room.leaving.append(_Leaving(room, part.package, f"{folder}/{bundle}"))
    return AppWay(name, room, part, folder, bundle, settings)


@dataclass(frozen=True)
class _Leaving:
    """Ends the app and takes the bundle away."""

    room: Room
    package: str
    bundle: str

    def __call__(self) -> None:
        self.room.device.run(["am", "force-stop", self.package], _QUICK_S)
        self.room.device.run(["rm", "-f", self.bundle], _QUICK_S)


def _checked(room: Room, command: list[str]) -> str:
    ended = room.device.run(command, _QUICK_S)
    if ended.status != 0:
        words = _plain(ended.stderr or ended.stdout) or f"status {ended.status}"
        raise DeviceError(f"{room.device.name}: `{' '.join(command[:2])}` failed ({words})")
    return f"{ended.stdout}\n{ended.stderr}"


def _plain(words: str) -> str:
    """On one line and without what acts on a terminal: it comes from the phone."""
    return "".join(letter if letter.isprintable() else " " for letter in words).strip()[:300]
