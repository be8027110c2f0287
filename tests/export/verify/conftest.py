"""The C verifier in this process, with the arithmetic of Python's library, and the toy bundles of the folder above."""

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chordkit.kernels import build as libchord
from chordkit.signing import raw_key

VERIFY = libchord.LIBCHORD / "verify"
STATUSES = (
    "OK", "BAD_ARGUMENT", "NO_VERIFIER", "DAMAGED", "TOO_NEW", "UNSIGNED", "UNKNOWN_KEY", "BAD_SIGNATURE", "OLDER", "NOT_NOW",
    "NOT_FOR_THIS", "NO_MEMBER",
)  # fmt: skip
Arithmetic = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
u8, u32, u64, size, pointer = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p


class _Struct(ctypes.Structure):
    def __init__(self, **values: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(type(self)), **values)


class Diagnosis(_Struct):
    _fields_ = (("struct_size", u32), ("text", ctypes.c_char * 188))


class Trust(_Struct):
    _fields_ = (
        ("struct_size", u32), ("key_count", u32), ("keys", ctypes.c_char_p), ("revoked", ctypes.c_char_p), ("revoked_count", u32),
        ("reserved", u32), ("verify", pointer), ("context", pointer),
    )  # fmt: skip


class CBundle(_Struct):
    _fields_ = (
        ("struct_size", u32), ("format_version", u32), ("counter", u64), ("fingerprint", u8 * 8), ("key_id", u8 * 8), ("members", u32),
        ("reserved", u32), ("data", pointer), ("bytes", size),
    )  # fmt: skip


class Member(_Struct):
    _fields_ = (("struct_size", u32), ("name_bytes", u32), ("name", pointer), ("data", pointer), ("bytes", size))


class Terms(_Struct):
    _fields_ = (
        ("struct_size", u32), ("subject_bytes", u32), ("subject", ctypes.c_char_p), ("fingerprint", ctypes.c_char_p),
        ("minimum_serial", u64), ("now", u64), ("latest_seen", u64),
    )  # fmt: skip


