"""Whether a phone did right: by rules of its own, from what the channel signed and who the phone is, with none of the phone's code.

The judge knows what no phone does: every folder that the channel ever had, and which phone can run which bundle. It reads a phone's disk
after every event, and asks whether what it finds may be there.
"""

import datetime
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chordkit.release.phone import Outcome, Phone
from chordkit.release.simulation.disk import SimulatedDisk
from chordkit.release.simulation.forgery import latest
from chordkit.release.simulation.mirrors import TIMESTAMP, Folder, History, Line
from chordkit.release.store import STATE, Adopted, State
from chordkit.release.words import PhoneFacts

LIMITS = {"root.json": 65_536, "timestamp.json": 16_384, "snapshot.json": 65_536, "targets.json": 2_097_152}
"""Bytes of each kind of file that a phone may ask for at most."""
ROOM = 65_536
"""Bytes by which a bundle may be larger than any that the channel has had: those who have its keys may say so."""
MOST_ROOTS = 33
"""Files of roots that a phone asks for in one update: 32, and one that shows that there are more."""
Runs = Callable[[str, PhoneFacts], bool]
"""(SHA-256 of a bundle, phone) -> whether the phone can run it."""


@dataclass(frozen=True)
class Epoch:
    """What a channel said at one moment: its releases by number, what it killed, when the first of its three lower roles expires, and whose
    signatures its targets need."""

    releases: dict[int, dict[str, Any]]
    killed: list[dict[str, Any]]
    expires: int
    keys: frozenset[str]


@dataclass
class Known:
    """What the judge remembers of a phone, since a phone that forgets must not get away with it.

    Attributes:
        release: that it adopted last.
        floor: below which its number may not fall.
        epoch: the newest moment of the channel that it has seen; -1 = none.
        unable: releases that it tried and cannot run.
        rotten: its flash has lost a bit of a bundle, which it has not mended yet.
        robbed: it adopted what somebody signed with a stolen key: a true bundle, under a number that the channel never gave out.
    """

    release: int = 0
    floor: int = 0
    epoch: int = -1
    unable: set[int] = field(default_factory=set)
    rotten: bool = False
    robbed: bool = False


