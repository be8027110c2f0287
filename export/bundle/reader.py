"""Opening a bundle: every byte accounted for before anything in it is used, then views of the mapped file."""

import builtins
import hashlib
import json
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chordkit import signing
from chordkit.errors import BundleError, MasterError, StrategyError, UserVectorError
from chordkit.export.bundle import container, manifest
from chordkit.export.bundle.container import Located
from chordkit.export.bundle.manifest import ITEMS, MANIFEST, MASTER, SIGNATURE, ArtifactEntry, Manifest, StrategyEntry, UserVectorEntry
from chordkit.export.parity import VectorSet, problem_with, read_vectors
from chordkit.export.targets import Runner, load_runner
from chordkit.quantization import MasterWeights
from chordkit.signing import VerifyingKey
from chordkit.strategy import Strategy, UserVector, decode, decode_user_vector


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
        self, label: str, parsed: Manifest, members: dict[str, memoryview], size: int, signature_checked: bool, mapping: mmap.mmap | None
    ) -> None:
        self.label = label
        self.manifest = parsed
        self.size = size
        self.signature_checked = signature_checked
        self._members = members
        self._mapping = mapping

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the mapping back. Views that were handed out stay valid, and the file stays mapped until the last is gone."""
        self._members = {}
        if self._mapping is not None:
            with suppress(BufferError):
                self._mapping.close()

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
        try:
            return MasterWeights.from_bytes(self.member(MASTER))
        except MasterError as error:
            raise BundleError(f"{self.label}: {MASTER}: {error}") from None

    def artifact_entry(self, name: str) -> ArtifactEntry:
        """What the manifest says of an artifact.

        Raises:
            BundleError: there is none of this name.
        """
        entry = self.manifest.artifact(name)
        if entry is None:
            known = ", ".join(x.name for x in self.manifest.artifacts) or "none"
            raise BundleError(f"{self.label}: the bundle has no artifact {name!r}; it has: {known}")
        return entry

    def artifact(self, name: str) -> memoryview:
        """The file of an artifact. A native artifact without a file of its own is the master.

        Raises:
            BundleError: there is none of this name.
        """
        return self.member(self.artifact_entry(name).member)

    def runner(self, entry: ArtifactEntry, threads: int = 1) -> Runner:
        """An artifact on its runtime; a target without files runs from the mapped master and the artifact's strategy.

        Raises:
            BundleError: the entry is not one of this bundle.
            CapabilityError: the target is unknown, or its runtime refuses the file.
            MissingRuntimeError: the runtime is not installed.
        """
        strategy = None if entry.strategy is None else self.strategy_bytes(entry.strategy)
        return load_runner(entry.target, self.artifact(entry.name), strategy=strategy, candidates=entry.candidates, threads=threads)

    def strategy_bytes(self, name: str) -> bytes:
        """A strategy in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return self._personal("strategy", self.manifest.strategies, name)

    def strategy(self, name: str) -> Strategy:
        """A strategy, decoded and checked against this bundle's backbone.

        Raises:
            BundleError: there is none of this name, or it is malformed or of another backbone.
        """
        channels = sum(layer.out_channels for layer in self.manifest.backbone.channels)
        try:
            return decode(self.strategy_bytes(name), fingerprint=bytes.fromhex(self.manifest.backbone.fingerprint), channels=channels)
        except StrategyError as error:
            raise BundleError(f"{self.label}: strategies/{name}.chrd: {error}") from None

    def user_vector_bytes(self, name: str) -> bytes:
        """A user vector in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return self._personal("user vector", self.manifest.user_vectors, name)

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

    def _personal(self, kind: str, entries: Sequence[StrategyEntry | UserVectorEntry], name: str) -> bytes:
        entry = next((x for x in entries if x.name == name), None)
        if entry is None:
            known = ", ".join(x.name for x in entries) or "none"
            raise BundleError(f"{self.label}: the bundle has no {kind} {name!r}; it has: {known}")
        return bytes(self.member(entry.member))

    def item_ids(self) -> list[str]:
        """The data set's item ids by index; index 0 is padding.

        Raises:
            BundleError: the member is not a list of strings, one per item.
        """
        try:
            ids = json.loads(bytes(self.member(ITEMS)))
        except (ValueError, RecursionError):
            ids = None
        if not isinstance(ids, list) or len(ids) != self.manifest.dataset.items + 1 or not all(isinstance(x, str) for x in ids):
            raise BundleError(f"{self.label}: {ITEMS} is not a list of {self.manifest.dataset.items + 1} item ids; make the bundle anew")
        return ids

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


def open(path: str | os.PathLike[str], public_key: VerifyingKey | None = None, verify: bool = True) -> Bundle:
    """Open and check a bundle.

    Args:
        path: the ``.chord`` file.
        public_key: with a key, a bundle that is unsigned, signed with another key, or altered in any byte is refused.
            Without one, damage is still found (CRC-32 and SHA-256 of every member, the container byte by byte), but an
            altered bundle with a manifest to match is not.
        verify: False skips the hashing of the members (not the container, the manifest or the signature): for a
            file that was verified when it was installed.

    Raises:
        BundleError: the bundle is refused; one sentence says why.
        InputError: the key cannot be used.
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
        return read(memoryview(mapping), label, public_key, verify, mapping)
    except BaseException:
        with suppress(BufferError):
            mapping.close()
        raise


