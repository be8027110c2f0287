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
from chordkit.release.client import ChannelClient, Fetch, Targets
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
        choose_install: makes the 16 random bytes.
    """

    def __init__(self, app: App, facts: PhoneFacts, disk: Disk, choose_install: Callable[[], bytes] = lambda: secrets.token_bytes(16)) -> None:
        self.app, self.facts = app, facts
        self._store = Store(disk)
        self._choose_install = choose_install

    def state(self) -> State:
        """What it keeps. A phone without a state, or with a damaged one, begins anew."""
        try:
            found = self._store.read()
        except ReleaseError:
            found = None
        return State(self._choose_install()) if found is None else found

    def open(self) -> tuple[Bundle, int]:
        """The last known good bundle, and the release that brought it; 0 = it ships with the app.

        Raises:
            BundleError: not even that one can be opened.
        """
        state = self.state()
        for slot in (state.current, state.previous):
            if slot is not None and (opened := self._opened(slot)) is not None:
                return opened, slot.release
        return self._read(self.app.shipped, 0), 0

    def update(self, fetch: Fetch, now: int) -> Outcome:
        """Look at a mirror once, and adopt what it has for this phone.

        Args:
            fetch: (path, most bytes) -> what the mirror has there.
            now: the phone's clock, seconds since 1970.
        """
        state = self.state()
        client = ChannelClient(self.app.root, state.channel, fetch, now)
        try:
            targets = client.refresh()
            state = self._without_killed(replace(state, channel=client.state), targets)
            chosen = client.choose(self.facts, state.install, above=state.release, failed=state.failed)
            if chosen is None:
                outcome = Outcome("current", state.release)
            else:
                state, outcome = self._adopt(state, chosen, client.download(chosen))
        except (ReleaseError, BundleError, OSError) as error:
            outcome = Outcome("refused", why=str(error))
        if state != self.state():
            self._store.write(state)
        return outcome

    def _adopt(self, state: State, release: Release, data: bytes) -> tuple[State, Outcome]:
        """The state with this release in use, if this phone can run it."""
        opened = self._read(data, release.counter)
        said = (opened.manifest.counter, opened.manifest.backbone.fingerprint)
        if said != (release.counter, release.fingerprint):
            raise BundleError(f"{release.name}: it is not the bundle that release {release.number} speaks of; fetch it again")
        passed = self.app.self_check(opened, self.facts)
        state = replace(state, check=Check(release.number, release.counter, passed))
        if not passed:
            return replace(state, failed=(*state.failed, release.number)), Outcome("failed", release.number)
        slot = Slot(f"bundle-{state.next}", release.number, *said)
        self._store.place(slot.file, data)
        good = state.current is not None and self._opened(state.current) is not None
        previous = state.current if good else state.previous
        fits = state.strategy is not None and state.strategy.fingerprint == release.fingerprint
        state = replace(
            state, release=release.number, current=slot, previous=previous, strategy=state.strategy if fits else None, next=state.next + 1
        )
        return state, Outcome("adopted", release.number)
