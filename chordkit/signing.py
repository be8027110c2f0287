"""Ed25519 keys and signatures (RFC 8032, through the ``cryptography`` package), and whose are accepted.

A key is a PEM file: PKCS#8 for the private half, SubjectPublicKeyInfo for the public one; both are what
``openssl genpkey -algorithm ed25519`` makes. The signature file holds the 64 raw bytes, so that
``openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in manifest.json -sigfile manifest.sig`` accepts it too.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chordkit.errors import InputError
from chordkit.files import read_bytes, write_together

SIGNATURE_BYTES = 64

_FIELD = 2**255 - 19
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
# The y coordinates of the eight points whose order divides 8; the sign of x is no part of them.
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        _FIELD - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)

StrPath = str | os.PathLike[str]
SigningKey = Ed25519PrivateKey | StrPath
VerifyingKey = Ed25519PublicKey | StrPath


@dataclass(frozen=True)
class TrustedKeys:
    """Whose signatures are accepted: several keys while one takes another's place, less those that are revoked by their identifier."""

    keys: tuple[Ed25519PublicKey, ...]
    revoked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, keys: "VerifyingKey | Sequence[VerifyingKey] | TrustedKeys", revoked: Iterable[str] = ()) -> "TrustedKeys":
        """From a key, a PEM file, several of them, or what is made already.

        Raises:
            InputError: there is no key at all, one cannot be used, or an identifier is not 16 hexadecimal digits.
        """
        if isinstance(keys, TrustedKeys):
            return TrustedKeys(keys.keys, keys.revoked | _identifiers(revoked))
        several = [keys] if isinstance(keys, str | os.PathLike | Ed25519PublicKey) else list(keys)
        if not several:
            raise InputError("no public key was given to verify with; give at least one")
        return cls(tuple(load_public_key(key) for key in several), _identifiers(revoked))

    def find(self, identifier: str) -> Ed25519PublicKey | None:
        """The accepted key of this identifier; None = there is none, or it is revoked."""
        if identifier in self.revoked:
            return None
        return next((key for key in self.keys if key_id(key) == identifier), None)

    def signer(self, signature: bytes, message: bytes) -> str | None:
        """Identifier of the accepted key that made ``signature`` over ``message``; None = none of them did."""
        for key in self.keys:
            if (identifier := key_id(key)) not in self.revoked and is_valid(key, signature, message):
                return identifier
        return None


def _identifiers(values: Iterable[str]) -> frozenset[str]:
    found = frozenset(values)
    for value in sorted(found):
        if len(value) != 16 or set(value) - set("0123456789abcdef"):
            raise InputError(f"{value!r} is not the identifier of a key (16 hexadecimal digits, as `chordkit bundle key` prints them)")
    return found


def generate_key_pair(private_path: StrPath, public_path: StrPath) -> str:
    """Make a new key pair, both files or none; the private one is readable by its owner only (mode 0600). Returns the key's identifier.

    Raises:
        OSError: one of them cannot be written; then neither is there.
        InputError: one of the files is already there; a key is never overwritten, since bundles signed with it would
            have no verifier any more.
    """
    for path in (private_path, public_path):
        if Path(path).exists():
            raise InputError(f"{path}: this file exists already and a key is never overwritten; choose another name")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_together({Path(private_path): (private, True), Path(public_path): (public, False)})
    return key_id(key.public_key())


def load_private_key(key: SigningKey) -> Ed25519PrivateKey:
    """The private key in a PEM file; a key object is returned as it is.

    Raises:
        InputError: the file is missing, is not an unencrypted PEM private key, or is of another algorithm.
    """
    if isinstance(key, Ed25519PrivateKey):
        return key
    data = read_bytes(key, "private key")
    try:
        loaded = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise InputError(f"{key}: the private key is encrypted; decrypt it first with `openssl pkey`") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{key}: this is not a PEM private key; make one with `chordkit bundle key`") from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise InputError(f"{key}: bundles are signed with Ed25519, and this is a key of another kind; make one with `chordkit bundle key`")
    return loaded


def load_public_key(key: VerifyingKey) -> Ed25519PublicKey:
    """The public key in a PEM file; a key object is returned as it is.

    Raises:
        InputError: the file is missing, is not a PEM public key, is of another algorithm, or is a key under which anybody can sign.
    """
    if isinstance(key, Ed25519PublicKey):
        return _require_strict(key, "the public key")
    data = read_bytes(key, "public key")
    if b"PRIVATE KEY" in data:
        raise InputError(f"{key}: this is a private key; verify with the public half and keep this one where bundles are made")
    try:
        loaded = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{key}: this is not a PEM public key; give the public half of the key that signs the bundles") from None
    if not isinstance(loaded, Ed25519PublicKey):
        raise InputError(
            f"{key}: bundles are signed with Ed25519, and this is a key of another kind; give the public half of the signing key"
        )
    return _require_strict(loaded, str(key))


def _require_strict(key: Ed25519PublicKey, label: str) -> Ed25519PublicKey:
    if not _is_strict_point(raw_key(key)):
        raise InputError(f"{label}: anybody can sign under this key (its point has a small order, or another spelling); give the signer's")
    return key


def raw_key(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key, as RFC 8032 writes them."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """Identifier of a key: the first 16 hexadecimal digits of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(raw_key(key)).hexdigest()[:16]


def is_valid(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` was made over ``message`` by the private half of ``key``.

    Libraries differ in what they forgive. What they differ in is refused before one is asked, by comparing bytes, here as in C
    (``kernels/libchord/verify/ed25519.c``) and in Java (``StrictEd25519``): a length that is not 64, an S that is not below the group's
    order (a second spelling of a signature), a key or an R that is not the one spelling of its point, or whose order is small (under such
    a key one signature fits any message).
    """
    if len(signature) != SIGNATURE_BYTES or int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        return False
    if not (_is_strict_point(raw_key(key)) and _is_strict_point(signature[:32])):
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _is_strict_point(encoded: bytes) -> bool:
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    return y < _FIELD and y not in _SMALL_ORDER
