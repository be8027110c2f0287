"""Opening a bundle: every byte accounted for before anything in it is used, then views of the mapped file.

With keys, nothing is parsed before its signature is known to fit: the container is compared, the manifest is hashed, and that is all.
"""

import builtins
import hashlib
import mmap
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from chordkit.errors import BundleError, InputError, MasterError, StrategyError, UserVectorError
from chordkit.export.bundle import catalogue, container, manifest
from chordkit.export.bundle.container import Located
from chordkit.export.bundle.manifest import ITEMS, MANIFEST, MASTER, SIGNATURE, ArtifactEntry, Manifest, StrategyEntry, UserVectorEntry
from chordkit.export.bundle.recommend import Recommendations, recommend
from chordkit.export.parity import VectorSet, problem_with, read_vectors
from chordkit.export.targets import Runner, find_target, load_runner
from chordkit.patching import MasterFile
from chordkit.quantization import MasterWeights
from chordkit.signing import SIGNATURE_BYTES, TrustedKeys, VerifyingKey, key_id
from chordkit.strategy import Strategy, UserVector, decode, decode_user_vector

Keys = VerifyingKey | Sequence[VerifyingKey] | TrustedKeys
"""Whose signatures are accepted: a key, a PEM file, several of them, or what is made of them already."""
Entry = TypeVar("Entry", ArtifactEntry, StrategyEntry, UserVectorEntry)
# What a master that has grown begins with (docs/formats.md), in a header of so many bytes.
_CHRM_GROWN, _CHRM_HEADER = b"CHRM\2\0\0\0", 64
# The signature's entry as a manifest spells it. Found in bytes that nobody vouches for, and used for a sentence alone.
_ANNOUNCED_KEY = re.compile(rb'\n "signature": \{\n  "algorithm": "ed25519",\n  "key": "([0-9a-f]{16})"\n \}')


