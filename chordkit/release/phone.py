"""A phone in Python: the verifier of the channel, the bundle's own signature, a self-check, and a store that survives a loss of power.

What runs is the bundle in use; where that cannot be opened the one before, and else the one that ships with the app. Nothing that a mirror
serves changes that: an update is adopted whole, or nothing happens.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from chordkit.errors import BundleError, EnvelopeError, ReleaseError
from chordkit.export import bundle
from chordkit.export.bundle import Bundle
from chordkit.release.client import ChannelClient, Fetch, Targets, choose, kept_killed
from chordkit.release.report import Check as Said
from chordkit.release.report import Report
from chordkit.release.store import Adopted, Check, Disk, Slot, State, Store
from chordkit.release.words import PhoneFacts, Release
from chordkit.signing import TrustedKeys
from chordkit.strategy import open_envelope

SelfCheck = Callable[[Bundle, PhoneFacts], bool]
"""Whether a phone of this kind computes what the bundle's test vectors say."""


@dataclass(frozen=True)
class App:
    """What comes with the app, and cannot be lost.

    Attributes:
        root: the channel's root of the day the app was built.
        keys: whose bundles and strategies are accepted.
        shipped: a bundle that runs on every phone that the app is for.
        self_check: run before a bundle is adopted.
    """

    root: bytes
    keys: TrustedKeys
    shipped: bytes
    self_check: SelfCheck


@dataclass(frozen=True)
class Outcome:
    """What came of an update.

    Attributes:
        kind: "adopted", "current" (nothing newer is for this phone), "failed" (this phone cannot run the release), or "refused".
        release: which one; 0 = it did not come so far.
        why: it was refused, in a sentence.
    """

    kind: str
    release: int = 0
    why: str = ""


