"""The protocol in an installed app, with this machine as the phone: an app that answers as the demo app does, and apps that do not."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.errors import CheckFailed, DeviceError, InputError
from chordkit.export import bundle
from chordkit.kernels import Engine
from chordkit.runtime_bench.app import ACTIVITY, PACKAGE
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.compare import compare
from chordkit.runtime_bench.devices.device import Completed
from chordkit.runtime_bench.devices.host import Host
from chordkit.runtime_bench.results import BenchReport, Settings
from chordkit.runtime_bench.samples import SampleWriter, read_samples

QUICK = Settings(launches=2, min_samples=20, min_seconds=0.0, block_ms=1.0)
NATIVE, IN_APP = "native-u5", "native-u5@app"

Records = list[dict[str, Any]]


class Phone(Host):
    """This machine with an Android's commands. ``sdcard`` is a folder here; what :meth:`answer` leaves there is the app's."""

    apps = True
    has_android = installed = runs = True

    def __init__(self, sdcard: Path) -> None:
        super().__init__()
        self.name, self.sdcard, self.starts = "phone:1", sdcard, 0

    def _here(self, word: str) -> str:
        return word.replace("/sdcard", str(self.sdcard))

    def push(self, local: Path, remote: str) -> None:
        super().push(local, self._here(remote))

    def pull(self, remote: str, local: Path) -> None:
        super().pull(self._here(remote), local)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        if command[0] == "pm":
            if not self.has_android:
                return Completed(127, "", "sh: pm: not found")
            return Completed(0, f"package:/data/app/{command[2]}/base.apk\n", "") if self.installed else Completed(1, "", "")
        if command[:2] == ["am", "force-stop"]:
            return Completed(0, "", "")
        if command[:2] == ["am", "start"]:
            self.starts += 1
            assert command[2:5] == ["-W", "-n", f"{PACKAGE}/{ACTIVITY}"]
            numbers = ("iterations", "least_ms", "most_ms", "block_ms", "adoptions")
            extras = {command[i + 1]: command[i + 2] for i in range(5, len(command), 3)}
            assert list(command[5::3]) == ["--ei" if name in numbers else "--es" for name in extras]
            return self.start(extras)
        running = "true" if self.runs else "false"
        words = [self._here(word).replace(f"pidof {PACKAGE}", running).replace("sleep 1", "sleep 0.01") for word in command]
        return super().run(words, timeout_s)

    @property
    def folder_of_app(self) -> Path:
        return self.sdcard / "Android" / "media" / PACKAGE / "chordkit"

    def start(self, extras: dict[str, str]) -> Completed:
        scores, records = self.answer(extras)
        run = extras["run"]
        scores.astype("<f4").tofile(self.folder_of_app / f"{run}.f32")
        text = "".join(json.dumps(record) + "\n" for record in records)
        (self.folder_of_app / f"{run}.jsonl").write_text(text)
        return Completed(0, "Status: ok\nLaunchState: COLD\nComplete\n", "")

    def answer(self, extras: dict[str, str]) -> tuple[np.ndarray, Records]:
        """What the demo app says, with times that are made up."""
        file = self.folder_of_app / extras["bundle"]
        with bundle.open(file, None) as opened:
            engine, vectors = Engine(bytes(opened.member("master.chrm"))), opened.vectors()
            strategy = bytes(opened.strategy_bytes(extras["strategy"])) if "strategy" in extras else None
            fingerprint, counter = opened.manifest.backbone.fingerprint, opened.manifest.counter
        if strategy is not None:
            engine.adopt(strategy)
        scores = np.stack([engine.scores(*row) for row in zip(vectors.histories, vectors.candidates, strict=True)])
        start = {"event": "start", "version": 1, "program": PACKAGE, "abi": self.abi, "runtime": "libchord", "variant": engine.variant}
        start |= {"pid": 7, "cpus": [0], "threads": 1, "mode": extras["mode"]}
        app = {"event": "app", "version": 1, "run": extras["run"], "package": PACKAGE, "app_version": "1", "debuggable": False, "sdk": 34}
        app |= {"sustained": False, "bundle_sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bundle_counter": counter}
        app |= {"fingerprint": fingerprint, "strategy": extras.get("strategy"), "user": None}
        app |= {"strategy_sha256": None if strategy is None else hashlib.sha256(strategy).hexdigest()}
        adoptions = int(extras.get("adoptions", 0))
        adopt = [{"event": "adopt", "us": [9.5] * adoptions}] if adoptions else []
        samples = int(extras["iterations"])
        blocks = [{"event": "block", "at_s": at / 100, "batch": 1, "us": [40.0 + at % 3] * 5} for at in range(-(-samples // 5))]
        times = [
            {"event": "load", "us": 100.0, "runtime_us": None}, *adopt, {"event": "first", "us": 50.0},
            {"event": "checked", "users": scores.shape[0], "candidates": scores.shape[1]},
            {"event": "warmup", "calls": 60, "seconds": 0.3, "converged": True},
            *blocks, {"event": "end", "samples": 5 * len(blocks), "seconds": 0.1},
        ]  # fmt: skip
        return scores, [start, app, *times]


def _bench(phone: Phone, project: Path, artifacts: list[str] | None = None, **more: Any) -> BenchReport:
    given: dict[str, Any] = {"public_key": project / "key.pub.pem", "app": PACKAGE, "settings": QUICK} | more
    return bench_bundles([project / "shop.chord"], artifacts or [NATIVE], device=phone, **given)


def test_app_and_command_line_stand_in_one_table(project: Path, tmp_path: Path) -> None:
    with Phone(tmp_path / "sd") as phone, SampleWriter(tmp_path / "s.jsonl") as samples:
        report = _bench(phone, project, samples=samples)
        assert phone.starts == 2 and list(phone.folder_of_app.iterdir()) == []
    line, app = report.results
    assert (line.name, app.name) == (NATIVE, IN_APP)
    assert app.ratio is not None and app.latency.p50_us == 40.5 and app.latency.n == 40
    assert (app.sha256, app.strategy_sha256, app.variant) == (line.sha256, line.strategy_sha256, line.variant)
    assert app.isolated is not None and app.isolated.adoption_us == 9.5 and app.isolated.load_ms == 0.1
    assert app.counts is None and app.isolated.peak_bytes is None and app.isolated.first_call_us == 50.0
    assert {name: len(launches) for name, launches in read_samples(tmp_path / "s.jsonl").items()} == {NATIVE: 2, IN_APP: 2}
    assert compare(report, report, threshold=0.05, samples=(None, None), seed=0).rows()


def test_an_artifact_without_a_strategy_is_asked_for_without_one(project: Path, tmp_path: Path) -> None:
    with Phone(tmp_path) as phone:
        report = _bench(phone, project, ["native-int8"])
    app = report.result("native-int8@app")
    assert app is not None and app.strategy_sha256 is None and app.isolated is not None and app.isolated.adoption_us is None


def test_what_the_app_is_told_is_what_the_command_says(project: Path, tmp_path: Path) -> None:
    told: dict[str, str] = {}

    class Listening(Phone):
        def start(self, extras: dict[str, str]) -> Completed:
            told.update(extras)
            return super().start(extras)

    with Listening(tmp_path) as phone:
        _bench(phone, project, settings=QUICK.model_copy(update={"mode": "cold", "min_seconds": 2.0, "block_ms": 0.5, "launches": 1}))
    run, name, key = (told.pop(each) for each in ("run", "bundle", "key"))
    assert len(run) == 16 and name.endswith(".chord") and "/" not in name and len(key) == 64
    wanted = {
        "strategy": "u5",
        "mode": "cold",
        "iterations": "20",
        "least_ms": "2000",
        "most_ms": "60000",
        "block_ms": "1",
        "adoptions": "20",
    }
    assert told == wanted


@pytest.mark.parametrize(("field", "words"), [("debuggable", "debug build"), ("sustained", "sustained performance")])
def test_an_app_that_is_no_fair_witness_is_measured_and_not_compared(field: str, words: str, project: Path, tmp_path: Path) -> None:
    class Unfair(Phone):
        def answer(self, extras: dict[str, str]) -> tuple[np.ndarray, Records]:
            scores, records = super().answer(extras)
            records[1][field] = True
            return scores, records

    with Unfair(tmp_path) as phone:
        report = _bench(phone, project)
    app = report.result(IN_APP)
    assert app is not None and not app.comparable and any(words in reason for reason in app.reasons)
    assert any(words in reason and reason.startswith(IN_APP) for reason in report.reasons)


Change = Callable[[np.ndarray, Records], tuple[np.ndarray, Records]]


def _without(event: str) -> Change:
    return lambda scores, records: (scores, [record for record in records if record["event"] != event])


def _with(place: int, **fields: Any) -> Change:
    return lambda scores, records: (scores, [record | (fields if index == place else {}) for index, record in enumerate(records)])


HOSTILE: dict[str, tuple[Change, type[Exception], str]] = {
    "wrong scores": (lambda s, r: (s[:, ::-1], r), CheckFailed, "on phone:1: native-u5@app: its scores are not those of its reference"),
    "scores of no strategy": (lambda s, r: (np.roll(s, 1, axis=0), r), CheckFailed, "on phone:1: native-u5@app: its scores are not"),
    "no number": (lambda s, r: (s * np.nan, r), CheckFailed, "on phone:1: native-u5@app: a score is not finite"),
    "too few scores": (lambda s, r: (s[:-1], r), CheckFailed, "native-u5@app: phone:1 gave"),
    "too many scores": (lambda s, r: (np.vstack([s, s]), r), CheckFailed, "native-u5@app: phone:1 gave"),
    "another run": (_with(1, run="0123456789abcdef"), DeviceError, "the app answers with run 0123456789abcdef where [0-9a-f]{16} was"),
    "another bundle": (_with(1, bundle_sha256="0" * 64), DeviceError, "the app answers with bundle_sha256 0+ where"),
    "another backbone": (_with(1, fingerprint="0" * 16), DeviceError, "the app answers with fingerprint 0+ where"),
    "another strategy": (_with(1, strategy="u6"), DeviceError, "the app answers with strategy u6 where u5"),
    "no strategy": (_with(1, strategy=None, strategy_sha256=None), DeviceError, "the app answers with strategy None where u5"),
    "other bytes": (_with(1, strategy_sha256="0" * 64), DeviceError, "the app answers with strategy_sha256 0+ where"),
    "a user": (_with(1, user="u5"), DeviceError, "the app answers with user u5 where None"),
    "another app": (_with(1, package="com.example"), DeviceError, "the app answers with package com.example where io.chordkit.demo"),
    "another mode": (_with(0, mode="cold"), DeviceError, "the app measured in mode cold"),
    "a runner's records": (_without("app"), DeviceError, "do not say what they are of"),
    "no end": (lambda s, r: (s, r[:-1]), DeviceError, "has no end; it was cut off"),
    "another end": (lambda s, r: (s, [*r[:-1], r[-1] | {"samples": 3}]), DeviceError, "says 3 where the blocks have 20"),
    "a negative time": (lambda s, r: (s, [*r[:-2], r[-2] | {"us": [-1.0] * 5}, r[-1]]), DeviceError, "us.0: Input should be greater than"),
    "an infinite time": (lambda s, r: (s, [*r[:-2], r[-2] | {"us": [float("inf")] * 5}, r[-1]]), DeviceError, "is not one JSON object"),
    "a field more": (_with(1, model="x"), DeviceError, "model: Extra inputs are not permitted"),
    "twice": (lambda s, r: (s, [r[0], r[1], *r[1:]]), DeviceError, "'app' cannot follow 'app'"),
    "nothing": (lambda s, r: (s, []), DeviceError, "breaks off before the first call"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_app_that_answers_something_else_is_not_believed(case: str, project: Path, tmp_path: Path) -> None:
    change, kind, words = HOSTILE[case]

    class Lying(Phone):
        def answer(self, extras: dict[str, str]) -> tuple[np.ndarray, Records]:
            return change(*super().answer(extras))

    with Lying(tmp_path) as phone:
        with pytest.raises(kind, match=words) as caught:
            _bench(phone, project)
        assert list(phone.folder_of_app.glob("*.chord")) == [] and phone.starts == 1
    assert "\n" not in str(caught.value)


def test_records_that_are_cut_within_a_line_are_not_believed(project: Path, tmp_path: Path) -> None:
    class Cut(Phone):
        def start(self, extras: dict[str, str]) -> Completed:
            done = super().start(extras)
            path = self.folder_of_app / f"{extras['run']}.jsonl"
            path.write_bytes(path.read_bytes()[:-20])
            return done

    with Cut(tmp_path) as phone, pytest.raises(DeviceError, match="has no end; it was cut off"):
        _bench(phone, project)


def test_what_the_app_refuses_is_told_in_its_words_without_what_acts_on_a_terminal(project: Path, tmp_path: Path) -> None:
    class Refusing(Phone):
        def start(self, extras: dict[str, str]) -> Completed:
            (self.folder_of_app / f"{extras['run']}.error").write_text("extra key: it must be\x1b[31m red\nand long" + "x" * 5000)
            return Completed(0, "Status: ok\n", "")

    with Refusing(tmp_path) as phone, pytest.raises(DeviceError, match=r"native-u5@app: on phone:1 the app says: extra key") as caught:
        _bench(phone, project)
    assert len(str(caught.value)) < 400 and "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


class Silent(Phone):
    def start(self, extras: dict[str, str]) -> Completed:
        return Completed(0, "Status: ok\n", "")


def test_an_app_that_crashes_is_noticed_at_once(project: Path, tmp_path: Path) -> None:
    with Silent(tmp_path) as phone:
        phone.runs = False
        with pytest.raises(DeviceError, match="native-u5@app: on phone:1 the app ended before it had answered"):
            _bench(phone, project)


def test_an_app_that_never_ends_is_not_waited_for_longer_than_is_said(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chordkit.runtime_bench.app.TIMEOUT_S", -110.0)  # and 2 x 60 s
    with Silent(tmp_path) as phone, pytest.raises(DeviceError, match="the app did not answer for 10 s; is the screen on"):
        _bench(phone, project)


@pytest.mark.parametrize(
    "said",
    [
        Completed(0, "Starting: Intent { }\nError type 3\nError: Activity class {io.chordkit.demo/x} does not exist.\n", ""),
        Completed(0, "", "java.lang.SecurityException: Permission Denial: starting Intent\n"),
    ],
)
def test_an_activity_that_is_not_there_is_said(said: Completed, project: Path, tmp_path: Path) -> None:
    class Foreign(Phone):
        def start(self, extras: dict[str, str]) -> Completed:
            return said

    words = "on phone:1 the app's benchmark cannot be started; install this version's demo app"
    with Foreign(tmp_path) as phone, pytest.raises(DeviceError, match=words):
        _bench(phone, project)


def test_an_am_that_fails_is_said(project: Path, tmp_path: Path) -> None:
    class Broken(Phone):
        def start(self, extras: dict[str, str]) -> Completed:
            return Completed(255, "", "cmd: Can't find service: activity\n")

    with Broken(tmp_path) as phone, pytest.raises(DeviceError, match=r"phone:1: `am start` failed \(cmd: Can't find service"):
        _bench(phone, project)


def test_an_app_that_is_not_installed_is_said_with_what_installs_it(project: Path, tmp_path: Path) -> None:
    with Phone(tmp_path) as phone:
        phone.installed = False
        with pytest.raises(DeviceError, match=r"phone:1: io.chordkit.demo is not installed; `make apk` builds it"):
            _bench(phone, project)
        phone.has_android = False
        with pytest.raises(DeviceError, match="phone:1: it has no Android"):
            _bench(phone, project)


def test_what_cannot_be_measured_in_an_app_is_said_before_anything_is_done(project: Path, tmp_path: Path) -> None:
    with Phone(tmp_path) as phone:
        with pytest.raises(InputError, match="signed bundles alone; give the key that the bundle was signed with, --public-key"):
            _bench(phone, project, public_key=None)
        with pytest.raises(DeviceError, match="measures in mode saturated or cold, on one thread"):
            _bench(phone, project, settings=QUICK.model_copy(update={"mode": "sparse"}))
        with pytest.raises(DeviceError, match="measures in mode saturated or cold, on one thread"):
            _bench(phone, project, settings=QUICK.model_copy(update={"threads": 2}))
        with pytest.raises(InputError, match="no native artifact among those to be measured"):
            _bench(phone, project, ["litert-u5"])
        with pytest.raises(InputError, match="one bundle at a time, and 2 were given"):
            bench_bundles([project / "shop.chord"] * 2, device=phone, public_key=project / "key.pub.pem", app=PACKAGE)
        assert phone.starts == 0
    with Host() as host, pytest.raises(DeviceError, match="--app: host has no apps"):
        bench_bundles([project / "shop.chord"], device=host, public_key=project / "key.pub.pem", app=PACKAGE)


def test_the_command_has_it(project: Path, command: Callable[..., Any]) -> None:
    outcome = command("bench", "run", project / "shop.chord", "--app", "--public-key", project / "key.pub.pem")
    assert outcome.status == 2 and "--app: host has no apps; give a phone that adb knows" in " ".join(outcome.err.split())
