"""Whether a phone did right: by rules of its own, from what the channel signed and from who the phone is, with none of the phone's code.

The judge knows what no phone does: every folder that the channel ever had, and which phone can run which bundle. It reads the phone's disk, and
asks after every event whether what it finds there may be there.
"""

import datetime
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chordkit.release.phone import Phone
from chordkit.release.simulation.disk import SimulatedDisk
from chordkit.release.simulation.mirrors import Folder, History, Line
from chordkit.release.store import STATE, State
from chordkit.release.words import PhoneFacts

LIMITS = {"root.json": 65_536, "timestamp.json": 16_384, "snapshot.json": 65_536, "targets.json": 2_097_152}
"""Bytes of each kind of file that a phone may ask for at most."""
Runs = Callable[[str, PhoneFacts], bool]
"""(SHA-256 of a bundle, phone) -> whether the phone can run it."""


@dataclass(frozen=True)
class Epoch:
    """What a channel said at one moment: its releases by number, what it killed, the timestamp's version, and when each role expires."""

    releases: dict[int, dict[str, Any]]
    killed: list[dict[str, Any]]
    version: int
    expires: int


@dataclass
class Known:
    """What the judge remembers of a phone, since a phone that forgets must not get away with it."""

    release: int = 0
    version: int = 0
    failed: set[int] = field(default_factory=set)


class Judge:
    """The rules.

    Args:
        history: of the channel; it may grow.
        shipped: SHA-256 of the bundle that comes with the app.
        runs: the truth of which phone can run what.
    """

    def __init__(self, history: History, shipped: str, runs: Runs) -> None:
        self._history, self._shipped, self._runs = history, shipped, runs
        self._epochs: list[Epoch] = []
        self.longest = 0

    def epochs(self) -> list[Epoch]:
        """All that the channel said so far."""
        for folder in self._history.folders[len(self._epochs) :]:
            self._epochs.append(_epoch(folder))
            self.longest = max(self.longest, *(release["length"] for release in self._epochs[-1].releases.values()), 0)
        return self._epochs

    def may_have(self, epoch: Epoch, facts: PhoneFacts, install: bytes) -> Iterable[int]:
        """The releases of an epoch that are for a phone."""
        return (number for number, release in epoch.releases.items() if _is_for(release, facts, install))

    def wrongs(self, phone: Phone, disk: SimulatedDisk, known: Known, line: Line, time: int, clock: int, whole: bool) -> list[str]:
        """What is wrong with a phone after an event, a name each; ``known`` is brought up to date.

        Args:
            phone: that was just started again.
            disk: its own.
            known: of it.
            line: over which it asked a mirror.
            time: the true one.
            clock: the phone's.
            whole: whether power stayed.
        """
        state = phone.state()
        found = self._of_line(line, known) + self._of_store(disk, state, whole)
        found += self._of_release(phone, disk, state, known, time, clock)
        found += self._of_what_runs(phone, state)
        return found

    def _of_line(self, line: Line, known: Known) -> list[str]:
        wrong = []
        for path, most in line.asked:
            kind = next((kind for kind in LIMITS if path.endswith(kind)), None)
            if most > (self.longest if kind is None else LIMITS[kind]):
                wrong.append("it took more bytes than a file can have")
        roots = sum(path.endswith("root.json") for path, _ in line.asked)
        if roots > 33:
            wrong.append("it followed more roots than one update may")
        digests = {self._release(number)["bundle"] for number in known.failed}
        if any(path.startswith("targets/") and path.split("/")[1].partition(".")[0] in digests for path, _ in line.asked):
            wrong.append("it fetched a release again that it cannot run")
        return wrong

    def _of_store(self, disk: SimulatedDisk, state: State, whole: bool) -> list[str]:
        wrong = []
        if missing := state.files - set(disk.names()):
            wrong.append(f"its state names files that are not there: {len(missing)}")
        if whole and set(disk.names()) - state.files - {STATE}:
            wrong.append("files are left on its disk that nothing names")
        return wrong

    def _of_release(self, phone: Phone, disk: SimulatedDisk, state: State, known: Known, time: int, clock: int) -> list[str]:
        wrong = []
        if state.release < known.release:
            wrong.append("it went back to an older release, or forgot which it had")
        if state.release > known.release:
            wrong += self._of_adoption(phone, disk, state, known, time, clock)
        known.release = max(known.release, state.release)
        for number in set(state.failed) - known.failed:
            if self._release(number) and self._runs(self._release(number)["bundle"], phone.facts):
                wrong.append("it gave up a release that it can run")
        known.failed |= {number for number in state.failed if self._release(number)}
        return wrong

    def _of_adoption(self, phone: Phone, disk: SimulatedDisk, state: State, known: Known, time: int, clock: int) -> list[str]:
        number = state.release
        offered = [epoch for epoch in self.epochs()[: self._history.index(time) + 1] if number in epoch.releases]
        if not offered:
            return ["it adopted a release that the channel never made"]
        wrong = []
        digest = "" if state.current is None or state.current.file not in disk.names() else _digest(disk.read(state.current.file))
        if digest != offered[0].releases[number]["bundle"]:
            wrong.append("what it adopted is not the bundle of that release")
        meant = [epoch for epoch in offered if number in set(self.may_have(epoch, phone.facts, state.install))]
        if not meant:
            wrong.append("it adopted a release that was not for it (cohort or stage)")
        elif all(epoch.expires <= clock for epoch in meant):
            wrong.append("it adopted a release from metadata that had expired")
        elif not any(epoch.version >= known.version and epoch.expires > clock for epoch in meant):
            wrong.append("it adopted a release from metadata older than it had seen")
        return wrong

    def _of_what_runs(self, phone: Phone, state: State) -> list[str]:
        try:
            opened, release = phone.open()
        except Exception as error:  # whatever it is, the app would have nothing to rank with
            return [f"nothing can be opened: {type(error).__name__}"]
        wrong = []
        digest = _digest(opened.file())
        authentic = {self._shipped} | {each["bundle"] for epoch in self.epochs() for each in epoch.releases.values()}
        if digest not in authentic:
            wrong.append("it runs a bundle that the channel never had")
        elif not self._runs(digest, phone.facts):
            wrong.append("it runs a bundle that it cannot run")
        if release != (0 if state.current is None else state.current.release):
            wrong.append("the bundle in use cannot be opened any more")
        return wrong

    def _release(self, number: int) -> dict[str, Any]:
        return next((epoch.releases[number] for epoch in reversed(self.epochs()) if number in epoch.releases), {})