class Bundle:
    """An opened bundle. Members are views of the file's mapping: nothing is copied until it is asked for.

    Use it as a context manager. A view that outlives the bundle keeps the mapping alive.

    Attributes:
        label: the path, for messages.
        manifest: the parsed manifest.
        size: bytes of the file.
        signature_checked: whether the signature was verified with a key.
    """

    def __init__(
        self,
        label: str,
        parsed: Manifest,
        members: dict[str, memoryview],
        whole: memoryview,
        signature_checked: bool,
        mapping: mmap.mmap | None,
    ) -> None:
        self.label = label
        self.manifest = parsed
        self.size = len(whole)
        self.signature_checked = signature_checked
        self._members = members
        self._whole = whole
        self._mapping = mapping
        self._master: MasterWeights | None = None
        self._artifacts = {entry.name: entry for entry in parsed.artifacts}
        self._strategies = {entry.name: entry for entry in parsed.strategies}
        self._user_vectors = {entry.name: entry for entry in parsed.user_vectors}
        self._channels = sum(layer.out_channels for layer in parsed.backbone.channels)

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the mapping back. Views that were handed out stay valid, and the file stays mapped until the last is gone."""
        self._members, self._whole, self._master = {}, memoryview(b""), None
        if self._mapping is not None:
            with suppress(BufferError):
                self._mapping.close()

    def file(self) -> memoryview:
        """All of the file, the bytes that were verified."""
        return self._whole

    def member(self, name: str) -> memoryview:
        """The bytes of a member.

        Raises:
            BundleError: there is none of this name.
        """
        try:
            return self._members[name]
        except KeyError:
            raise BundleError(f"{self.label}: the bundle has no member {name!r}; `chordkit bundle inspect` lists them") from None

    def master(self) -> MasterWeights:
        """The master weights; their arrays are views of the mapped file.

        Raises:
            BundleError: the member is not a master-weights file.
        """
        if self._master is None:
            try:
                self._master = MasterWeights.from_bytes(self.member(MASTER))
            except MasterError as error:
                raise BundleError(f"{self.label}: {MASTER}: {error}") from None
        return self._master

    def artifact_entry(self, name: str) -> ArtifactEntry:
        """What the manifest says of an artifact.

        Raises:
            BundleError: there is none of this name.
        """
        return self._entry("artifact", self._artifacts, name)

    def artifact(self, name: str) -> memoryview:
        """The file of an artifact. A native artifact without a file of its own is the master.

        Raises:
            BundleError: there is none of this name.
        """
        return self.member(self.artifact_entry(name).member)

    def patched(self, artifact: str, strategy: str | bytes) -> bytes:
        """The file of one user out of an int8 artifact of layout ``speed``, byte for byte the exported one (docs/patching.md).

        Raises:
            PatchError: the artifact carries no patch table.
            StrategyError: the strategy, given in its wire form and not by its name in the bundle, is malformed or of another backbone.
        """
        wire = self.strategy_bytes(strategy) if isinstance(strategy, str) else strategy
        return MasterFile(self.artifact(artifact)).patched(wire)

    def runner(self, entry: ArtifactEntry, threads: int = 1) -> Runner:
        """An artifact on its runtime; a target without files runs from the mapped master and the artifact's strategy.

        Raises:
            BundleError: the entry is not one of this bundle.
            CapabilityError: the target is unknown, its runtime refuses the file, or is older than those that the artifact runs on.
            MissingRuntimeError: the runtime is not installed.
        """
        find_target(entry.target).require_runtime(entry.runs_on, entry.name)
        strategy = None if entry.strategy is None else self.strategy_bytes(entry.strategy)
        return load_runner(entry.target, self.artifact(entry.name), strategy=strategy, candidates=entry.candidates, threads=threads)

    def recommend(
        self, history: Iterable[str | int], k: int = 10, *, strategy: str | None = None, artifact: str | None = None, seen: bool = False
    ) -> Recommendations:
        """The best items of the whole catalogue after a history, in the owner's own ids.

        Args:
            history: item ids, oldest first, whole numbers standing for their digits; those that the catalogue does not have are left out
                and named in the answer.
            k: how many items, 1 or more.
            strategy: whose strategy and user vector, by its name in the bundle; None = an artifact that is nobody's.
            artifact: on which artifact; None = the first that fits and whose runtime is installed.
            seen: whether items of the history may come back.

        Raises:
            InputError: it is no list of ids, no item of it is known, ``k`` is below 1, or no artifact fits.
            BundleError: there is no artifact of this name.
            MissingRuntimeError: no runtime is installed that the artifacts that fit run on.
            CheckFailed: the artifact gives scores that are not finite.
        """
        return recommend(self, history, k, strategy=strategy, artifact=artifact, seen=seen)

    def strategy_bytes(self, name: str) -> bytes:
        """A strategy in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return bytes(self.member(self._entry("strategy", self._strategies, name).member))

    def strategy(self, name: str) -> Strategy:
        """A strategy, decoded and checked against this bundle's backbone.

        Raises:
            BundleError: there is none of this name, or it is malformed or of another backbone.
        """
        fingerprint = bytes.fromhex(self.manifest.backbone.fingerprint)
        try:
            return decode(self.strategy_bytes(name), fingerprint=fingerprint, channels=self._channels)
        except StrategyError as error:
            raise BundleError(f"{self.label}: strategies/{name}.chrd: {error}") from None

    def user_vector_bytes(self, name: str) -> bytes:
        """A user vector in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return bytes(self.member(self._entry("user vector", self._user_vectors, name).member))

    def user_vector(self, name: str) -> UserVector:
        """A user vector, decoded and checked against this bundle's backbone; ``values`` is what a runner takes.

        Raises:
            BundleError: there is none of this name, or it is malformed or of another backbone.
        """
        data, dim = self.user_vector_bytes(name), self.master().dim
        try:
            return decode_user_vector(data, fingerprint=bytes.fromhex(self.manifest.backbone.fingerprint), dim=dim)
        except UserVectorError as error:
            raise BundleError(f"{self.label}: user_vectors/{name}.chru: {error}") from None

    def _entry(self, kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
        try:
            return entries[name]
        except KeyError:
            known = ", ".join(entries) or "none"
            raise BundleError(f"{self.label}: the bundle has no {kind} {name!r}; it has: {known}") from None

    def item_ids(self) -> list[str]:
        """The data set's item ids by index; index 0 is padding.

        Raises:
            BundleError: the member is not a list of strings, one per item, no two of them the same.
        """
        return self._texts(ITEMS, catalogue.read_ids)

    def item_names(self) -> list[str]:
        """What people call the items, by index like :meth:`item_ids`, "" where one has no name; empty where the bundle has no names.

        Raises:
            BundleError: the member is not a list of texts, one per item, that can be shown.
        """
        words = self.manifest.words
        return [] if words is None or words.names is None else self._texts(words.names, catalogue.read_words)

    def item_categories(self) -> list[str]:
        """What the items are among ("Drama, War"); otherwise as :meth:`item_names`."""
        words = self.manifest.words
        return [] if words is None or words.categories is None else self._texts(words.categories, catalogue.read_words)

    def _texts(self, member: str, read: Callable[[bytes, int], list[str]]) -> list[str]:
        try:
            return read(bytes(self.member(member)), self.manifest.dataset.items)
        except ValueError as error:
            raise BundleError(f"{self.label}: {member} {error}; make the bundle anew") from None

    def vectors(self) -> VectorSet:
        """The test vectors.

        Raises:
            BundleError: the member is malformed or is not what the manifest announces.
        """
        announced = self.manifest.vectors
        vectors = read_vectors(self.member(announced.member), self.label)
        found = (len(vectors.histories), vectors.histories.shape[1], vectors.candidates.shape[1], tuple(sorted(vectors.scores)))
        dim = None if vectors.users is None else vectors.users.shape[1]
        known = (announced.count, announced.length, announced.candidates, tuple(sorted(announced.references)))
        if (found, dim) != (known, self.master().dim if self.manifest.user_vectors else None):
            raise BundleError(
                f"{self.label}: {announced.member} does not hold the test vectors that the manifest announces; make the bundle anew"
            )
        if problem := problem_with(vectors, self.manifest.dataset.items):
            raise BundleError(f"{self.label}: the test vectors cannot be used: {problem}; make the bundle anew")
        return vectors


def open(
    path: str | os.PathLike[str], public_key: Keys | None = None, *, revoked: Iterable[str] = (), minimum: int = 0, verify: bool = True
) -> Bundle:
    """Open and check a bundle.

    Args:
        path: the ``.chord`` file.
        public_key: with a key, or several while one takes another's place, a bundle that is unsigned, signed with another key, or
            altered in any byte is refused, before anything in it is parsed. Without one, damage is still found (CRC-32 and SHA-256 of
            every member, the container byte by byte), but an altered bundle with a manifest to match is not.
        revoked: identifiers of keys that are no longer accepted, whoever lists them.
        minimum: the lowest counter that is accepted: that of the bundle that is installed. It means something with a key only.
        verify: False skips the hashing of the members (not the container, the manifest or the signature): for a
            file that was verified when it was installed.

    Raises:
        BundleError: the bundle is refused; one sentence says why.
        InputError: a key cannot be used.
    """
    label = os.fspath(path)
    try:
        with builtins.open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                raise BundleError(f"{label}: the file is empty; fetch the bundle again or make it anew")
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise BundleError(f"{label}: no such bundle file") from None
    except OSError as error:
        raise BundleError(f"{label}: the bundle cannot be read: {error.strerror}") from None
    try:
        return read(memoryview(mapping), label, public_key, revoked=revoked, minimum=minimum, verify=verify, mapping=mapping)
    except BaseException:
        with suppress(BufferError):
            mapping.close()
        raise


def read(
    buffer: memoryview,
    label: str,
    public_key: Keys | None = None,
    *,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    verify: bool = True,
    mapping: mmap.mmap | None = None,
) -> Bundle:
    """Check a bundle that is in memory; see :func:`open`."""
    trusted = _trusted(public_key, revoked)
    located = container.read(buffer, label)
    if located[0].entry.name != MANIFEST:
        raise BundleError(
            f"{label}: this is a ZIP file, but its first member is not {MANIFEST}; give a bundle made by `chordkit bundle make`"
        )
    manifest.require_size(located[0].entry.size, label)
    raw = bytes(container.check_data(buffer, located[0], label))
    signed = len(located) > 1 and located[1].entry.name == SIGNATURE
    if signed and located[1].entry.size != SIGNATURE_BYTES:
        size = located[1].entry.size
        raise BundleError(f"{label}: {SIGNATURE} is {size} bytes long, a signature is {SIGNATURE_BYTES}; fetch the bundle again")
    raw_signature = bytes(container.check_data(buffer, located[1], label)) if signed else None
    signer = None if trusted is None else _signer(trusted, raw_signature, raw, label)
    parsed = manifest.parse(raw, label)
    if (parsed.signature is not None) != signed:
        raise BundleError(
            f"{label}: the signature that {MANIFEST} announces is missing, or is one that it does not announce; fetch the bundle again"
        )
    if signer is not None and parsed.signature is not None and parsed.signature.key != signer:
        raise BundleError(f"{label}: {MANIFEST} announces key {parsed.signature.key} and was signed with {signer}; make the bundle anew")
    if parsed.counter < minimum:
        raise BundleError(
            f"{label}: its counter is {parsed.counter}, and the lowest that is accepted is {minimum}: "
            "the bundle is an older one; fetch the newest"
        )
    members = _check_members(buffer, parsed, located[2 if signed else 1 :], label, verify)
    return Bundle(label, parsed, members, buffer, trusted is not None, mapping)


def _trusted(public_key: Keys | None, revoked: Iterable[str]) -> TrustedKeys | None:
    if public_key is not None:
        return TrustedKeys.of(public_key, revoked)
    if frozenset(revoked):
        raise InputError("keys are revoked, and no public key is given to verify with; give at least one")
    return None


def _signer(trusted: TrustedKeys, raw_signature: bytes | None, raw_manifest: bytes, label: str) -> str:
    """Identifier of the accepted key that signed, with the manifest as bytes: nothing in it is trusted yet."""
    if raw_signature is None:
        raise BundleError(
            f"{label}: the bundle is not signed, and a key was given to verify it with; sign it with `chordkit bundle make --key`"
        )
    if (signer := trusted.signer(raw_signature, raw_manifest)) is not None:
        return signer
    found = _ANNOUNCED_KEY.search(raw_manifest)
    announced, accepted = found and found[1].decode(), sorted({key_id(key) for key in trusted.keys} - trusted.revoked)
    if announced in trusted.revoked:
        raise BundleError(f"{label}: the bundle says that it was signed with key {announced}, which is revoked; fetch one of a later key")
    if announced is not None and announced not in accepted:
        given = f"the key {accepted[0]} that was" if len(accepted) == 1 else f"any of {', '.join(accepted) or 'no keys'} that were"
        raise BundleError(
            f"{label}: the bundle says that it was signed with key {announced}, not with {given} given; use the signer's public key"
        )
    raise BundleError(f"{label}: the signature does not fit the manifest: the bundle was altered; fetch it again from its maker")


def _check_members(buffer: memoryview, parsed: Manifest, located: list[Located], label: str, verify: bool) -> dict[str, memoryview]:
    names, listed = [x.entry.name for x in located], [x.name for x in parsed.members]
    if names != listed:
        difference = sorted(set(names) ^ set(listed))
        what = f"member {difference[0]!r}" if difference else "the order of the members"
        raise BundleError(f"{label}: {what} is not as {MANIFEST} lists it; fetch the bundle again or make it anew")
    members = {}
    for place, expected in zip(located, parsed.members, strict=True):
        if place.entry.size != expected.bytes:
            raise BundleError(
                f"{label}: member {expected.name!r} is {place.entry.size} bytes long, {MANIFEST} says {expected.bytes}; fetch it again"
            )
        data = buffer[place.offset : place.offset + place.entry.size]
        if verify:
            container.check_data(buffer, place, label)
            if hashlib.sha256(data).hexdigest() != expected.sha256:
                raise BundleError(f"{label}: the SHA-256 of member {expected.name!r} is not the one in {MANIFEST}; fetch the bundle again")
        if expected.name == MASTER and _named_by_strategies(parsed, data, expected.sha256) != parsed.backbone.fingerprint:
            raise BundleError(
                f"{label}: {MASTER} is not the backbone {parsed.backbone.fingerprint} that {MANIFEST} describes; make the bundle anew"
            )
        members[expected.name] = data
    return members


def _named_by_strategies(parsed: Manifest, master: memoryview, sha256: str) -> str:
    """The fingerprint of a master: of its own hash, or where its catalogue has grown, which format version 4 allows, the one it carries."""
    grown = parsed.format_version >= 4 and len(master) >= _CHRM_HEADER and master[:8] == _CHRM_GROWN
    return master[24:32].hex() if grown else sha256[:16]
