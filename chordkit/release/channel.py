"""A release channel in the hands of its owner: each verb is one transaction of the registry, then files that any moment verify."""

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tuf.api.metadata import Root

from chordkit.errors import ReleaseError
from chordkit.export import bundle as bundles
from chordkit.files import alone, read_bytes, sha256
from chordkit.release import rules
from chordkit.release.home import Home, Lifetimes, read_home, require_no_home
from chordkit.release.keys import Keyring, make_keys, require_shares
from chordkit.release.metadata import MOST_KILLED
from chordkit.release.records import ENDED, ROLES
from chordkit.release.registry import Registry
from chordkit.release.repository import Repository, first_root, sealed, time_of
from chordkit.release.stop import USUAL, Rule, Verdict, to_stop
from chordkit.release.words import ALL_BASIS_POINTS, Cohort, Difference, Killed, Release, Stage
from chordkit.release.writer import Writer

USUAL_SHARES = {"root": (1, 1), "targets": (1, 1), "snapshot": (1, 1), "timestamp": (1, 1)}
"""(keys that have to sign, keys) of each role."""


@dataclass(frozen=True)
class Candidate:
    """A bundle that may be put out.

    Attributes:
        path: of the file.
        keys: whose signature it must have: PEM files of public keys.
        revoked: identifiers of keys that count no more.
    """

    path: Path
    keys: Collection[Path]
    revoked: Collection[str] = ()