class Judge:
    """The rules.

    Args:
        history: of the channel; it may grow.
        shipped: SHA-256 of the bundle that comes with the app.
        runs: the truth of which phone can run what.
    """

    def __init__(self, history: History, shipped: str, runs: Runs) -> None:
        self._history, self._runs = history, runs
        self._epochs: list[Epoch] = []
        self._index: dict[bytes, int] = {}
        self._authentic = {shipped}
        self._releases: dict[int, dict[str, Any]] = {}
        self._longest = 0

    def epochs(self) -> list[Epoch]:
        """All that the channel said so far."""
        for folder in self._history.folders[len(self._epochs) :]:
            epoch = _epoch(folder)
            self._index.setdefault(folder[TIMESTAMP], len(self._epochs))
            self._epochs.append(epoch)
            self._releases |= epoch.releases
            self._authentic |= {release["bundle"] for release in epoch.releases.values()}
            self._longest = max(self._longest, *(release["length"] for release in epoch.releases.values()), 0)
        return self._epochs

    def wanted(self, state: State, facts: PhoneFacts, known: Known) -> int:
        """The release that a phone should have now."""
        return max((each for each in _offered(self.epochs()[-1], facts, state.install) if each not in known.unable), default=0)

    def is_up_to_date(self, known: Known) -> bool:
        """Whether a phone has seen what the channel says now."""
        return known.epoch == self._index[self._history.folders[-1][TIMESTAMP]]

    def wrongs(
        self, phone: Phone, disk: SimulatedDisk, known: Known, line: Line, outcome: Outcome | None, clock: int, stolen: bool
    ) -> list[str]:
        """What is wrong with a phone after an event, a sentence each; ``known`` is brought up to date.

        Args:
            phone: that was just started again.
            disk: its own.
            known: of it.
            line: over which it asked a mirror.
            outcome: of its update; None = power was lost.
            clock: what it took for the time.
            stolen: whether the mirror is somebody's who has keys of the channel.
        """
        self.epochs()
        state = phone.state()
        seen = None if line.timestamp is None else self._index.get(line.timestamp)
        found = []
        if outcome is not None and (outcome.kind != "refused" or outcome.release) and seen is not None:
            found += self._of_metadata(seen, known, clock)
        elif outcome is None and seen is not None:
            self._let_numbers_begin_anew(seen, known)  # before power was lost, perhaps
        found += self._of_line(line, known)
        found += self._of_store(disk, state, outcome)
        found += self._of_release(phone, disk, state, known, seen, stolen)
        found += self._of_what_runs(phone, state, known)
        return found

    def _of_line(self, line: Line, known: Known) -> list[str]:
        wrong = []
        for path, most in line.asked:
            kind = next((kind for kind in LIMITS if path.endswith(kind)), None)
            if most > (self._longest + ROOM if kind is None else LIMITS[kind]):
                wrong.append("it would take more bytes than a file can have")
        if sum(path.endswith("root.json") for path, _ in line.asked) > MOST_ROOTS:
            wrong.append("it followed more roots than one update may")
        if any(path == self._releases[number]["path"] for number in known.unable for path, _ in line.asked):
            wrong.append("it fetched a release again that it cannot run")
        return wrong

    def _of_metadata(self, seen: int, known: Known, clock: int) -> list[str]:
        wrong = []
        if seen < known.epoch:
            wrong.append("it believed metadata older than it had seen")
        if self._epochs[seen].expires <= clock:
            wrong.append("it believed metadata that had expired")
        self._let_numbers_begin_anew(seen, known)
        known.epoch = max(known.epoch, seen)
        return wrong

    def _let_numbers_begin_anew(self, seen: int, known: Known) -> None:
        """With the keys that give them out."""
        if known.epoch >= 0 and self._epochs[seen].keys.isdisjoint(self._epochs[known.epoch].keys):
            known.floor, known.unable = 0, set()

    def _of_store(self, disk: SimulatedDisk, state: State, outcome: Outcome | None) -> list[str]:
        wrong = []
        if state.files - set(disk.names()):
            wrong.append("its state names a file that is not there")
        if outcome is not None and outcome.kind == "adopted" and set(disk.names()) - state.files - {STATE}:
            wrong.append("a file is left on its disk that nothing names")
        return wrong

    def _of_release(self, phone: Phone, disk: SimulatedDisk, state: State, known: Known, seen: int | None, stolen: bool) -> list[str]:
        wrong = []
        number = state.release
        current = state.current
        digest = None if current is None or current.file not in disk.names() else _digest(disk.read(current.file))
        if number not in self._releases and number:
            if seen is None and stolen and digest in self._authentic:
                known.robbed = True
            elif not known.robbed:
                wrong.append("it adopted a release that the channel never made")
        elif number < known.floor:
            wrong.append("it went back to an older release, or forgot which it had")
        elif number and (number != known.release or known.robbed):
            known.release, known.floor, known.robbed = number, number, False
            if seen is None:
                return ["it adopted a release from metadata that the channel never made"]
            if number not in _offered(self._epochs[seen], phone.facts, state.install):
                wrong.append("it adopted a release that was not for it")
            if digest != self._releases[number]["bundle"]:
                wrong.append("what it adopted is not the bundle of that release")
        for failed in set(state.failed) - known.unable:
            if failed in self._releases and self._runs(self._releases[failed]["bundle"], phone.facts):
                wrong.append("it gave up a release that it can run")
            elif failed in self._releases:
                known.unable.add(failed)
        return wrong

    def _of_what_runs(self, phone: Phone, state: State, known: Known) -> list[str]:
        try:
            opened, release = phone.open()
        except Exception as error:  # whatever it is, the app would have nothing to rank with
            return [f"it has nothing that opens: {type(error).__name__}"]
        wrong = []
        digest = _digest(opened.file())
        if digest not in self._authentic:
            wrong.append("it runs a bundle that the channel never had")
        elif not self._runs(digest, phone.facts):
            wrong.append("it runs a bundle that it cannot run")
        in_use = 0 if state.current is None else state.current.release
        if release == in_use:
            known.rotten = False
        elif not known.rotten:
            wrong.append("its bundle in use does not open any more")
        if state.strategy is not None and known.epoch >= 0 and _is_killed(state.strategy, self._epochs[known.epoch]):
            wrong.append("it uses a strategy that was taken back")
        return wrong


def _epoch(folder: Folder) -> Epoch:
    signed = [json.loads(folder[TIMESTAMP])["signed"]]
    for role in ("snapshot", "targets"):
        version = signed[-1]["meta"][f"{role}.json"]["version"]
        signed.append(json.loads(folder[f"metadata/{version}.{role}.json"])["signed"])
    releases = {}
    for name, target in signed[-1]["targets"].items():
        custom = target["custom"]["chordkit"]
        if "release" in custom:
            path = f"targets/{custom['bundle']}.{name}"
            releases[custom["release"]] = custom | {"length": target["length"], "path": path}
    killed = signed[-1].get("chordkit", {}).get("killed", [])
    root = latest(folder, "root")
    keys = frozenset(root["keys"][each]["keyval"]["public"] for each in root["roles"]["targets"]["keyids"])
    return Epoch(releases, killed, min(_seconds(each["expires"]) for each in signed), keys)


def _offered(epoch: Epoch, facts: PhoneFacts, install: bytes) -> set[int]:
    return {number for number, release in epoch.releases.items() if _is_for(release, facts, install)}


def _is_killed(strategy: Adopted, epoch: Epoch) -> bool:
    return any(
        family["fingerprint"] == strategy.fingerprint
        and family.get("key", strategy.key) == strategy.key
        and family["from"] <= strategy.serial <= family["to"]
        for family in epoch.killed
    )


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
