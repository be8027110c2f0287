"""Envelopes in C: the golden vectors, every change, and the same answer as Python to whatever comes."""

import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import EnvelopeError
from chordkit.signing import key_id
from chordkit.strategy import Strategy, encode, open_envelope, seal

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "2"))
FINGERPRINT = bytes(range(8))
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2, 3)]
ACCEPTED = [key.public_key() for key in KEYS[:2]]
STRATEGY = encode(Strategy(np.full(9, 4, np.uint8), FINGERPRINT))
NOW = 1_800_000_000
STATUS_OF = {
    "length": {"DAMAGED"}, "magic": {"DAMAGED"}, "version": {"TOO_NEW"}, "reserved": {"TOO_NEW"}, "key": {"UNKNOWN_KEY"},
    "signature": {"BAD_SIGNATURE"}, "serial": {"OLDER", "DAMAGED"}, "times": {"NOT_NOW", "DAMAGED"}, "subject": {"NOT_FOR_THIS", "DAMAGED"},
    "payload": {"DAMAGED"}, "fingerprint": {"NOT_FOR_THIS"},
}  # fmt: skip

pytestmark = pytest.mark.checkout


def _golden_terms(vectors: dict, case: dict) -> dict[str, Any]:
    terms = vectors["terms"] | case["terms"]
    return terms | {name: None if terms[name] is None else bytes.fromhex(terms[name]) for name in ("fingerprint", "subject")}


def test_golden_envelopes_are_opened_and_refused_by_the_check_named(verifier, golden: Callable) -> None:
    vectors = golden("envelope")
    keys = [bytes.fromhex(key) for key in vectors["keys"]]
    for case in vectors["accepted"]:
        verdict = verifier.envelope(bytes.fromhex(case["bytes"]), keys, **_golden_terms(vectors, case))
        found = {name: verdict.found[name] for name in case["found"]}
        assert found | {name: found[name].hex() for name in ("payload", "subject")} == case["found"], case["case"]
    for case in vectors["refused"]:
        verdict = verifier.envelope(bytes.fromhex(case["bytes"]), keys, **_golden_terms(vectors, case))
        assert verdict.sentence.startswith(f"envelope: {case['check']}: "), case["case"]
        assert verdict.status in STATUS_OF[case["check"]]


def test_every_single_bit_flip_and_every_truncation_is_refused(verifier) -> None:
    data = seal(STRATEGY, serial=7, signing_key=KEYS[0], subject=b"user")
    assert verifier.envelope(data, ACCEPTED, now=NOW).accepted
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not verifier.envelope(bytes(flipped), ACCEPTED, now=NOW).accepted
    assert not any(verifier.envelope(data[:length], ACCEPTED, now=NOW).accepted for length in range(len(data)))


def test_without_a_verifier_or_a_key_the_answer_is_a_refusal(verifier) -> None:
    data = seal(STRATEGY, serial=7, signing_key=KEYS[0])
    assert verifier.envelope(data, ACCEPTED, arithmetic=0).status == "NO_VERIFIER"
    assert verifier.envelope(data, []).status == "BAD_ARGUMENT"


def _python(data: bytes, terms: dict[str, Any]) -> tuple[str, Any]:
    """The check that refuses, or "" and what was found."""
    try:
        opened = open_envelope(data, ACCEPTED, **terms)
    except EnvelopeError as error:
        return str(error).split(": ")[1], None
    return "", {name: getattr(opened, name) for name in ("serial", "subject", "payload", "not_before", "expires", "latest_seen", "key")}


def _mutant(rng: random.Random) -> bytes:
    number = lambda: rng.choice([0, 1, 2, NOW, NOW + 1, 2**53 - 1, 2**53, 2**64 - 1, rng.getrandbits(64), rng.randrange(10)])  # noqa: E731
    key = rng.choice(KEYS)
    subject = rng.randbytes(rng.choice([0, 0, 1, 4, 23, 24]))
    length = len(subject) if rng.random() < 0.9 else rng.randrange(256)
    head = rng.choice([b"CHRE"] * 15 + [b"CHRD"]) + bytes([rng.choice([1] * 15 + [2]), length])
    head += rng.choice([b"\0\0"] * 15 + [b"\0\1"])
    numbers = [rng.randint(1, 9), 0, 0] if rng.random() < 0.4 else [number() for _ in range(3)]
    identifier = bytes.fromhex(key_id((key if rng.random() < 0.95 else rng.choice(KEYS)).public_key()))
    payload = STRATEGY if rng.random() < 0.8 else rng.choice([b"", STRATEGY[:15], STRATEGY[:16], b"CHRU" + STRATEGY[4:], rng.randbytes(40)])
    body = head + b"".join(value.to_bytes(8, "little") for value in numbers) + identifier + subject + payload
    data = body + key.sign(body)
    if rng.random() < 0.2:
        position = rng.randrange(len(data))
        data = data[:position] + rng.randbytes(rng.choice([0, 1, 1, 2])) + data[position + 1 :]
    return data


def test_c_and_python_give_the_same_answer_to_whatever_comes(verifier) -> None:
    rng, answers, end = random.Random(5), set(), time.monotonic() + SECONDS
    runs = 0
    while time.monotonic() < end or runs < 500:
        data, runs = _mutant(rng), runs + 1
        terms = {
            "fingerprint": rng.choice([None, FINGERPRINT, FINGERPRINT, bytes(8)]),
            "subject": rng.choice([None, None, data[40 : 40 + data[5]] if len(data) > 5 else b"", b"", b"user"]),
            "minimum_serial": rng.choice([1, 1, 5, 2**53 - 1]),
            "now": rng.choice([None, NOW, NOW, 1]),
            "latest_seen": rng.choice([0, 0, NOW, NOW + 1]),
            "revoked": rng.choice([[], [], [key_id(ACCEPTED[0])]]),
        }
        check, found = _python(data, terms)
        verdict = verifier.envelope(data, ACCEPTED, **terms)
        assert verdict.accepted is (check == ""), (data.hex(), terms, check, verdict)
        if check:
            assert verdict.sentence.startswith(f"envelope: {check}: "), (data.hex(), terms, check, verdict)
        else:
            assert {name: verdict.found[name] for name in found} == found
        answers.add(check)
    print(f"{runs} envelopes, the same answer from C and Python")
    assert answers >= {"", "key", "signature", "serial", "times", "subject", "fingerprint"}
