"""One file of a channel's metadata: its one spelling, its form, and who signed it.

The Update Framework's library reads the roles and counts the keys. What is added here is narrower than it: one spelling, so that every
language hashes and verifies the same bytes; fields of their kinds and in their ranges; Ed25519 alone, as strict as for bundles.
"""

# ruff: noqa: E402 - what is missing is said before it is missed

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from chordkit.release import require_packages

require_packages()

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ConfigDict, Field, ValidationError
from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Signature
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from chordkit.documents import Document, parse_json
from chordkit.errors import ReleaseError
from chordkit.release.words import LARGEST_NUMBER
from chordkit.signing import is_valid

LIMITS = {"root": 65_536, "timestamp": 16_384, "snapshot": 65_536, "targets": 2_097_152}
"""Bytes of a role's file at most."""
MOST_KILLED = 1000
DEEPEST = 32

_PRINTABLE = re.compile(rb"[ -~]*")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


class MetadataRefused(ReleaseError):
    """A file of metadata, or a target, is refused; nothing is adopted from it.

    Attributes:
        check: what it failed: spelling, malformed, length, hash, signature, version, expired or missing.
        role: of the file: root, timestamp, snapshot, targets, or target for a bundle or difference.
    """

    def __init__(self, role: str, check: str, why: str) -> None:
        super().__init__(f"release: {role}: {check}: {why}")
        self.role, self.check = role, check


class _Form(Document):
    model_config = ConfigDict(strict=True, extra="allow")


class _Exact(Document):
    model_config = ConfigDict(strict=True, extra="forbid")


_Number = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
_Length = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Hashes(_Exact):
    sha256: _Digest


class _File(_Form):
    version: _Number
    length: _Length
    hashes: _Hashes


class _Signed(_Form):
    spec_version: Annotated[str, Field(pattern=r"^1(\.[0-9]{1,4}){1,2}$")]
    version: _Number
    expires: Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


class _KeyValue(_Form):
    public: _Digest


class _Key(_Form):
    keytype: Literal["ed25519"]
    scheme: Literal["ed25519"]
    keyval: _KeyValue


class _Role(_Form):
    keyids: list[str]
    threshold: _Number


class _Roles(_Exact):
    root: _Role
    targets: _Role
    snapshot: _Role
    timestamp: _Role


class _Root(_Signed):
    consistent_snapshot: bool
    keys: dict[str, _Key]
    roles: _Roles


class _SnapshotOnly(_Exact):
    snapshot: Annotated[_File, Field(alias="snapshot.json")]


class _Timestamp(_Signed):
    meta: _SnapshotOnly


class _TargetsOnly(_Exact):
    targets: Annotated[_File, Field(alias="targets.json")]


class _Snapshot(_Signed):
    meta: _TargetsOnly


class _Target(_Form):
    length: _Length
    hashes: _Hashes


class _Targets(_Signed):
    targets: dict[str, _Target]


class _Signature(_Exact):
    keyid: str
    sig: str


class _Envelope(_Exact):
    signatures: list[_Signature]
    signed: dict[str, Any]


_FORMS: dict[str, type[_Signed]] = {"root": _Root, "timestamp": _Timestamp, "snapshot": _Snapshot, "targets": _Targets}


@dataclass(frozen=True)
class SignedFile:
    """A file of the right spelling and form. Nobody vouches for it until :meth:`require_signed_by` returned.

    Attributes:
        role: what it is.
        data: its bytes.
        signed: its content.
        payload: what is signed.
        signatures: by key identifier.
    """

    role: str
    data: bytes
    signed: Root | Timestamp | Snapshot | Targets
    payload: bytes
    signatures: dict[str, Signature]

    @property
    def version(self) -> int:
        """Of this file."""
        return int(self.signed.version)

    def require_signed_by(self, root: Root) -> None:
        """Hold that as many keys of ``root`` signed it as its role needs, each counted once however it is named.

        Raises:
            MetadataRefused: they did not.
        """
        counted: dict[str, Signature] = {}
        holders: set[str] = set()
        for identifier in root.roles[self.role].keyids:
            key, signature = root.keys.get(identifier), self.signatures.get(identifier)
            if key is None or signature is None or not _SIGNATURE.fullmatch(signature.signature):
                continue
            holder = key.keyval["public"]
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(holder))
            if holder not in holders and is_valid(public, bytes.fromhex(signature.signature), self.payload):
                holders.add(holder)
                counted[identifier] = signature
        try:
            root.verify_delegate(self.role, self.payload, counted)
        except UnsignedMetadataError as error:
            raise MetadataRefused(self.role, "signature", f"{error}; fetch it from another mirror") from None


def canonical(value: Any) -> bytes:
    """The one spelling of ``value`` (OLPC canonical JSON).

    Raises:
        ReleaseError: it has one that is no part of it: a fraction.
    """
    try:
        text = encode_canonical(value)
    except FormatError as error:
        raise ReleaseError(f"release: {error}; use whole numbers and text") from None
    assert text is not None
    return text.encode()


def read(role: str, data: bytes) -> SignedFile:
    """Read a role's file.

    Raises:
        MetadataRefused: length, spelling, malformed, in this order.
    """
    if len(data) > LIMITS[role]:
        raise MetadataRefused(role, "length", f"it has more than {LIMITS[role]} bytes, which none has; ask another mirror")
    value = _spelled(role, data)
    try:
        _Envelope.model_validate(value)
        _FORMS[role].model_validate(value["signed"])
        if problem := _problem(role, value["signed"]):
            raise ValueError(problem)
        payload = canonical(value["signed"])
        made: Metadata[Any] = Metadata.from_dict(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MetadataRefused(role, "malformed", f"{'.'.join(map(str, first['loc']))}: {first['msg']}; ask another mirror") from None
    except (ValueError, KeyError, TypeError) as error:
        raise MetadataRefused(role, "malformed", f"{error}; ask another mirror") from None
    return SignedFile(role, data, made.signed, payload, made.signatures)


def _spelled(role: str, data: bytes) -> Any:
    try:
        if not _PRINTABLE.fullmatch(data):
            raise ValueError("it has other characters than printable ASCII")
        value = parse_json(data, None)
        if not _fits(value, DEEPEST):
            raise ValueError(f"a number is not whole or beyond {LARGEST_NUMBER}, or it is nested more than {DEEPEST} deep")
        if canonical(value) != data:
            raise ValueError("it is not spelled as canonical JSON")
    except (ValueError, ReleaseError) as error:
        raise MetadataRefused(role, "spelling", f"{error}; ask another mirror") from None
    return value


def _fits(value: Any, levels: int) -> bool:
    """Whether ``value`` opens at most so many objects and lists within each other, and its numbers are whole and can be counted."""
    if isinstance(value, dict | list):
        return levels > 0 and all(_fits(each, levels - 1) for each in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int | float) or (isinstance(value, int) and abs(value) <= LARGEST_NUMBER)


def _problem(role: str, signed: dict[str, Any]) -> str | None:
    """What a form alone cannot say."""
    if signed.get("_type") != role:
        return f"its type is {str(signed.get('_type'))[:40]!r}"
    if role == "root" and not signed["consistent_snapshot"]:
        return "consistent_snapshot is not true"
    if role == "targets" and "delegations" in signed:
        return "it has delegations, which a channel does not"
    return None