class CEnvelope(_Struct):
    _fields_ = (
        ("struct_size", u32), ("subject_bytes", u32), ("subject", pointer), ("payload", pointer), ("payload_bytes", size), ("serial", u64),
        ("not_before", u64), ("expires", u64), ("latest_seen", u64), ("fingerprint", u8 * 8), ("key_id", u8 * 8),
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What C answered: the status' name, the sentence, and on success what was found."""

    status: str
    sentence: str
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.status == "OK"


@Arithmetic
def by_cryptography(context: int, key: int, signature: int, message: int, count: int) -> int:
    """What an adapter does, with the library that Python uses."""
    try:
        Ed25519PublicKey.from_public_bytes(ctypes.string_at(key, 32)).verify(
            ctypes.string_at(signature, 64), ctypes.string_at(message, count)
        )
    except InvalidSignature:
        return 0
    return 1


@Arithmetic
def forgiving_arithmetic(context: int, key: int, signature: int, message: int, count: int) -> int:
    """Of a library that accepts everything."""
    return 1


class Verifier:
    """``chord_verify.h`` for tests."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.arithmetic: Any = by_cryptography

    def is_valid(self, key: bytes, signature: bytes, message: bytes, arithmetic: Any = None) -> bool:
        call = self.library.chord_signature_valid
        call.argtypes = (pointer, pointer, ctypes.c_char_p, ctypes.c_char_p, size, ctypes.c_char_p, size)
        chosen = ctypes.cast(self.arithmetic if arithmetic is None else arithmetic, pointer)
        return bool(call(chosen, None, key, signature, len(signature), message, len(message)))

    def trust(self, keys: Sequence[Ed25519PublicKey | bytes], revoked: Sequence[str] = (), arithmetic: Any = None) -> Trust:
        raw = b"".join(key if isinstance(key, bytes) else raw_key(key) for key in keys)
        chosen = self.arithmetic if arithmetic is None else arithmetic
        return Trust(
            key_count=len(keys), keys=raw, revoked=b"".join(map(bytes.fromhex, revoked)), revoked_count=len(revoked),
            verify=ctypes.cast(chosen, pointer) if chosen else None,
        )  # fmt: skip

    def bundle(self, data: bytes, keys: Sequence[Any], revoked: Sequence[str] = (), minimum: int = 0, arithmetic: Any = None) -> Verdict:
        trust, found, diagnosis = self.trust(keys, revoked, arithmetic), CBundle(), Diagnosis()
        copy = ctypes.create_string_buffer(data, len(data))
        status = self.library.chord_bundle_open(
            copy, size(len(data)), ctypes.byref(trust), u64(minimum), ctypes.byref(found), ctypes.byref(diagnosis)
        )
        if status != 0:
            return Verdict(STATUSES[status], diagnosis.text.decode())
        members = {}
        for index in range(found.members):
            member = Member()
            assert self.library.chord_bundle_member_at(ctypes.byref(found), index, ctypes.byref(member), None) == 0
            name = ctypes.string_at(member.name, member.name_bytes)
            again = Member()
            assert self.library.chord_bundle_member(ctypes.byref(found), name, ctypes.byref(again), None) == 0
            assert again.data == member.data and (member.data - ctypes.addressof(copy)) % 64 == 0
            members[name.decode()] = ctypes.string_at(member.data, member.bytes)
        for call, wanted in (("chord_bundle_member", b"no such member"), ("chord_bundle_member_at", found.members)):
            assert STATUSES[getattr(self.library, call)(ctypes.byref(found), wanted, ctypes.byref(Member()), None)] == "NO_MEMBER"
        values = {"fingerprint": bytes(found.fingerprint).hex(), "key": bytes(found.key_id).hex(), "members": members}
        return Verdict("OK", "", values | {"format_version": found.format_version, "counter": found.counter})

    def envelope(
        self, data: bytes, keys: Sequence[Any], *, revoked: Sequence[str] = (), fingerprint: bytes | None = None,
        subject: bytes | None = None, minimum_serial: int = 1, now: int | None = None, latest_seen: int = 0, arithmetic: Any = None,
    ) -> Verdict:  # fmt: skip
        trust, found, diagnosis = self.trust(keys, revoked, arithmetic), CEnvelope(), Diagnosis()
        terms = Terms(
            subject_bytes=len(subject or b""), subject=subject, fingerprint=fingerprint, minimum_serial=minimum_serial, now=now or 0,
            latest_seen=latest_seen,
        )  # fmt: skip
        copy = ctypes.create_string_buffer(data, len(data))
        status = self.library.chord_envelope_open(
            copy, size(len(data)), ctypes.byref(trust), ctypes.byref(terms), ctypes.byref(found), ctypes.byref(diagnosis)
        )
        if status != 0:
            return Verdict(STATUSES[status], diagnosis.text.decode())
        values = {name: getattr(found, name) for name in ("serial", "not_before", "expires", "latest_seen")}
        values |= {"subject": ctypes.string_at(found.subject, found.subject_bytes), "key": bytes(found.key_id).hex()}
        values |= {"payload": ctypes.string_at(found.payload, found.payload_bytes), "fingerprint": bytes(found.fingerprint)}
        return Verdict("OK", "", values)


def sources() -> list[Path]:
    """What ``verify/sources.txt`` lists."""
    patterns = [line for line in (VERIFY / "sources.txt").read_text().splitlines() if line and not line.startswith("#")]
    return [path for pattern in patterns for path in sorted(libchord.LIBCHORD.glob(pattern))]


@pytest.fixture(scope="session")
def verifier_sources() -> list[Path]:
    return sources()


@pytest.fixture(scope="session")
def compile_verifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds the verifier and what is given besides; skips where there is no C compiler or no such library."""
    compiler = next((path for name in ("gcc", "clang-19", "clang", "cc") if (path := shutil.which(name))), None)
    folder = tmp_path_factory.mktemp("verifier")

    def build(name: str, *arguments: object, needs: str = "") -> Path:
        if compiler is None:
            pytest.skip("there is no C compiler")
        if (
            needs
            and subprocess.run([compiler, "-E", "-x", "c", "-"], input=f"#include <{needs}>", capture_output=True, text=True).returncode
        ):
            pytest.skip(f"{needs} is not installed: `make system-test` names its package")
        strict = ("-Wconversion", "-Wshadow", "-Werror", "-O1", "-fPIC")
        command = [compiler, *libchord.flags(), *strict, *map(str, sources()), *map(str, arguments), "-o", str(folder / name)]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        return folder / name

    return build


@pytest.fixture(scope="session")
def verifier(compile_verifier: Callable[..., Path]) -> Verifier:
    return Verifier(ctypes.CDLL(str(compile_verifier("libchord_verify.so", "-shared"))))


@pytest.fixture(scope="session")
def forgiving() -> Any:
    return forgiving_arithmetic


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Any]]:
    """A file of golden vectors."""
    folder = Path(__file__).parents[2] / "golden"
    return lambda name: json.loads((folder / f"{name}.json").read_text())
