"""What a phone does with a channel's mirrors: the workflow of The Update Framework (5.3), with a clock that is given, and the choice.

Pure: bytes come through a function, what is to be kept is bytes, and no clock is asked. The verifier in Java does the same; both are held
to ``tests/golden/release.json``.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tuf.api.metadata import MetaFile, Root, Snapshot, TargetFile, Timestamp
from tuf.api.metadata import Targets as TargetsRole

from chordkit.documents import parse_json
from chordkit.errors import ReleaseError
from chordkit.files import sha256
from chordkit.release.metadata import LIMITS, MOST_KILLED, MetadataRefused, SignedFile, canonical, read
from chordkit.release.words import Difference, Killed, PhoneFacts, Release

MOST_ROOTS = 32
"""New roots in one update; a phone that is further behind goes on with the next."""

Fetch = Callable[[str, int], bytes | None]
"""(path, limit) to the file's bytes, ``limit + 1`` of them at most; None = the mirror has no such file. What it raises passes through."""

_FORMAT = "chordkit-channel"
_VERSION = 1
_KEPT = ("timestamp", "snapshot", "targets")


@dataclass(frozen=True)
class Targets:
    """What a channel says now.

    Attributes:
        versions: of each role.
        releases: that this chordkit understands, by number.
        differences: that this chordkit understands.
        killed: families of envelopes that may not be used.
    """

    versions: dict[str, int]
    releases: tuple[Release, ...]
    differences: tuple[Difference, ...]
    killed: tuple[Killed, ...]

    def difference(self, release: Release, base: str) -> Difference | None:
        """The file that makes the bundle of ``release`` from the one whose SHA-256 is ``base``; None = there is none."""
        return next((each for each in self.differences if (each.base, each.result) == (base, release.bundle)), None)


def choose(targets: Targets, phone: PhoneFacts, install_id: bytes, kept: int = 0, failed: Collection[int] = ()) -> Release | None:
    """The release that a phone is to adopt: the highest number that is for it, is above the one it has, and has not failed on it.

    Args:
        targets: what the channel says.
        phone: what the phone is.
        install_id: the 16 bytes that it chose for itself.
        kept: number of the release that it has; 0 = none from a channel.
        failed: numbers whose bundle did not pass the check on this phone.
    """
    fitting = [each for each in targets.releases if each.cohort.matches(phone) and each.stage.holds(install_id)]
    return max((each for each in fitting if each.number > kept and each.number not in failed), key=lambda each: each.number, default=None)


