"""Many phones, day after day, against a channel and its mirrors; after every visit of every phone the judge looks at its disk."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from chordkit.errors import EnvelopeError
from chordkit.release.phone import App, Outcome, Phone
from chordkit.release.report import ReportKey
from chordkit.release.simulation import mirrors
from chordkit.release.simulation.disk import PowerLost, SimulatedDisk
from chordkit.release.simulation.fleet import Owner
from chordkit.release.simulation.judge import Judge, Known
from chordkit.release.simulation.mirrors import History, Line, Serve

BAD_MIRRORS = ("broken", "frozen", "mixed", "swapped", "truncated", "endless", "stranger", "thief")
Forged = Callable[[str, int, random.Random], Serve]
"""(stranger or thief, time, chance) -> the mirror of somebody with keys."""
Sealed = Callable[[str, int, random.Random], bytes]
"""(fingerprint, time, chance) -> the strategy that a phone is offered."""
_ROT = 0.01
"""Of all visits: flash has lost a bit of a bundle before."""
_SETTLING = 6
"""Visits at the end. A phone that fell behind by a release for each of them is still on its way."""
_STEPS = 22
"""Within so many changes of the disk power is lost; a visit with a report, a strategy and a release makes about so many."""


@dataclass
class Tally:
    """What happened.

    Attributes:
        visits: of phones, by the mirror that they met.
        outcomes: of updates.
        lost: visits in which power was lost.
        rotten: visits before which flash lost a bit of a bundle.
        wrongs: what the judge found, how often.
        settled: phones that are up to date in the end.
        told: reports of self-checks, as a service counts them; taken out by who counts them.
        adopted: phones that adopted a release, by its number.
        failed: phones whose self-check of a release failed.
        received: bytes that came over all lines.
    """

    visits: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    rotten: int = 0
    wrongs: Counter[str] = field(default_factory=Counter)
    settled: int = 0
    told: Counter[ReportKey] = field(default_factory=Counter)
    adopted: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    received: int = 0


@dataclass
class _Simulated:
    """A phone: its owner, its disk, what the judge knows of it."""

    owner: Owner
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    known: Known = field(default_factory=Known)
    visits: int = 0


class Simulation:
    """A fleet against a channel.

    Args:
        fleet: who they are.
        app: what all of them were built with.
        history: the channel's folder, which grows.
        judge: of what they do.
        forged: mirrors of those who have keys.
        sealed: strategies that they are offered.
        seed: of everything random.
        bad: share of visits that meet a bad mirror.
    """

    def __init__(
        self, fleet: Sequence[Owner], app: App, history: History, judge: Judge, forged: Forged, sealed: Sealed, seed: int, bad: float = 0.4
    ) -> None:
        self._app, self._history, self._judge = app, history, judge
        self._forged, self._sealed, self._seed, self._bad = forged, sealed, seed, bad
        self._phones = [_Simulated(owner) for owner in fleet]
        self._agenda = sorted((time, number) for number, owner in enumerate(fleet) for time in owner.visits)
        self._next = 0
        self.tally = Tally()

    def run_until(self, time: int) -> None:
        """All visits before ``time`` that were not yet."""
        while self._next < len(self._agenda) and self._agenda[self._next][0] < time:
            when, number = self._agenda[self._next]
            self._next += 1
            self._visit(number, when)

    def settle(self, time: int) -> None:
        """Every phone meets a good mirror with a sane clock and steady power, a few times; then it has to be where it should be.

        Between, flash loses a bit of some bundles. A phone that is not where it should be is shut out of updates, a wrong of its own.
        """
        for number, simulated in enumerate(self._phones):
            for visit in range(_SETTLING):
                if visit == _SETTLING // 2 and number % 20 == 0:
                    self._rot(simulated, random.Random(f"{self._seed}/{number}/rot"))
                self._visit(number, time, sane=True)
            state = self._phone(simulated).state()
            wanted = self._judge.wanted(state, simulated.owner.facts, simulated.known)
            if simulated.known.rotten and state.release == wanted:
                self.tally.wrongs["a damaged bundle was not mended"] += 1
            elif simulated.known.robbed or state.release < wanted or not self._judge.is_up_to_date(simulated.known):
                self.tally.wrongs["it is shut out of updates"] += 1
            else:
                self.tally.settled += 1

    def _visit(self, number: int, time: int, sane: bool = False) -> None:
        simulated = self._phones[number]
        simulated.visits += 1
        chance = random.Random(f"{self._seed}/{number}/{simulated.visits}")
        owner, disk, tally = simulated.owner, simulated.disk, self.tally
        clock = time if sane else owner.clock_at(simulated.visits, time)
        kind, serve = ("good", self._good(time)) if sane or chance.random() >= self._bad else self._mirror(time, chance)
        line, before = Line(serve), simulated.known.release
        if not sane and chance.random() < _ROT:
            self._rot(simulated, chance)
        if not sane and chance.random() < owner.loses_power:
            disk.lose_power_at = chance.randrange(_STEPS)
        outcome, wrongs, told = None, [], Counter[ReportKey]()
        try:
            outcome = self._session(self._phone(simulated), line, time, clock, chance, told)
        except PowerLost:
            tally.lost += 1
            disk.restart(chance)
        except Exception as error:  # whatever it is, an app would have ended by it
            wrongs.append(f"it crashed: {type(error).__name__}")
        disk.lose_power_at = None
        wrongs += self._judge.wrongs(self._phone(simulated), disk, simulated.known, line, outcome, clock, kind == "thief")
        tally.visits[kind] += 1
        tally.outcomes["power lost" if outcome is None else outcome.kind] += 1
        tally.wrongs.update(wrongs)
        tally.told.update(told)
        tally.received += line.received
        if simulated.known.release != before:
            tally.adopted[simulated.known.release] += 1
        if outcome is not None and outcome.kind == "failed":
            tally.failed[outcome.release] += 1

    def _rot(self, simulated: _Simulated, chance: random.Random) -> None:
        bundles = sorted(name for name in simulated.disk.names() if name.startswith("bundle-"))
        if bundles:
            simulated.disk.rot(chance.choice(bundles), chance)
            simulated.known.rotten = True
            self.tally.rotten += 1

    def _session(self, phone: Phone, line: Line, time: int, clock: int, chance: random.Random, told: Counter[ReportKey]) -> Outcome:
        """What an app does when it is awake: it opens what it has, reports, gets a strategy, and looks for an update."""
        opened, _ = phone.open()
        report = phone.report()
        if report.key is not None:
            told[report.key] += 1
        phone.told()
        if chance.random() < 0.3:
            with suppress(EnvelopeError):  # an older one, or one that was taken back
                phone.adopt_strategy(self._sealed(opened.manifest.backbone.fingerprint, time, chance), clock)
        return phone.update(line.fetch, clock)

    def _phone(self, simulated: _Simulated) -> Phone:
        return Phone(self._app, simulated.owner.facts, simulated.disk, lambda: simulated.owner.install)

    def _good(self, time: int) -> Serve:
        return mirrors.honest(self._history.folders[self._history.index(time)])

    def _mirror(self, time: int, chance: random.Random) -> tuple[str, Serve]:
        kind = chance.choice(BAD_MIRRORS)
        folder = self._history.folders[self._history.index(time)]
        if kind in ("stranger", "thief"):
            return kind, self._forged(kind, time, chance)
        if kind in ("frozen", "mixed"):
            return kind, (mirrors.frozen if kind == "frozen" else mirrors.mixed)(self._history, time, chance)
        spoiled: Mapping[str, Callable[[mirrors.Folder, random.Random], Serve]] = {
            "broken": mirrors.broken,
            "swapped": mirrors.swapped,
            "truncated": mirrors.truncated,
            "endless": mirrors.endless,
        }
        return kind, spoiled[kind](folder, chance)
