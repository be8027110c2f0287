"""How the golden vectors of a release channel are made: files of metadata from plain objects, by keys that anybody can compute."""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.signing import raw_key

NOW = 1_800_000_000
DAY = 86_400
FINGERPRINT = "46afccc803a06ae9"
SALT = "5a" * 16
KEYS = {"root": ["r1", "r2", "r3"], "targets": ["t1"], "snapshot": ["s1"], "timestamp": ["m1"]}
THRESHOLDS = {"root": 2, "targets": 1, "snapshot": 1, "timestamp": 1}
EXPIRES = {"root": NOW + 300 * DAY, "targets": NOW + 60 * DAY, "snapshot": NOW + 5 * DAY, "timestamp": NOW + DAY}

Signed = dict[str, Any]
Change = Callable[[Signed], Any]


def canonical(value: Any) -> bytes:
    """The one spelling, which for printable ASCII is this one of Python's."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def private(name: str) -> Ed25519PrivateKey:
    """The key of this name; one in capitals is that of the name in small letters."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"chordkit golden {name.lower()}".encode()).digest())


def public(name: str) -> dict[str, Any]:
    """As it stands in a root."""
    value = {"keytype": "ed25519", "keyval": {"public": raw_key(private(name).public_key()).hex()}, "scheme": "ed25519"}
    return value if name.islower() else value | {"note": "the same key under another identifier"}


def key_identifier(name: str) -> str:
    """SHA-256 of what stands in a root."""
    return hashlib.sha256(canonical(public(name))).hexdigest()


def iso(seconds: int) -> str:
    """A time as metadata writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signature(name: str, payload: bytes, identifier: str | None = None) -> dict[str, str]:
    """One element of ``signatures``."""
    return {"keyid": identifier or key_identifier(name), "sig": private(name).sign(payload).hex()}


def seal(signed: Signed, names: Sequence[str]) -> bytes:
    """The file of ``signed``, signed by these keys."""
    payload = canonical(signed)
    return canonical({"signatures": [signature(name, payload) for name in names], "signed": signed})


def begun(role: str, version: int, expires: int | None = None, **fields: Any) -> Signed:
    """What every role has, and ``fields``."""
    common = {"_type": role, "spec_version": "1.0.31", "version": version, "expires": iso(EXPIRES[role] if expires is None else expires)}
    return common | fields


def root(
    version: int = 1,
    keys: dict[str, list[str]] | None = None,
    thresholds: dict[str, int] | None = None,
    signers: Sequence[str] | None = None,
    expires: int | None = None,
    change: Change | None = None,
) -> bytes:
    """A root in which ``keys`` and ``thresholds`` differ from the usual ones; signed by its own root keys unless ``signers`` are given."""
    named, least = KEYS | (keys or {}), THRESHOLDS | (thresholds or {})
    signed = begun(
        "root",
        version,
        expires,
        consistent_snapshot=True,
        keys={key_identifier(name): public(name) for names in named.values() for name in names},
        roles={role: {"keyids": [key_identifier(name) for name in names], "threshold": least[role]} for role, names in named.items()},
    )
    if change is not None:
        change(signed)
    return seal(signed, named["root"] if signers is None else signers)


def meta(version: int, data: bytes) -> dict[str, Any]:
    """How a file is named by the one above it."""
    return {"version": version, "length": len(data), "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}


def bundle(number: int) -> bytes:
    """What stands for a bundle here."""
    return f"the bundle of release {number}".encode()


def release(number: int, basis_points: int = 10_000, content: bytes | None = None, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A target and its name; ``fields`` go into what chordkit says of it."""
    data = bundle(number) if content is None else content
    digest = hashlib.sha256(data).hexdigest()
    said = {"release": number, "counter": number, "fingerprint": FINGERPRINT, "bundle": digest}
    said |= {"stage": {"salt": SALT, "basis_points": basis_points}} | fields
    return f"shop-{number}.chord", {"length": len(data), "hashes": {"sha256": digest}, "custom": {"chordkit": said}}