def read(
    buffer: memoryview, label: str, public_key: VerifyingKey | None = None, verify: bool = True, mapping: mmap.mmap | None = None
) -> Bundle:
    """Check a bundle that is in memory; see :func:`open`."""
    key = None if public_key is None else signing.load_public_key(public_key)
    located = container.read(buffer, label)
    if located[0].entry.name != MANIFEST:
        raise BundleError(
            f"{label}: this is a ZIP file, but its first member is not {MANIFEST}; give a bundle made by `chordkit bundle make`"
        )
    raw = bytes(container.check_data(buffer, located[0], label))
    signed = len(located) > 1 and located[1].entry.name == SIGNATURE
    raw_signature = bytes(container.check_data(buffer, located[1], label)) if signed else None
    if key is not None:
        _check_signature(key, raw_signature, raw, label)
    parsed = manifest.parse(raw, label)
    if (parsed.signature is not None) != signed or (raw_signature is not None and len(raw_signature) != signing.SIGNATURE_BYTES):
        raise BundleError(
            f"{label}: the signature that {MANIFEST} announces is missing, or is one that it does not announce; fetch the bundle again"
        )
    members = _check_members(buffer, parsed, located[2 if signed else 1 :], label, verify)
    return Bundle(label, parsed, members, len(buffer), key is not None, mapping)


def _check_signature(key: Ed25519PublicKey, raw_signature: bytes | None, raw_manifest: bytes, label: str) -> None:
    if raw_signature is None:
        raise BundleError(
            f"{label}: the bundle is not signed, and a key was given to verify it with; sign it with `chordkit bundle make --key`"
        )
    if signing.is_valid(key, raw_signature, raw_manifest):
        return
    given, signer = signing.key_id(key), None
    with suppress(BundleError):  # nothing in an unverified manifest is trusted; it only helps to choose the sentence
        section = manifest.parse(raw_manifest, label).signature
        signer = None if section is None else section.key
    if signer is not None and signer != given:
        raise BundleError(
            f"{label}: the bundle was signed with key {signer}, not with the key {given} that was given; use the signer's public key"
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
        if expected.name == MASTER and not expected.sha256.startswith(parsed.backbone.fingerprint):
            raise BundleError(
                f"{label}: {MASTER} is not the backbone {parsed.backbone.fingerprint} that {MANIFEST} describes; make the bundle anew"
            )
        members[expected.name] = data
    return members
