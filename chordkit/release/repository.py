"""The static files of a channel: what a mirror serves, made from releases, signed, and written so that any moment verifies.

Order of writing: bundles, ``N.targets.json``, ``N.snapshot.json``, and last ``timestamp.json``, the only file whose content changes under
its name. Who sees the old timestamp finds everything that it names.
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from chordkit.errors import InputError, ReleaseError
from chordkit.files import atomic_writer, read_bytes, sha256, write_bytes, write_together
from chordkit.release.metadata import LIMITS, MetadataRefused, SignedFile, canonical, read
from chordkit.release.records import ENDED, OFFERED, ROLES, RegisteredRelease
from chordkit.release.words import Difference, Killed

_NUMBERED = re.compile(r"([1-9][0-9]{0,15})\.(root|targets|snapshot)\.json")

Signed = Root | Targets | Snapshot | Timestamp


@dataclass(frozen=True)
class Content:
    """What the registry says, and the targets are made of."""

    releases: tuple[RegisteredRelease, ...]
    differences: tuple[Difference, ...]
    killed: tuple[Killed, ...]

    def targets(self) -> dict[str, TargetFile]:
        """By name: releases that stand, to nobody where they are held back, and the differences that lead to them."""
        made, standing = {}, set()
        for each in self.releases:
            if each.state not in ENDED:
                release, custom = each.release, each.release.to_json()
                if each.state not in OFFERED:
                    custom["stage"] = custom["stage"] | {"basis_points": 0}
                made[release.name] = _target(release.name, release.length, release.bundle, custom)
                standing.add(release.number)
        for difference in self.differences:
            if difference.release in standing:
                made[difference.name] = _target(difference.name, difference.length, difference.digest, difference.to_json())
        return made

    def beside(self) -> dict[str, Any]:
        """What the signed part of the targets has beside them."""
        return {"chordkit": {"killed": [killed.to_json() for killed in self.killed]}} if self.killed else {}


def _target(name: str, length: int, digest: str, custom: dict[str, Any]) -> TargetFile:
    return TargetFile(length, {"sha256": digest}, name, {"custom": {"chordkit": custom}})


def sealed(signed: Signed, signers: Iterable[CryptoSigner]) -> bytes:
    """The file of ``signed``.

    Raises:
        ReleaseError: it would be larger than phones take.
    """
    made: Metadata[Any] = Metadata(signed)
    for signer in signers:
        made.sign(signer, append=True)
    data = canonical(made.to_dict())
    if len(data) > LIMITS[signed.type]:
        raise ReleaseError(
            f"release: {signed.type}: {len(data)} bytes are more than the {LIMITS[signed.type]} that a phone takes; "
            "let old releases be replaced (promote one to 100 %), or take kills back"
        )
    return data


def first_root(keys: Mapping[str, list[SSlibKey]], thresholds: Mapping[str, int], expires: datetime) -> Root:
    """Version 1 of a channel's root."""
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for role in ROLES:
        for key in keys[role]:
            root.add_key(key, role)
        root.roles[role].threshold = thresholds[role]
    return root


def time_of(seconds: float) -> datetime:
    """Seconds since 1970 as the framework wants them."""
    return datetime.fromtimestamp(int(seconds), UTC)


