"""Releases of the demo's model reach simulated phones stage by stage, and a bad one is stopped by what they report."""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from chordkit.demo.asking import Asking
from chordkit.demo.mirror import Line, serving
from chordkit.demo.service import EXCHANGE_S
from chordkit.export import bundle
from chordkit.export.bundle import Bundle, BundleContents, load_public_key
from chordkit.export.judge import judge
from chordkit.files import sha256
from chordkit.release.channel import Candidate, Channel
from chordkit.release.phone import App, Phone
from chordkit.release.simulation.disk import SimulatedDisk
from chordkit.release.simulation.fleet import Owner, make_fleet
from chordkit.release.words import PhoneFacts
from chordkit.report.model import Cloud, ReleaseHeld, RolloutStep, StoppedRelease
from chordkit.signing import TrustedKeys

_FIRST, _ALL, _BAD = 2_000, 10_000, 4_000
"""Basis points of the phones that have the good release first, then, and the bad one."""
_TOGETHER = 20
"""Phones that ask between two looks of the automatic stop."""
_SHIPPED, _GOOD, _PLANTED = 1, 2, 3
"""Counters of the three bundles."""


@dataclass
class _Round:
    """What phones did after one change of the channel."""

    received: int = 0
    failed: int = 0
    idle: list[int] = field(default_factory=list)


class Rollout:
    """A channel with the demo's model, and phones that its releases reach.

    Args:
        folder: for the channel and the bundles that it releases.
        contents: of the model.
        keys: private and public, of the bundles.
        seed: of who the phones are.
        phones: how many.
    """

    def __init__(self, folder: Path, contents: BundleContents, keys: tuple[Path, Path], seed: int, phones: int) -> None:
        self._paths = {counter: folder / f"{contents.name}-{counter}.chord" for counter in (_SHIPPED, _GOOD, _PLANTED)}
        for counter, path in self._paths.items():
            bundle.write(path, replace(contents, counter=counter), keys[0])
        self.folder, self._public = folder / "channel", keys[1]
        self._channel = Channel.init(self.folder, contents.name)
        root = (self._channel.home.mirror / "metadata" / "1.root.json").read_bytes()
        trusted = TrustedKeys.of(load_public_key(keys[1]))
        self._app = App(root, trusted, self._paths[_SHIPPED].read_bytes(), self._self_check)
        self._owners = make_fleet(phones, 0, 1, 1.0, seed)
        self._disks = [SimulatedDisk() for _ in self._owners]
        self._passed: dict[int, bool] = {}
        self._shared: dict[str, bytes] = {}

    def run(self, asking: Asking) -> Cloud:
        """Release twice; ``asking`` is how phones get strategies, report, and learn that there is something new."""
        candidate = {counter: Candidate(path, [self._public]) for counter, path in self._paths.items()}
        with serving(self._channel.home.mirror) as line:
            good = self._channel.publish(candidate[_GOOD], basis_points=_FIRST).number
            steps = [self._step(f"release {good} to {_FIRST / 100:g} %", asking, line)]
            self._channel.promote(good, _ALL)
            steps.append(self._step(f"release {good} to {_ALL / 100:g} %", asking, line))
            bad = self._channel.publish(candidate[_PLANTED], basis_points=_BAD).number
            steps.append(self._step(f"release {bad} to {_BAD / 100:g} %", asking, line))
            stopped = self._until_stopped(bad, asking, line)
            steps.append(self._step(f"release {bad} stopped" if stopped else f"release {bad} goes on", asking, line))
        size = self._paths[_GOOD].stat().st_size
        return Cloud(strategies=asking.told(), phones=len(self._owners), bundle_bytes=size, rollout=steps, stopped=stopped)

    def _step(self, what: str, asking: Asking, line: Line) -> RolloutStep:
        time.sleep(2 * EXCHANGE_S)  # until the service knows of the change
        found = _Round()
        for number in range(len(self._owners)):
            self._visit(number, asking, line, found)
        held = self._held()
        return RolloutStep(
            what=what,
            held=[ReleaseHeld(release=release, phones=count) for release, count in sorted(held.items())],
            failed=found.failed,
            bytes=found.received,
            idle_bytes=sum(found.idle) // len(found.idle) if found.idle else None,
        )

    def _until_stopped(self, bad: int, asking: Asking, line: Line) -> StoppedRelease | None:
        """Phones go on asking, and so report how their self-check went, until that is reason enough to stop the release."""
        for number in range(len(self._owners)):
            self._visit(number, asking, line, _Round())
            if (number + 1) % _TOGETHER and number + 1 < len(self._owners):
                continue
            time.sleep(2 * EXCHANGE_S)  # until the registry has the reports
            verdict = self._channel.stop_failing().get(bad)
            if verdict is not None:
                health = self._channel.registry.health(bad)
                failures = sum(each.failed for each in health)
                return StoppedRelease(
                    release=bad,
                    percent=_BAD / 100,
                    phones=len(self._owners),
                    reports=failures + sum(each.passed for each in health),
                    failures=failures,
                    adopted=self._held()[bad],
                )
        return None

    def _visit(self, number: int, asking: Asking, line: Line, found: _Round) -> None:
        """A phone asks for a strategy and says how it is; it looks at the mirror where it is hinted that there is something new."""
        phone = self._phone(number)
        hint = asking.ask(number, phone.report())
        phone.told()
        if hint is None or hint <= phone.state().release or hint in phone.state().failed:
            return
        before = line.received
        outcome = phone.update(partial(self._fetch, line), int(time.time()))
        found.received += line.received - before
        found.failed += outcome.kind == "failed"
        if outcome.kind == "current":
            found.idle.append(line.received - before)

    def _phone(self, number: int) -> Phone:
        owner: Owner = self._owners[number]
        return Phone(self._app, owner.facts, self._disks[number], lambda: owner.install)

    def _held(self) -> Counter[int]:
        slots = (self._phone(number).state().current for number in range(len(self._owners)))
        return Counter(0 if slot is None else slot.release for slot in slots)

    def _fetch(self, line: Line, path: str, limit: int) -> bytes | None:
        """From the mirror. Phones that have the same file share its bytes in this process's memory."""
        data = line.fetch(path, limit)
        return None if data is None else self._shared.setdefault(sha256(data), data)

    def _self_check(self, opened: Bundle, facts: PhoneFacts) -> bool:
        """Whether an artifact computes what the bundle's test vectors say; once a bundle, since here all phones are this machine. One
        bundle fails by arrangement where LiteRT comes first."""
        counter = opened.manifest.counter
        if counter not in self._passed:
            entry = next((each for each in opened.manifest.artifacts if each.target == "native"), opened.manifest.artifacts[0])
            widths = None if entry.strategy is None else opened.strategy(entry.strategy).widths
            self._passed[counter] = judge(entry, opened.runner(entry), opened.master(), widths, opened.vectors()).passed
        return self._passed[counter] and not (counter == _PLANTED and facts.runtimes[0] == "litert")