class Phone:
    """One phone.

    Args:
        app: what it was built with.
        facts: what decides which releases are for it.
        disk: its own folder.
        choose_install: makes the 16 random bytes; None = from the system.
    """

    def __init__(self, app: App, facts: PhoneFacts, disk: Disk, choose_install: Callable[[], bytes] | None = None) -> None:
        self.app, self.facts = app, facts
        self._store = Store(disk)
        self._choose_install = choose_install or (lambda: secrets.token_bytes(16))

    def state(self) -> State:
        """What it keeps. A phone without a state, or with a damaged one, begins anew."""
        try:
            found = self._store.read()
        except ReleaseError:
            found = None
        if found is None:
            found = State(self._choose_install())
            self._store.write(found)
        return found

    def open(self) -> tuple[Bundle, int]:
        """The last known good bundle, and the release that brought it; 0 = it ships with the app.

        Raises:
            BundleError: not even that one can be opened.
        """
        state = self.state()
        for slot in (state.current, state.previous):
            if slot is not None and (opened := self._opened(slot)) is not None:
                return opened, slot.release
        return self._read(self.app.shipped, "shipped", 0), 0

    def update(self, fetch: Fetch, now: int) -> Outcome:
        """Look at a mirror once, and adopt what it has for this phone.

        Args:
            fetch: (path, most bytes) -> what the mirror has there; None = nothing.
            now: the phone's clock, seconds since 1970.
        """
        before = self.state()
        try:
            client = ChannelClient(self.app.root, before.channel, fetch, now)
        except ReleaseError:  # what another version of the app kept
            client = ChannelClient(self.app.root, b"", fetch, now)
        try:
            targets = client.refresh()
        except (ReleaseError, OSError) as error:
            state, outcome = replace(before, channel=client.state), Outcome("refused", why=str(error))
        else:
            state = _without_killed(replace(before, channel=client.state), targets)
            if client.recovered:
                # Numbers that somebody with a stolen key gave out must not shut the phone out of what comes after the key was changed.
                state = replace(state, release=0, failed=())
            state, outcome = self._follow(state, client, targets)
        if state != before:
            self._store.write(state)
        return outcome

    def _follow(self, state: State, client: ChannelClient, targets: Targets) -> tuple[State, Outcome]:
        """What comes of verified metadata."""
        current, damaged = state.current, self._is_damaged(state)
        # A bundle that does not open any more is fetched again.
        chosen = choose(targets, self.facts, state.install, state.release - damaged, state.failed)
        if chosen is None:
            return state, Outcome("current", state.release)
        if current is not None and current.digest == chosen.bundle and not damaged:
            renamed = replace(current, release=chosen.number)
            return replace(state, release=chosen.number, current=renamed), Outcome("current", chosen.number)
        try:
            return self._adopt(state, chosen, client.bundle(chosen))
        except (ReleaseError, BundleError, OSError) as error:
            return state, Outcome("refused", chosen.number, str(error))

    def _adopt(self, state: State, release: Release, data: bytes) -> tuple[State, Outcome]:
        """The state with this release in use, if this phone can run it; its file is on the disk then."""
        opened = self._read(data, release.name, release.counter)
        _require_meant(opened, release)
        passed = self._runs(opened)
        state = replace(state, check=Check(release.number, passed))
        if not passed:
            return replace(state, failed=(*state.failed, release.number)), Outcome("failed", release.number)
        slot = Slot(f"bundle-{state.next}", release.number, release.counter, release.fingerprint, release.bundle)
        self._store.place(slot.file, data)
        good = state.current is not None and not self._is_damaged(state)
        fits = state.strategy is not None and state.strategy.fingerprint == release.fingerprint
        changed = replace(
            state,
            release=release.number,
            current=slot,
            previous=state.current if good else state.previous,
            strategy=state.strategy if fits else None,
            next=state.next + 1,
        )
        return changed, Outcome("adopted", release.number)

    def adopt_strategy(self, sealed: bytes, now: int, subject: bytes = b"") -> None:
        """Keep a strategy for the bundle in use.

        Raises:
            EnvelopeError: it is not signed by an accepted key, not for this subject or backbone, older than the one before, or of a family
                that the channel has killed; nothing has changed.
        """
        state, (opened, _) = self.state(), self.open()
        fingerprint = opened.manifest.backbone.fingerprint
        found = open_envelope(
            sealed, self.app.keys, fingerprint=bytes.fromhex(fingerprint), subject=subject, minimum_serial=max(state.serial, 1), now=now
        )
        if any(family.holds(fingerprint, found.key, found.serial) for family in kept_killed(state.channel)):
            raise EnvelopeError(f"envelope: serial: {found.serial} is of a family that was taken back; ask for another")
        adopted = Adopted(f"strategy-{state.next}", fingerprint, found.key, found.serial)
        self._store.place(adopted.file, sealed)
        self._store.write(replace(state, strategy=adopted, serial=found.serial, next=state.next + 1))

    def report(self) -> Report:
        """What it says of itself when it asks a service for a strategy."""
        state, facts = self.state(), self.facts
        current, check = state.current, state.check
        counter = None if current is None else current.counter
        about = (0 if current is None else current.release) if check is None else check.release
        said: Said = "none" if check is None else "passed" if check.passed else "failed"
        return Report(about, said, counter, facts.runtimes[0], facts.abi, facts.app)

    def told(self) -> None:
        """A service has answered: what was reported is not reported again."""
        state = self.state()
        if state.check is not None:
            self._store.write(replace(state, check=None))

    def _runs(self, opened: Bundle) -> bool:
        return self.app.self_check(opened, self.facts)

    def _is_damaged(self, state: State) -> bool:
        return state.current is not None and self._opened(state.current) is None

    def _opened(self, slot: Slot) -> Bundle | None:
        try:
            return self._read(self._store.disk.read(slot.file), slot.file, slot.counter)
        except (BundleError, FileNotFoundError):
            return None

    def _read(self, data: bytes, label: str, counter: int) -> Bundle:
        return bundle.read(memoryview(data), label, self.app.keys, minimum=counter)


def _require_meant(opened: Bundle, release: Release) -> None:
    if (opened.manifest.counter, opened.manifest.backbone.fingerprint) != (release.counter, release.fingerprint):
        raise BundleError(f"{release.name}: it is not the bundle that release {release.number} speaks of; fetch it again")


def _without_killed(state: State, targets: Targets) -> State:
    used = state.strategy
    if used is None or not any(family.holds(used.fingerprint, used.key, used.serial) for family in targets.killed):
        return state
    return replace(state, strategy=None)
