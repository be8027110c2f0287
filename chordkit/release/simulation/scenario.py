"""Four months of a channel: releases in stages and for cohorts, two that are bad, a rollback, a kill, keys that are stolen and changed."""

import datetime
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chordkit.files import sha256
from chordkit.release.channel import Candidate, Channel
from chordkit.release.home import Lifetimes
from chordkit.release.phone import App
from chordkit.release.simulation import mirrors
from chordkit.release.simulation.bundles import Made, make_bundles
from chordkit.release.simulation.fleet import DAY
from chordkit.release.simulation.forgery import forge
from chordkit.release.simulation.judge import Judge
from chordkit.release.simulation.mirrors import History, Serve
from chordkit.release.simulation.simulation import Simulation
from chordkit.release.words import Cohort, Killed, PhoneFacts
from chordkit.signing import TrustedKeys, key_id, load_private_key

BEGIN = 1_800_000_000
"""The first day, seconds since 1970."""
DAYS = 120
_BACKBONES = (1, 1, 2, 2, 3, 3, 3)
"""Of the bundles, by counter: what ships with the app, and what is released."""
_BAD_FOR_SOME, _BAD_FOR_MANY = 4, 6
"""Counters of the bundles that some phones cannot run."""
_TERM = 20 * DAY
"""So long a service hands out strategies with one serial."""


@dataclass
class World:
    """A channel, its past, and those who have keys.

    Attributes:
        channel: as its owner has it.
        bundles: by counter, from 1 on; the first one ships with the app.
        app: what all phones were built with.
        history: of the folder that is served.
        judge: of the phones.
        stopped: releases that were stopped by reports: number to the day and what was said.
    """

    channel: Channel
    bundles: list[Made]
    app: App
    history: History
    judge: Judge
    stopped: dict[int, tuple[int, str]] = field(default_factory=dict)


class Scenario:
    """The four months.

    Args:
        folder: for the channel.
        fleet_seed: of what is random about the channel's enemies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._time = folder, BEGIN
        self._key, self._stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        bundles = make_bundles(_BACKBONES, self._key)
        self._foreign = make_bundles(_BACKBONES[:1], self._stranger)[0]
        self._paths = _write(folder / "bundles", bundles, self._key)
        lifetimes = Lifetimes(root=3 * DAYS)
        channel = Channel.init(folder / "channel", "shop", lifetimes=lifetimes, clock=lambda: self._time)
        self._files: dict[str, bytes] = {}
        self._stolen = {role: load_private_key(channel.home.keys / f"{role}-1.pem") for role in ("targets", "snapshot", "timestamp")}
        self._strangers = {role: Ed25519PrivateKey.generate() for role in ("root", *self._stolen)}
        self._forged: dict[tuple[int, str, bool], Serve] = {}
        self._seals: dict[tuple[str, int], bytes] = {}
        history = History()
        root = (channel.home.mirror / "metadata" / "1.root.json").read_bytes()
        app = App(root, TrustedKeys.of(self._key.public_key()), bundles[0].data, lambda opened, facts: self.runs(sha256(opened.file()), facts))
        self.world = World(channel, bundles, app, history, Judge(history, bundles[0].digest, self.runs))
        self._broken = {bundles[counter - 1].digest: counter for counter in (_BAD_FOR_SOME, _BAD_FOR_MANY)}

    def runs(self, digest: str, facts: PhoneFacts) -> bool:
        """Whether a phone can run a bundle: one bundle fails in one runtime on one ABI, another one wherever there is no native engine."""
        counter = self._broken.get(digest)
        if counter == _BAD_FOR_SOME:
            return not (facts.runtimes[0] == "litert" and facts.abi == "arm64-v8a")
        return not (counter == _BAD_FOR_MANY and facts.device == "small")