class Repository:
    """The folder that is served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata, self._targets = folder / "metadata", folder / "targets"

    def versions(self) -> dict[str, int]:
        """The highest version of each role that has a file here; a file that only a crash left counts as well."""
        found = dict.fromkeys(ROLES, 0)
        for path in self._metadata.glob("*.json"):
            if named := _NUMBERED.fullmatch(path.name):
                found[named[2]] = max(found[named[2]], int(named[1]))
        timestamp = self._read("timestamp", self._metadata / "timestamp.json")
        return found | {"timestamp": timestamp.version if timestamp else 0}

    def root(self) -> SignedFile:
        """The newest root.

        Raises:
            ReleaseError: there is none.
        """
        version = self.versions()["root"]
        file = self._read("root", self._metadata / f"{version}.root.json")
        if file is None:
            raise ReleaseError(f"{self._metadata}: there is no root that can be read; restore the mirror's files from a copy")
        return file

    def current(self) -> dict[str, SignedFile]:
        """What a phone would find now, below a valid root; a role whose file is missing, damaged or not signed is not in it."""
        root = self.root().signed
        assert isinstance(root, Root)
        found: dict[str, SignedFile] = {}
        path, named = self._metadata / "timestamp.json", None
        for role, below in (("timestamp", "snapshot"), ("snapshot", "targets"), ("targets", None)):
            file = self._read(role, path)
            if file is None or not _is_sound(file, root, named):
                break
            found[role] = file
            if below is not None:
                meta = file.signed.snapshot_meta if isinstance(file.signed, Timestamp) else file.signed.meta[f"{below}.json"]  # type: ignore[union-attr]
                path, named = self._metadata / f"{meta.version}.{below}.json", meta
        return found

    def fetch(self, path: str, limit: int) -> bytes | None:
        """As a phone's client asks a mirror."""
        try:
            with open(self.folder / path, "rb") as stream:
                return stream.read(limit + 1)
        except FileNotFoundError:
            return None

    def target(self, name: str, digest: str) -> Path:
        """Where a bundle or difference lies."""
        return self._targets / f"{digest}.{name}"

    def put_target(self, name: str, digest: str, data: bytes) -> None:
        """Lay a file down; its name says what is in it, so that one that is there already is the same."""
        path = self.target(name, digest)
        if not path.exists() or sha256(path.read_bytes()) != digest:
            write_bytes(path, data)

    def link_target(self, old: Path, name: str, digest: str) -> None:
        """The same file under the name of another release.

        Raises:
            ReleaseError: the file of the old one is not there.
        """
        new = self.target(name, digest)
        if not old.exists():
            raise ReleaseError(f"{old}: the bundle of the release before is not here any more; publish it again under a counter of its own")
        if new.exists():
            return
        try:
            os.link(old, new)
        except OSError:
            with atomic_writer(new) as stream, open(old, "rb") as source:
                shutil.copyfileobj(source, stream)

    def write_root(self, data: bytes, version: int) -> None:
        """A new root; never in another one's place."""
        write_together({self._metadata / f"{version}.root.json": (data, False)})

    def write(self, files: Mapping[str, tuple[int, bytes]]) -> None:
        """Role to (version, file), in the order in which a phone may find them; those that are named by number never replace one."""
        for role in ("targets", "snapshot"):
            if role in files:
                version, data = files[role]
                write_together({self._metadata / f"{version}.{role}.json": (data, False)})
        if "timestamp" in files:
            write_bytes(self._metadata / "timestamp.json", files["timestamp"][1])

    def _read(self, role: str, path: Path) -> SignedFile | None:
        if not path.is_file():
            return None
        try:
            return read(role, read_bytes(path, role, LIMITS[role]))
        except InputError:
            return None


def _is_sound(file: SignedFile, root: Root, named: MetaFile | None) -> bool:
    try:
        file.require_signed_by(root)
    except MetadataRefused:
        return False
    if named is None:
        return True
    return file.version == named.version and (named.hashes or {}).get("sha256") == sha256(file.data)


def render(
    content: Content, versions: Mapping[str, int], lifetime_s: Mapping[str, int], now: float, signers: Mapping[str, list[CryptoSigner]],
    kept: Mapping[str, SignedFile],
) -> dict[str, tuple[int, bytes]]:  # fmt: skip
    """New files for the roles that ``versions`` names; the others stay as they are ``kept``."""
    files: dict[str, tuple[int, bytes]] = {}

    def add(role: str, signed: Signed) -> None:
        files[role] = versions[role], sealed(signed, signers[role])

    def meta(role: str) -> MetaFile:
        version, data = files[role] if role in files else (kept[role].version, kept[role].data)
        return MetaFile(version, len(data), {"sha256": sha256(data)})

    expires = {role: time_of(now + lifetime_s[role]) for role in versions}
    if "targets" in versions:
        add("targets", Targets(versions["targets"], None, expires["targets"], content.targets(), None, content.beside()))
    if "snapshot" in versions:
        add("snapshot", Snapshot(versions["snapshot"], None, expires["snapshot"], {"targets.json": meta("targets")}))
    if "timestamp" in versions:
        add("timestamp", Timestamp(versions["timestamp"], None, expires["timestamp"], meta("snapshot")))
    return files
