"""Four months of a channel: releases in stages and for cohorts, two that are bad, a rollback, a kill, keys that are stolen and changed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chordkit.files import sha256, write_bytes
from chordkit.release.channel import Candidate, Channel
from chordkit.release.home import Lifetimes
from chordkit.release.phone import App
from chordkit.release.simulation import mirrors
from chordkit.release.simulation.bundles import make_bundles
from chordkit.release.simulation.fleet import DAY, make_fleet
from chordkit.release.simulation.forgery import forge
from chordkit.release.simulation.judge import Judge
from chordkit.release.simulation.mirrors import History, Serve
from chordkit.release.simulation.simulation import Simulation
from chordkit.release.words import Cohort, Killed, PhoneFacts
from chordkit.signing import TrustedKeys, key_id, load_private_key

BEGIN = 1_800_000_000
"""The first day, seconds since 1970."""
DAYS = 120
END = BEGIN + DAYS * DAY
_BACKBONES = (1, 1, 2, 2, 2, 3, 3, 3)
"""Of the bundles with the counters 1, 2, ...; the first one ships with the app."""
_BAD_FOR_SOME, _BAD_FOR_MANY = 4, 6
"""Counters of the bundles that some phones cannot run."""
_TERM = 20 * DAY
"""So long a service hands out strategies with one serial."""


@dataclass(frozen=True)
class Pace:
    """How often the owner is at it.

    Attributes:
        refresh_days: days between two new timestamps, each of which is good for as long.
        look_hours: hours between two looks of the automatic stop; a divisor of 24.
    """

    refresh_days: int = 1
    look_hours: int = 6


@dataclass(frozen=True)
class Stop:
    """A release that was stopped: on which day, what was said, and the part of its cohort that it had been put out to."""

    release: int
    day: float
    why: str
    basis_points: int


class Scenario:
    """The four months of one channel, and those who are after it.

    Args:
        folder: for the channel and its bundles.
        pace: of the owner.

    Attributes:
        app: what all phones were built with.
        judge: of what they do.
        stops: what the automatic stop did.
    """

    def __init__(self, folder: Path, pace: Pace = Pace()) -> None:
        self._time, self._folder, self._pace = BEGIN, folder, pace
        self._key = Ed25519PrivateKey.generate()
        self._bundles = make_bundles(_BACKBONES, self._key)
        self._foreign = make_bundles(_BACKBONES[:1], Ed25519PrivateKey.generate())[0]
        public = self._key.public_key()
        write_bytes(folder / "key.pub.pem", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        for made in self._bundles:
            write_bytes(folder / f"{made.counter}.chord", made.data)
        # No root of this channel ends before the four months do; the other roles are renewed by :meth:`Channel.refresh`.
        lifetimes = Lifetimes(root=2 * DAYS, timestamp=pace.refresh_days)
        self.channel = Channel.init(folder / "channel", "shop", lifetimes=lifetimes, clock=lambda: self._time)
        keys = self.channel.home.keys
        self._stolen = {role: load_private_key(keys / f"{role}-1.pem") for role in ("targets", "snapshot", "timestamp")}
        self._strangers = {role: Ed25519PrivateKey.generate() for role in ("root", *self._stolen)}
        self._forged: dict[tuple[int, str, bool], Serve] = {}
        self._sealed: dict[tuple[str, int], bytes] = {}
        self._files: dict[str, bytes] = {}
        self._broken = {self._bundles[counter - 1].digest: counter for counter in (_BAD_FOR_SOME, _BAD_FOR_MANY)}
        self.history, self.stops = History(), list[Stop]()
        self.judge = Judge(self.history, self._bundles[0].digest, self.runs)
        root = (self.channel.home.mirror / "metadata" / "1.root.json").read_bytes()
        self.app = App(
            root, TrustedKeys.of(public), self._bundles[0].data, lambda opened, facts: self.runs(sha256(bytes(opened.file())), facts)
        )
        self._note()

    def runs(self, digest: str, facts: PhoneFacts) -> bool:
        """Whether a phone can run a bundle: one fails in LiteRT on one ABI, another one on all small devices."""
        counter = self._broken.get(digest)
        if counter == _BAD_FOR_SOME:
            return (facts.runtimes[0], facts.abi) != ("litert", "arm64-v8a")
        return counter != _BAD_FOR_MANY or facts.device != "small"

    def simulation(self, phones: int, visits: float = 12, seed: int = 0) -> Simulation:
        """A fleet before this channel: so many phones, each of which looks for an update so often on average."""
        fleet = make_fleet(phones, BEGIN, DAYS, visits, seed)
        return Simulation(fleet, self.app, self.history, self.judge, self.forged, self.sealed, seed)

    def replay(self, simulation: Simulation) -> None:
        """Another fleet lives through the same four months, whose phones change nothing of them."""
        simulation.run_until(END)
        simulation.settle(END)

    def run(self, simulation: Simulation) -> None:
        """Day after day: what the owner does, what phones do, what becomes of their reports."""
        plan = self._plan()
        for day in range(DAYS):
            self._time = BEGIN + day * DAY
            if day % self._pace.refresh_days == 0:
                self.channel.refresh()
                self._note()
            if day in plan:
                plan[day]()
                self._note()
            for hour in range(self._pace.look_hours, 25, self._pace.look_hours):
                simulation.run_until(BEGIN + day * DAY + hour * 3600)
                self._time = BEGIN + day * DAY + hour * 3600 - 1
                self._look_at_reports(simulation)
        self._time = END
        self.channel.refresh()
        self._note()
        simulation.settle(END)

    def forged(self, kind: str, time: int, chance: random.Random) -> Serve:
        """The mirror of a stranger, or of a thief, who has the keys of three roles as they were at first. Each offers a bundle that is not
        the owner's, or the owner's first one under a new number."""
        index, own = self.history.index(time), chance.random() < 0.5
        if (index, kind, own) not in self._forged:
            keys = self._strangers if kind == "stranger" else self._stolen
            made = self._bundles[0] if own else self._foreign
            expires = datetime.fromtimestamp(time + 30 * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            files = forge(self.history.folders[index], keys, made.data, made.counter, made.fingerprint, expires)
            self._forged[index, kind, own] = mirrors.honest(files)
        return self._forged[index, kind, own]

    def sealed(self, fingerprint: str, time: int, chance: random.Random) -> bytes:
        """The strategy that a service hands out, or now and then somebody on the way who has kept an older one."""
        serial = 1 + (time - BEGIN) // _TERM
        if chance.random() < 0.2:
            serial = chance.randint(1, serial)
        if (fingerprint, serial) not in self._sealed:
            made = next(each for each in self._bundles if each.fingerprint == fingerprint)
            self._sealed[fingerprint, serial] = made.sealed(serial, self._key)
        return self._sealed[fingerprint, serial]

    def _plan(self) -> dict[int, Callable[[], object]]:
        channel, third = self.channel, self._bundles[4].fingerprint
        killed = Killed(third, key_id(self._key.public_key()), 1, 1 + 74 * DAY // _TERM)
        return {
            1: lambda: self._publish(2, 500),
            3: lambda: channel.promote(1, 2_000),
            6: lambda: channel.promote(1, 10_000),
            12: lambda: self._publish(3, 10_000, Cohort(app_from="3.5", abi=("arm64-v8a",))),
            20: lambda: self._publish(_BAD_FOR_SOME, 2_000),
            27: lambda: self._publish(5, 2_000),
            30: lambda: channel.promote(4, 10_000),
            35: lambda: [channel.rotate(role, 1, 1) for role in ("timestamp", "snapshot", "targets")],
            45: lambda: channel.rotate("root", 2, 3),
            52: lambda: self._publish(_BAD_FOR_MANY, 10_000),
            64: lambda: self._publish(7, 10_000),
            70: lambda: channel.rollback(6, to=4),
            74: lambda: channel.kill(killed),
            85: lambda: [channel.rotate(role, 1, 1) for role in ("timestamp", "snapshot", "targets", "root")],
            100: lambda: [channel.rotate("timestamp", 1, 1), channel.renew_root()],
            108: lambda: self._publish(8, 3_000),
        }

    def _publish(self, counter: int, basis_points: int, cohort: Cohort | None = None) -> None:
        candidate = Candidate(self._folder / f"{counter}.chord", [self._folder / "key.pub.pem"])
        self.channel.publish(candidate, cohort=cohort, basis_points=basis_points)

    def _look_at_reports(self, simulation: Simulation) -> None:
        told = simulation.tally.told
        if not told:
            return
        self.channel.registry.count(told)
        told.clear()
        staged = {each.release.number: each.release.stage.basis_points for each in self.channel.registry.releases()}
        for number, verdict in self.channel.stop_failing().items():
            self.stops.append(Stop(number, (self._time - BEGIN) / DAY, str(verdict), staged[number]))
            self._note()

    def _note(self) -> None:
        """Keep what is served now."""
        mirror = self.channel.home.mirror
        for path in mirror.rglob("*"):
            name = path.relative_to(mirror).as_posix()
            if path.is_file() and (name == mirrors.TIMESTAMP or name not in self._files):
                self._files[name] = path.read_bytes()
        self.history.add(self._time, dict(self._files))
