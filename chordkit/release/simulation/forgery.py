"""What somebody serves who has keys of their own, or has stolen some: a channel's folder with metadata made anew.

The forger knows the format as well as the channel does, and writes it in the same one spelling; only the keys tell them apart.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.release.simulation.mirrors import TIMESTAMP, Folder
from chordkit.signing import raw_key

AHEAD = 1000
"""How far ahead of the channel's the forger's versions are."""
_SALT = "5a" * 16

Document = dict[str, Any]


def canonical(value: Any) -> bytes:
    """The one spelling of metadata, for values of ASCII text without escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def latest(folder: Folder, role: str) -> Document:
    """What is signed in the newest metadata of a role."""
    path = TIMESTAMP if role == "timestamp" else f"metadata/{newest(folder, role)}.{role}.json"
    signed: Document = json.loads(folder[path])["signed"]
    return signed


def newest(folder: Folder, role: str) -> int:
    """The highest version of a role that the folder has."""
    found = (re.fullmatch(rf"metadata/(\d+)\.{role}\.json", path) for path in folder)
    return max(int(match[1]) for match in found if match)


def forge(
    folder: Folder, keys: Mapping[str, Ed25519PrivateKey], bundle: bytes, counter: int, fingerprint: str, expires: str
) -> dict[str, bytes]:
    """The folder with one more release, for everybody, in versions far ahead, signed with ``keys``.

    Args:
        folder: of the true channel.
        keys: by role; without one for "root" the channel's own root is served, with one there is a new root that names ``keys``.
        bundle: what the release brings.
        counter: as the release tells it.
        fingerprint: of its backbone.
        expires: of all that is signed here.
    """
    made = dict(folder)
    digest = hashlib.sha256(bundle).hexdigest()
    made[f"targets/{digest}.forged.chord"] = bundle
    if "root" in keys:
        root = latest(folder, "root")
        root["version"] += 1
        root["expires"] = expires
        root["keys"] = {_key_id(key): _public(key) for key in keys.values()}
        root["roles"] = {role: {"keyids": [_key_id(keys[role])], "threshold": 1} for role in root["roles"]}
        made[f"metadata/{root['version']}.root.json"] = _signed(root, keys["root"], {})
    targets = latest(folder, "targets")
    targets["targets"]["forged.chord"] = {
        "length": len(bundle),
        "hashes": {"sha256": digest},
        "custom": {
            "chordkit": {
                "release": AHEAD,
                "counter": counter,
                "fingerprint": fingerprint,
                "bundle": digest,
                "stage": {"salt": _SALT, "basis_points": 10_000},
            }
        },
    }
    known = {key["keyval"]["public"]: name for name, key in latest(folder, "root")["keys"].items()}
    told = None
    for role in ("targets", "snapshot", "timestamp"):
        signed = targets if role == "targets" else latest(folder, role)
        signed["version"] += AHEAD
        signed["expires"] = expires
        if told is not None:
            signed["meta"] = told
        data = _signed(signed, keys[role], known)
        made[TIMESTAMP if role == "timestamp" else f"metadata/{signed['version']}.{role}.json"] = data
        told = {f"{role}.json": _told(signed, data)}
    return made


def _told(signed: Document, data: bytes) -> Document:
    return {"version": signed["version"], "length": len(data), "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}


def _public(key: Ed25519PrivateKey) -> Document:
    return {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw_key(key.public_key()).hex()}}


def _key_id(key: Ed25519PrivateKey) -> str:
    return hashlib.sha256(canonical(_public(key))).hexdigest()


def _signed(signed: Document, key: Ed25519PrivateKey, known: Mapping[str, str]) -> bytes:
    """``known``: what the channel's root calls a public key."""
    name = known.get(raw_key(key.public_key()).hex(), _key_id(key))
    signature = {"keyid": name, "sig": key.sign(canonical(signed)).hex()}
    return canonical({"signatures": [signature], "signed": signed})
