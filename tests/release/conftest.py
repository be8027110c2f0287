"""Bundles under any counter, and a channel whose clock is in the test's hand."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.export.bundle import container

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle_v4.chord"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"of bundles").digest())
START = 1_800_000_000


class Clock:
    """Seconds since 1970, that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += round(days * 86_400)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def clock_at_start() -> Clock:
    """One for what is shared between tests."""
    return Clock()


@pytest.fixture(scope="session")
def bundle_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public key of those who make bundles."""
    path = tmp_path_factory.mktemp("keys") / "bundles.pub.pem"
    path.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A whole bundle with this counter, signed."""
    folder = tmp_path_factory.mktemp("bundles")

    def make(counter: int) -> Path:
        path = folder / f"shop-{counter}.chord"
        if not path.exists():
            with zipfile.ZipFile(GOLDEN) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            manifest = json.loads(members["manifest.json"])
            manifest["counter"] = counter
            manifest["signature"]["key"] = hashlib.sha256(KEY.public_key().public_bytes_raw()).hexdigest()[:16]
            data = (json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
            stream = io.BytesIO()
            container.write(stream, list({**members, "manifest.json": data, "manifest.sig": KEY.sign(data)}.items()))
            path.write_bytes(stream.getvalue())
        return path

    return make