class Channel:
    """One channel; made by :meth:`init`, then by :meth:`open`.

    Args:
        home: where everything is.
        registry: of its releases.
        clock: seconds since 1970.
        who: stands in the audit log.
    """

    def __init__(self, home: Home, registry: Registry, clock: Callable[[], float], who: str) -> None:
        self.home, self.registry, self.repository = home, registry, Repository(home.mirror)
        self._who, self._writer = who, Writer(home, registry, clock, who)

    @classmethod
    def init(
        cls,
        folder: Path,
        name: str,
        *,
        mirror: Path | None = None,
        keys: Path | None = None,
        root_keys: Path | None = None,
        registry: str | None = None,
        lifetimes: Lifetimes | None = None,
        shares: Mapping[str, tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.time,
        who: str = "owner",
    ) -> "Channel":
        """Make a channel with new keys and nothing in it.

        Args:
            folder: of the owner; it may exist.
            name: what its files are called.
            mirror: where the files that are served go.
            keys: where the keys of targets, snapshot and timestamp go.
            root_keys: where the keys of root go, to be taken off this machine afterwards.
            registry: address of a database; None = an SQLite file in the folder.
            lifetimes: days that metadata is good.
            shares: by role, how many of how many keys have to sign.
            clock: seconds since 1970.
            who: stands in the audit log.

        Raises:
            ReleaseError: there is a channel already, or a share is not possible.
            InputError: the name is none.
        """
        all_shares = USUAL_SHARES | dict(shares or {})
        require_shares(all_shares)
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            require_no_home(folder)
            draft = Home.of(folder, name, mirror=mirror, keys=keys, root_keys=root_keys, registry=registry, lifetimes=lifetimes)
            if Repository(draft.mirror).versions()["root"]:
                raise ReleaseError(f"{draft.mirror}: the files of a channel are here already; choose another folder")
            opened = Registry.open(draft.registry_url, clock)
            if opened.versions():
                raise ReleaseError(f"{opened.name}: this is the registry of another channel; give one of its own")
            places = {role: draft.root_keys if role == "root" else draft.keys for role in ROLES}
            made = {role: make_keys(places[role], role, count) for role, (_, count) in all_shares.items()}
            root = first_root(made, {role: needed for role, (needed, _) in all_shares.items()}, time_of(clock() + draft.lifetime_s["root"]))
            data = sealed(root, Keyring([draft.root_keys]).require(root, "root"))
            channel = cls(draft, opened, clock, who)
            channel._writer.begin(root, data)
            draft.write()
        return channel

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], float] = time.time, who: str = "owner") -> "Channel":
        """The channel in ``folder``.

        Raises:
            InputError: there is none, or its registry cannot be used.
        """
        home = read_home(folder)
        return cls(home, Registry.open(home.registry_url, clock), clock, who)

    def publish(
        self,
        candidate: Candidate,
        *,
        cohort: Cohort | None = None,
        basis_points: int = ALL_BASIS_POINTS,
        differences_from: Collection[int] = (),
    ) -> Release:
        """Put out a bundle under the next number.

        Args:
            candidate: the bundle, which is verified to the last byte first.
            cohort: for whom it is; None = everybody.
            basis_points: part of them that may have it.
            differences_from: releases from whose bundles a difference is put out beside.

        Raises:
            InputError: the bundle is not good, or its counter is below that of a release before.
            CheckFailed: an artifact inside missed its tolerance.
        """
        data = read_bytes(candidate.path, "bundle")
        report = bundles.verify(candidate.path, list(candidate.keys), revoked=candidate.revoked)
        report.require()
        if read_bytes(candidate.path, "bundle") != data:
            raise ReleaseError(f"{candidate.path}: it was changed while it was verified; publish it again")
        digest, cohort = sha256(data), cohort or Cohort()
        made = [self._difference(number, data) for number in differences_from]
        with self._writer.changing() as transaction:
            rules.require_counter(transaction.releases(), report.counter, digest, cohort, str(candidate.path))
            number = transaction.next_number()
            release = Release(
                number=number,
                counter=report.counter,
                fingerprint=report.fingerprint,
                bundle=digest,
                name=f"{self.home.name}-{number}.chord",
                length=len(data),
                stage=Stage(secrets.token_hex(16), basis_points),
                cohort=cohort,
            )
            self.repository.put_target(release.name, digest, data)
            transaction.add(release, rules.state_of(basis_points))
            for base, difference in made:
                transaction.add_difference(self._put_difference(base, release, difference))
            rules.replace_covered(transaction, release)
            transaction.note(f"published {candidate.path.name} at {rules.percent(basis_points)}", self._who, number)
        return release

    def promote(self, number: int, basis_points: int) -> None:
        """Let another part of the cohort have a release.

        Raises:
            ReleaseError: there is no such release, or it was stopped, rolled back or replaced.
        """
        with self._writer.changing() as transaction:
            found = rules.on_its_way(transaction.releases(), number)
            if basis_points < found.release.stage.basis_points:
                raise ReleaseError(
                    f"release {number}: {rules.percent(found.release.stage.basis_points)} may have it already, and no phone gives it back; "
                    f"give at least that, pause it, or roll it back"
                )
            transaction.set_stage(number, basis_points, rules.state_of(basis_points))
            rules.replace_covered(transaction, found.release)
            transaction.note(f"promoted to {rules.percent(basis_points)}", self._who, number)

    def pause(self, number: int) -> None:
        """Let no further phone have a release; those that have it keep it.

        Raises:
            ReleaseError: there is no such release, or it is not on its way.
        """
        with self._writer.changing() as transaction:
            found = rules.on_its_way(transaction.releases(), number)
            transaction.set_stage(number, found.release.stage.basis_points, "paused")
            transaction.note("paused", self._who, number)

    def resume(self, number: int) -> None:
        """Go on with a release that was paused, or stopped by itself, at the part that it had.

        Raises:
            ReleaseError: there is no such release, or it is neither.
        """
        with self._writer.changing() as transaction:
            found = rules.found(transaction.releases(), number)
            if found.state not in ("paused", "stopped"):
                raise ReleaseError(f"release {number}: it is {found.state}, neither paused nor stopped; nothing is to be resumed")
            transaction.set_stage(number, found.release.stage.basis_points, rules.state_of(found.release.stage.basis_points))
            transaction.note(f"resumed from {found.state}", self._who, number)

    def rollback(self, number: int | None = None, to: int | None = None) -> Release:
        """Take a release back: its cohort gets, under a higher number, the bundle of an older one.

        Args:
            number: what is taken back; None = the newest that stands.
            to: whose bundle comes in its place; None = the newest older one for the same cohort that went to all of it.

        Raises:
            ReleaseError: there are no such releases.
        """
        with self._writer.changing() as transaction:
            taken, back = rules.rollback_pair(transaction.releases(), number, to)
            new = replace(
                back,
                number=transaction.next_number(),
                name=f"{self.home.name}-{transaction.next_number()}.chord",
                stage=Stage(secrets.token_hex(16), ALL_BASIS_POINTS),
                cohort=taken.cohort,
                rollback_of=taken.number,
            )
            self.repository.link_target(self.repository.target(back.name, back.bundle), new.name, new.bundle)
            for each in transaction.releases():
                if back.number < each.release.number and each.release.cohort == taken.cohort and each.state not in ENDED:
                    transaction.set_stage(each.release.number, each.release.stage.basis_points, "rolled back")
            transaction.add(new, "live")
            rules.replace_covered(transaction, new)
            transaction.note(f"rolled back to the bundle of release {back.number} as release {new.number}", self._who, taken.number)
        return new

    def kill(self, killed: Killed) -> None:
        """Take a family of strategies and user vectors from all phones."""
        with self._writer.changing() as transaction:
            transaction.kill(killed)
            if len(transaction.killed()) > MOST_KILLED:
                raise ReleaseError(f"release: killed: a phone keeps {MOST_KILLED} families and no more; kill wider ranges of serials")
            transaction.note(f"killed {killed.to_json()}", self._who)

    def unkill(self, killed: Killed) -> None:
        """Let phones take a family again.

        Raises:
            ReleaseError: it was not taken from them.
        """
        with self._writer.changing() as transaction:
            transaction.unkill(killed)
            transaction.note(f"given back {killed.to_json()}", self._who)

    def stop_failing(self, rule: Rule = USUAL) -> Mapping[int, Verdict]:
        """Stop the releases that fail on phones more often than the rule lets them; which, and why."""
        if not to_stop(self.registry.releases(), self.registry.health, rule):
            return {}
        with self._writer.changing() as transaction:
            verdicts = to_stop(transaction.releases(), transaction.health, rule)
            for number, verdict in verdicts.items():
                transaction.set_stage(number, rules.found(transaction.releases(), number).release.stage.basis_points, "stopped")
                transaction.note(f"stopped: {verdict}", "automatic stop", number)
        return verdicts

    def due(self) -> tuple[str, ...]:
        """Roles whose files have to be made anew: half of their life is over, or they are not what the registry says."""
        return self._writer.due()

    def refresh(self) -> tuple[str, ...]:
        """Write what is due, and the timestamp in any case; the roles that were written."""
        return self._writer.refresh()

    def renew_root(self, root_keys: Collection[Path] = ()) -> int:
        """A root like the one before, good for its whole lifetime from now on; its version."""
        return self._writer.next_root(lambda root: None, "root renewed", root_keys)

    def rotate(self, role: str, needed: int, count: int, root_keys: Collection[Path] = ()) -> int:
        """Give a role new keys; the old ones count no more. Old and new root keys sign the next root, whose version is returned.

        Metadata of the role is first signed by old and new keys together, so that it is good before and after the new root is seen; where
        the old keys are lost, phones wait from the new root to the new files, and adopt nothing between.

        Args:
            role: root, targets, snapshot or timestamp.
            needed: of the new keys have to sign.
            count: new keys.
            root_keys: folders that hold root keys, beside the usual one; new ones go into the first.

        Raises:
            ReleaseError: too few root keys are here, or a number is not possible.
        """
        require_shares({role: (needed, count)})

        def exchange(root: Root) -> None:
            for identifier in list(root.roles[role].keyids):
                root.revoke_key(identifier, role)
            for key in make_keys(self.home.keys if role != "root" else next(iter(root_keys), self.home.root_keys), role, count):
                root.add_key(key, role)
            root.roles[role].threshold = needed

        return self._writer.next_root(exchange, f"new keys for {role}", root_keys)

    def _difference(self, number: int, data: bytes) -> tuple[Release, bytes]:
        """Release ``number``, and the difference that makes ``data`` from its bundle."""
        base = rules.found(self.registry.releases(), number).release
        made = bundles.difference(read_bytes(self.repository.target(base.name, base.bundle), "bundle"), data)
        if len(made) >= len(data):
            raise ReleaseError(f"release {number}: the difference from its bundle is as large as the new bundle; leave it out")
        return base, made

    def _put_difference(self, base: Release, release: Release, made: bytes) -> Difference:
        name, digest = f"{self.home.name}-{release.number}-from-{base.number}.chordd", sha256(made)
        self.repository.put_target(name, digest, made)
        return Difference(base.bundle, release.bundle, release.number, name, len(made), digest)