def _epoch(folder: Folder) -> Epoch:
    signed = [json.loads(folder["metadata/timestamp.json"])["signed"]]
    for role in ("snapshot", "targets"):
        version = signed[-1]["meta"][f"{role}.json"]["version"]
        signed.append(json.loads(folder[f"metadata/{version}.{role}.json"])["signed"])
    timestamp, _, targets = signed
    releases = {}
    for target in targets["targets"].values():
        custom = target["custom"]["chordkit"]
        if "release" in custom:
            releases[custom["release"]] = custom | {"length": target["length"]}
    killed = targets.get("chordkit", {}).get("killed", [])
    return Epoch(releases, killed, timestamp["version"], min(_seconds(each["expires"]) for each in signed))


def _seconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp())


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_for(release: dict[str, Any], facts: PhoneFacts, install: bytes) -> bool:
    stage, cohort = release["stage"], release.get("cohort", {})
    drawn = hashlib.sha256(bytes.fromhex(stage["salt"]) + install).digest()
    # The same part of all phones, computed in another way than the phone does.
    if int.from_bytes(drawn[:4], "big") / 2**32 >= stage["basis_points"] / 10_000:
        return False
    app, version = cohort.get("app", {}), _version(facts.app)
    return (
        _version(app.get("from", "0")) <= version
        and ("below" not in app or version < _version(app["below"]))
        and facts.abi in cohort.get("abi", [facts.abi])
        and bool(set(facts.runtimes) & set(cohort.get("runtime", facts.runtimes)))
        and facts.device in cohort.get("device", [facts.device])
    )


def _version(text: str) -> list[int]:
    parts = [int(part) for part in text.split(".")]
    return parts + [0] * (4 - len(parts))