class Mirror:
    """What a mirror serves: consistent, but for what its maker is told to change.

    Args:
        roots: the files, version 1 first.
        releases: the targets.
        versions: of targets, snapshot and timestamp.
        expires: where they differ from the usual ones.
        change: by role, what is done to the content before it is signed.
        signers: by role, whose keys sign.
        spell: by role, what is done to the file after it was signed; what is above it names the result.
        swap: by role, what is done to the file after everything above it was made.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        releases: Sequence[tuple[str, dict[str, Any]]] = (release(11), release(12, 2_500)),
        versions: tuple[int, int, int] = (1, 1, 1),
        expires: dict[str, int] | None = None,
        change: dict[str, Change] | None = None,
        signers: dict[str, Sequence[str]] | None = None,
        spell: dict[str, Callable[[bytes], bytes]] | None = None,
        swap: dict[str, Callable[[bytes], bytes | None]] | None = None,
    ) -> None:
        self.files = {f"metadata/{number}.root.json": data for number, data in enumerate(roots, 1)}
        self._expires, self._change, self._spell = expires or {}, change or {}, spell or {}
        self._signers = KEYS | (signers or {})
        below = self._made("targets", versions[0], targets=dict(releases))
        paths = {"targets": f"metadata/{versions[0]}.targets.json"}
        self.files[paths["targets"]] = below
        below = self._made("snapshot", versions[1], meta={"targets.json": meta(versions[0], below)})
        paths["snapshot"] = f"metadata/{versions[1]}.snapshot.json"
        self.files[paths["snapshot"]] = below
        paths["timestamp"] = "metadata/timestamp.json"
        self.files[paths["timestamp"]] = self._made("timestamp", versions[2], meta={"snapshot.json": meta(versions[1], below)})
        for role, swapped in (swap or {}).items():
            data = swapped(self.files.pop(paths[role]))
            if data is not None:
                self.files[paths[role]] = data

    def _made(self, role: str, version: int, **fields: Any) -> bytes:
        signed = begun(role, version, self._expires.get(role), **copy.deepcopy(fields))
        if role in self._change:
            self._change[role](signed)
        data = seal(signed, self._signers[role])
        return self._spell[role](data) if role in self._spell else data


class Cases:
    """The vectors as they grow: every file once, by a label."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.cases: list[dict[str, Any]] = []
        self._labels: dict[bytes, str] = {}

    def add(self, name: str, first_root: bytes, *steps: dict[str, Any]) -> None:
        """One case; a step's ``mirror`` is a :class:`Mirror` or a map from path to bytes."""
        written = []
        for step in steps:
            files = step["mirror"].files if isinstance(step["mirror"], Mirror) else step["mirror"]
            mirror = {path: self._label(path, data) for path, data in sorted(files.items())}
            written.append({"mirror": mirror, "now": NOW} | {key: value for key, value in step.items() if key != "mirror"})
        self.cases.append({"case": name, "root": self._label("1.root.json", first_root), "steps": written})

    def _label(self, path: str, data: bytes) -> str:
        if data not in self._labels:
            kind = next((role for role in ("root", "targets.json", "snapshot", "timestamp") if role in path), "bundle").removesuffix(
                ".json"
            )
            label = f"{kind} {1 + sum(known.split()[0] == kind for known in self.files)}"
            self._labels[data] = label
            self.files[label] = data.decode() if all(0x20 <= byte < 0x7F for byte in data) else f"hex:{data.hex()}"
        return self._labels[data]


def accepted(mirror: Any, versions: tuple[int, int, int, int] = (1, 1, 1, 1), **more: Any) -> dict[str, Any]:
    """A step after which root, targets, snapshot and timestamp have these versions."""
    named = dict(zip(("root", "targets", "snapshot", "timestamp"), versions, strict=True))
    return {"mirror": mirror, "accepted": named, "root_kept": versions[0]} | more


def refused(mirror: Any, role: str, check: str, root_kept: int = 1, **more: Any) -> dict[str, Any]:
    """A step in which the file of ``role`` does not pass ``check``."""
    return {"mirror": mirror, "refused": check, "role": role, "root_kept": root_kept} | more
