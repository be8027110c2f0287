"""Keeps a mirror's files what the registry says: versions, signatures, lifetimes, and the chain of roots.

The registry is committed before the files are written, under the lock of the owner's folder. After a crash in between, the mirror is what
it was; versions and numbers that were given out are not given out again, and :meth:`Writer.refresh` writes what the registry says.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Targets

from chordkit.errors import ReleaseError
from chordkit.files import alone
from chordkit.release.home import Home
from chordkit.release.keys import Keyring
from chordkit.release.registry import Registry, Transaction
from chordkit.release.repository import Content, Repository, render, sealed, time_of

ONLINE = ("targets", "snapshot", "timestamp")
"""Roles that sign without a person, in the order in which their files are written."""


class Writer:
    """Writes for one channel; whoever else does waits.

    Args:
        home: where everything is.
        registry: what is true.
        clock: seconds since 1970.
        who: stands in the audit log.
    """

    def __init__(self, home: Home, registry: Registry, clock: Callable[[], float], who: str) -> None:
        self._home, self._registry, self._clock, self._who = home, registry, clock, who
        self._repository = Repository(home.mirror)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Transaction]:
        """One change of the registry, and the files that say so."""
        with alone(self._home.folder):
            root = self._root()
            signers = self._signers(root)
            with self._registry.transaction() as transaction:
                self._require_whole(transaction)
                yield transaction
                files = self._rendered(transaction, ONLINE, signers)
            self._repository.write(files)

    def begin(self, root: Root, data: bytes) -> None:
        """The first root, and metadata with nothing in it."""
        self._repository.write_root(data, 1)
        with self._registry.transaction() as transaction:
            transaction.set_versions({"root": 1})
            files = self._rendered(transaction, ONLINE, self._signers(root))
            transaction.note("channel made", self._who)
        self._repository.write(files)

    def due(self) -> tuple[str, ...]:
        """Roles whose files have to be made anew: half of their life is over, or they are not what the registry says."""
        content = Content(self._registry.releases(), self._registry.differences(), self._registry.killed())
        return self._due(content)

    def refresh(self) -> tuple[str, ...]:
        """Write what is due, and the timestamp in any case; the roles that were written."""
        with alone(self._home.folder):
            root = self._root()
            signers = self._signers(root)
            with self._registry.transaction() as transaction:
                self._require_whole(transaction)
                roles = self._due(_content(transaction)) or ("timestamp",)
                files = self._rendered(transaction, roles, signers)
                transaction.note(f"refreshed {', '.join(roles)}", self._who)
            self._repository.write(files)
        return roles

    def next_root(self, change: Callable[[Root], None], what: str, root_keys: Collection[Path]) -> int:
        """The next root, signed by the root keys of the one before and by its own; its version.

        Args:
            change: is made to the root before.
            what: for the audit log.
            root_keys: folders that hold root keys, beside the usual one.

        Raises:
            ReleaseError: too few keys are here.
        """
        with alone(self._home.folder):
            folders = [self._home.root_keys, *root_keys]
            old, new = self._root(), self._root()
            Keyring(folders).require(old, "root")
            change(new)
            keyring = Keyring([self._home.keys, *folders])
            signers = _unique([*keyring.require(old, "root"), *keyring.require(new, "root")])
            both = {role: _unique([*keyring.require(new, role), *keyring.signers(old.roles[role].keyids)]) for role in ONLINE}
            bridged = all(len(keyring.signers(old.roles[role].keyids)) >= old.roles[role].threshold for role in ONLINE)
            new.expires = time_of(self._clock() + self._home.lifetime_s["root"])
            with self._registry.transaction() as transaction:
                self._require_whole(transaction)
                new.version = self._next(transaction, "root")
                if new.version != old.version + 1:
                    raise ReleaseError(
                        f"release: root: the next version is {old.version + 1}, and the registry counts {new.version - 1} already; "
                        "bring the newest root back to the mirror's folder"
                    )
                data = sealed(new, signers)
                files = self._rendered(transaction, ONLINE, both)
                transaction.note(what, self._who)
            # The root's version is counted once its file is there: a chain has no gaps.
            if bridged:
                self._repository.write(files)
                self._repository.write_root(data, new.version)
            else:
                self._repository.write_root(data, new.version)
                self._repository.write(files)
            with self._registry.transaction() as transaction:
                transaction.set_versions({"root": new.version})
        return int(new.version)

    def _rendered(
        self, transaction: Transaction, roles: Collection[str], signers: Mapping[str, list[CryptoSigner]]
    ) -> dict[str, tuple[int, bytes]]:
        """New files for these roles, whose versions are taken."""
        versions = {role: self._next(transaction, role) for role in roles}
        files = render(_content(transaction), versions, self._home.lifetime_s, self._clock(), signers, self._repository.current())
        transaction.set_versions(versions)
        return files

    def _next(self, transaction: Transaction, role: str) -> int:
        """A version that was never used: above the registry's, and above what a crash may have left in the folder."""
        return max(transaction.versions().get(role, 0), self._repository.versions()[role]) + 1

    def _due(self, content: Content) -> tuple[str, ...]:
        current, now = self._repository.current(), self._clock()
        targets = current["targets"].signed if "targets" in current else None
        said = isinstance(targets, Targets) and (targets.targets, targets.unrecognized_fields) == (content.targets(), content.beside())
        young = {
            role for role, file in current.items() if file.signed.expires.timestamp() - now > self._home.lifetime_s[role] / 2
        } - (set() if said else {"targets"})  # fmt: skip
        # Whoever names a file that is made anew is made anew itself.
        oldest = next((place for place, role in enumerate(ONLINE) if role not in young), len(ONLINE))
        return ONLINE[oldest:]

    def _root(self) -> Root:
        root = self._repository.root().signed
        assert isinstance(root, Root)
        return root

    def _signers(self, root: Root) -> dict[str, list[CryptoSigner]]:
        keyring = Keyring([self._home.keys])
        return {role: keyring.require(root, role) for role in ONLINE}

    def _require_whole(self, transaction: Transaction) -> None:
        """Hold that the registry knows every release that phones may have seen."""
        known = {each.release.name: each.release.bundle for each in transaction.releases()}
        targets = self._repository.current().get("targets")
        seen: dict[str, Any] = targets.signed.targets if targets is not None and isinstance(targets.signed, Targets) else {}
        for name, target in seen.items():
            if name.endswith(".chord") and known.get(name) != target.hashes["sha256"]:
                raise ReleaseError(
                    f"{self._registry.name}: the mirror has {name} and this registry has not; it is an old copy: bring the newest one back"
                )


def _content(transaction: Transaction) -> Content:
    return Content(transaction.releases(), transaction.differences(), transaction.killed())


def _unique(signers: list[CryptoSigner]) -> list[CryptoSigner]:
    return list({signer.public_key.keyid: signer for signer in signers}.values())