class ChannelClient:
    """One phone's view of one channel.

    Args:
        root: the root that the app ships.
        state: what :attr:`state` was after the last update; empty = nothing yet.
        fetch: asks a mirror.
        now: seconds since 1970 UTC, of the clock that the app trusts most.

    Raises:
        MetadataRefused: the root that the app ships is none.
        ReleaseError: the state is none; begin anew with an empty one.
    """

    def __init__(self, root: bytes, state: bytes, fetch: Fetch, now: int) -> None:
        self._fetch, self._now = fetch, now
        shipped = read("root", root)
        shipped.require_signed_by(_root(shipped))
        kept = _kept(state)
        # An update of the app may bring a newer root than the phone has seen.
        self._root = kept["root"] if "root" in kept and kept["root"].version >= shipped.version else shipped
        self._files = {role: kept[role] for role in _KEPT if role in kept}
        self.recovered = False
        """After :meth:`refresh`: the keys that signed the kept targets sign them no more. Whoever stole them may have given out the highest
        release number, or burnt the next ones: for the choice of this update the number that the phone has counts as 0, and those that
        failed on it are forgotten."""

    @property
    def state(self) -> bytes:
        """To be kept, whole, after every :meth:`refresh`, the refused ones included: of these nothing is new but verified roots."""
        files = {"root": self._root, **self._files}
        return canonical({"format": _FORMAT, "version": _VERSION, **{role: file.data.decode() for role, file in files.items()}})

    def refresh(self) -> Targets:
        """Ask the mirror what is current.

        Raises:
            MetadataRefused: what it gives is not signed, old, expired, or does not fit together; nothing is adopted.
        """
        self._update_root()
        root = _root(self._root)
        self._require_unexpired(self._root)
        kept = {role: file for role, file in self._files.items() if _is_signed_by(file, root)}
        timestamp = self._update_timestamp(root, kept.get("timestamp"))
        snapshot = self._update_snapshot(root, _timestamp(timestamp).snapshot_meta, kept.get("snapshot"))
        targets = self._below("targets", root, _snapshot(snapshot).meta["targets.json"], kept.get("targets"))
        found = _understood({"root": self._root, "timestamp": timestamp, "snapshot": snapshot, "targets": targets})
        self.recovered = "targets" in self._files and "targets" not in kept
        self._files = {"timestamp": timestamp, "snapshot": snapshot, "targets": targets}
        return found

    def bundle(self, release: Release) -> bytes:
        """The file of a release.

        Raises:
            MetadataRefused: the mirror does not have it, or has another.
        """
        return self._target(release.name, release.length, release.bundle)

    def difference(self, difference: Difference) -> bytes:
        """The file of a difference; its result is for :func:`chordkit.export.bundle.apply` to prove.

        Raises:
            MetadataRefused: the mirror does not have it, or has another.
        """
        return self._target(difference.name, difference.length, difference.digest)

    def _update_root(self) -> None:
        for _ in range(MOST_ROOTS):
            version = self._root.version + 1
            data = self._fetch(f"metadata/{version}.root.json", LIMITS["root"])
            if data is None:
                return
            new = read("root", data)
            new.require_signed_by(_root(self._root))
            new.require_signed_by(_root(new))
            if new.version != version:
                raise MetadataRefused("root", "version", f"it is {new.version} where {version} was asked for; ask another mirror")
            self._root = new

    def _update_timestamp(self, root: Root, kept: SignedFile | None) -> SignedFile:
        new = read("timestamp", self._got("timestamp", "metadata/timestamp.json", LIMITS["timestamp"]))
        new.require_signed_by(root)
        if kept is not None:
            _require_not_below("timestamp", new.version, kept.version)
            if new.version == kept.version:
                new = kept
            _require_not_below("snapshot", _timestamp(new).snapshot_meta.version, _timestamp(kept).snapshot_meta.version)
        self._require_unexpired(new)
        return new

    def _update_snapshot(self, root: Root, meta: MetaFile, kept: SignedFile | None) -> SignedFile:
        new = self._below("snapshot", root, meta, kept)
        if kept is not None:
            versions = [_snapshot(file).meta["targets.json"].version for file in (new, kept)]
            _require_not_below("targets", versions[0], versions[1])
        return new

    def _below(self, role: str, root: Root, meta: MetaFile, kept: SignedFile | None) -> SignedFile:
        """The file that another one names: the kept one where it is that, or the mirror's."""
        length, digest = meta.length, (meta.hashes or {}).get("sha256")
        if length is None or length > LIMITS[role]:
            raise MetadataRefused(role, "length", f"it is said to have {length} bytes, more than {LIMITS[role]}; ask another mirror")
        if kept is not None and len(kept.data) == length and sha256(kept.data) == digest:
            new = kept
        else:
            data = self._got(role, f"metadata/{meta.version}.{role}.json", length)
            _require_same(role, data, length, str(digest))
            new = read(role, data)
            new.require_signed_by(root)
        if new.version != meta.version:
            raise MetadataRefused(role, "version", f"it is {new.version} where {meta.version} was named; ask another mirror")
        self._require_unexpired(new)
        return new

    def _got(self, role: str, path: str, limit: int) -> bytes:
        data = self._fetch(path, limit)
        if data is None:
            raise MetadataRefused(role, "missing", f"the mirror does not have {path}; ask another one")
        return data

    def _target(self, name: str, length: int, digest: str) -> bytes:
        data = self._got("target", f"targets/{digest}.{name}", length)
        _require_same("target", data, length, digest)
        return data

    def _require_unexpired(self, file: SignedFile) -> None:
        if file.signed.expires.timestamp() <= self._now:
            raise MetadataRefused(file.role, "expired", f"it was good until {file.signed.expires:%Y-%m-%dT%H:%M:%SZ}; ask another mirror")


