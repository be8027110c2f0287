"""Keys: made once, private to their owner, and refused with a clear word when they are something else."""

import stat
import subprocess
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import InputError
from chordkit.export.bundle import generate_key_pair, key_id, load_private_key, load_public_key
from chordkit.signing import is_valid


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    generate_key_pair(private, public)
    return private, public


def test_a_signature_by_the_private_file_is_accepted_by_the_public_one(pair: tuple[Path, Path]) -> None:
    signature = load_private_key(pair[0]).sign(b"message")
    key = load_public_key(pair[1])
    assert is_valid(key, signature, b"message")
    assert not is_valid(key, signature, b"massage")
    assert not is_valid(key, signature[:-1], b"message")
    assert not is_valid(Ed25519PrivateKey.generate().public_key(), signature, b"message")


def test_the_private_file_is_for_its_owner_only(pair: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(pair[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(pair[1].stat().st_mode) & 0o444


def test_a_key_is_never_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = pair[0].read_bytes()
    for paths in ((pair[0], tmp_path / "new.pem"), (tmp_path / "new.pem", pair[1])):
        with pytest.raises(InputError, match="never overwritten"):
            generate_key_pair(*paths)
    assert pair[0].read_bytes() == before
    assert not (tmp_path / "new.pem").exists()


def test_keys_are_told_apart_by_their_identifier(pair: tuple[Path, Path]) -> None:
    identifier = key_id(load_public_key(pair[1]))
    assert identifier == key_id(load_private_key(pair[0]).public_key())
    assert len(identifier) == 16
    assert identifier != key_id(Ed25519PrivateKey.generate().public_key())


def test_what_is_not_the_right_key_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = pair
    other = tmp_path / "other.pem"
    with pytest.raises(InputError, match="no such private key"):
        load_private_key(tmp_path / "gone")
    with pytest.raises(InputError, match="no such public key"):
        load_public_key(tmp_path / "gone")
    with pytest.raises(InputError, match="this is a private key"):
        load_public_key(private)
    with pytest.raises(InputError, match="not a PEM private key"):
        load_private_key(public)
    other.write_bytes(b"\xff\xfe not a key")
    with pytest.raises(InputError, match="not a PEM private key"):
        load_private_key(other)
    with pytest.raises(InputError, match="not a PEM public key"):
        load_public_key(other)
    key = load_private_key(private)
    secret = serialization.BestAvailableEncryption(b"secret")
    other.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    with pytest.raises(InputError, match="encrypted"):
        load_private_key(other)
    curve = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    other.write_bytes(curve.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    with pytest.raises(InputError, match="key of another kind"):
        load_private_key(other)
    other.write_bytes(curve.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="key of another kind"):
        load_public_key(other)


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
def test_openssl_makes_keys_for_us_and_accepts_our_signatures(tmp_path: Path) -> None:
    private, public, message, signature = (tmp_path / name for name in ("private.pem", "public.pem", "message", "signature"))
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    message.write_bytes(b"manifest")
    signature.write_bytes(load_private_key(private).sign(b"manifest"))
    assert is_valid(load_public_key(public), signature.read_bytes(), b"manifest")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", message, "-sigfile", signature]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
