"""Opening a bundle: every byte accounted for before anything in it is used.

With keys, nothing is parsed before its signature is known to fit: the container is compared, the manifest is hashed, and that is all.
"""

import builtins
import hashlib
import mmap
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from chordkit.errors import BundleError, InputError
from chordkit.export.bundle import container, manifest
from chordkit.export.bundle.container import Located
from chordkit.export.bundle.manifest import MANIFEST, MASTER, SIGNATURE, Manifest
from chordkit.export.bundle.reader import Bundle
from chordkit.signing import SIGNATURE_BYTES, TrustedKeys, VerifyingKey, key_id

Keys = VerifyingKey | Sequence[VerifyingKey] | TrustedKeys
"""Whose signatures are accepted: a key, a PEM file, several of them, or what is made of them already."""
# What a master that has grown begins with (docs/formats.md), in a header of so many bytes.
_CHRM_GROWN, _CHRM_HEADER = b"CHRM\2\0\0\0", 64
# The signature's entry as a manifest spells it. Found in bytes that nobody vouches for, and used for a sentence alone.
_ANNOUNCED_KEY = re.compile(rb'\n "signature": \{\n  "algorithm": "ed25519",\n  "key": "([0-9a-f]{16})"\n \}')


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