def kept_killed(state: bytes) -> tuple[Killed, ...]:
    """The families that may not be used, as the last update told; for an envelope that comes between two of them.

    Raises:
        ReleaseError: the state is none; begin anew with an empty one.
    """
    file = _kept(state).get("targets")
    return () if file is None else _killed(file.signed.unrecognized_fields.get("chordkit", {}))


def _require_not_below(role: str, version: int, kept: int) -> None:
    if version < kept:
        raise MetadataRefused(role, "version", f"it is {version} and was {kept} before; ask another mirror")


def _require_same(role: str, data: bytes, length: int, digest: str) -> None:
    if len(data) != length:
        raise MetadataRefused(role, "length", f"it has {len(data)} bytes and not {length}; ask another mirror")
    if sha256(data) != digest:
        raise MetadataRefused(role, "hash", "it is not the file that was signed; ask another mirror")


def _is_signed_by(file: SignedFile, root: Root) -> bool:
    try:
        file.require_signed_by(root)
    except MetadataRefused:
        return False
    return True


def _kept(state: bytes) -> dict[str, SignedFile]:
    """What an earlier update kept, by role. It was verified then, and only the app can write it."""
    if not state:
        return {}
    try:
        value = parse_json(state)
        if not isinstance(value, dict) or (value.get("format"), value.get("version")) != (_FORMAT, _VERSION):
            raise ValueError("it is none of this version")
        return {role: read(role, value[role].encode()) for role in ("root", *_KEPT) if role == "root" or role in value}
    except (ValueError, KeyError, AttributeError, MetadataRefused) as error:
        raise ReleaseError(f"release: kept state: it cannot be read ({error}); begin anew with an empty one") from None


def _understood(files: dict[str, SignedFile]) -> Targets:
    """What the targets say; a target that is of no known form does not exist for this phone."""
    role = files["targets"].signed
    assert isinstance(role, TargetsRole)
    releases: dict[int, Release] = {}
    differences: list[Difference] = []
    for name, target in sorted(role.targets.items()):
        known = _target(name, target)
        if isinstance(known, Difference):
            differences.append(known)
        elif known is not None:
            if known.number in releases:
                raise MetadataRefused("targets", "malformed", f"release {known.number} is there twice; ask another mirror")
            releases[known.number] = known
    return Targets(
        {name: file.version for name, file in files.items()},
        tuple(releases[number] for number in sorted(releases)),
        tuple(differences),
        _killed(role.unrecognized_fields.get("chordkit", {})),
    )


def _target(name: str, target: TargetFile) -> Release | Difference | None:
    custom = target.custom.get("chordkit") if isinstance(target.custom, dict) else None
    digest = target.hashes["sha256"]
    try:
        if isinstance(custom, dict) and "difference" in custom:
            return Difference.from_json(custom, name, target.length, digest)
        release = Release.from_json(custom, name, target.length)
    except ReleaseError:
        return None
    return release if release.bundle == digest else None


def _killed(value: Any) -> tuple[Killed, ...]:
    try:
        if not isinstance(value, dict) or not isinstance(families := value.get("killed", []), list) or len(families) > MOST_KILLED:
            raise ReleaseError(f"release: killed: it is not a list of at most {MOST_KILLED}")
        return tuple(map(Killed.from_json, families))
    except ReleaseError as error:
        raise MetadataRefused("targets", "malformed", f"{error}; ask another mirror") from None


def _root(file: SignedFile) -> Root:
    assert isinstance(file.signed, Root)
    return file.signed


def _timestamp(file: SignedFile) -> Timestamp:
    assert isinstance(file.signed, Timestamp)
    return file.signed


def _snapshot(file: SignedFile) -> Snapshot:
    assert isinstance(file.signed, Snapshot)
    return file.signed
