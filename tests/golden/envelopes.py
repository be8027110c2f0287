"""Golden vectors: signed envelopes."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.signing import key_id, raw_key
from chordkit.strategy import seal
from tests.golden.common import FINGERPRINT, FOLDER
from tests.golden.signatures import ORDER
from tests.golden.strategies import strategies, user_vectors


def envelopes() -> dict[str, Any]:
    """Accepted envelopes and what is in them; refused ones with the check that refuses them. Terms of a case go before those of all."""
    rfc8032 = json.loads((FOLDER / "ed25519.json").read_text())["rfc8032"]
    first, second, stranger = (Ed25519PrivateKey.from_private_bytes(bytes.fromhex(rfc8032[i]["secret"])) for i in range(3))
    strategy = bytes.fromhex(strategies()["accepted"][1]["bytes"])
    vector = bytes.fromhex(user_vectors()["accepted"][1]["bytes"])
    now, subject = 1_800_000_000, b"user-42"
    accepted = []
    for case, key, payload, values, terms in [
        ("a strategy", first, strategy, {"serial": 5, "subject": subject}, {}),
        ("a user vector", second, vector, {"serial": 5, "subject": subject, "not_before": now, "expires": now + 1}, {}),
        ("for anybody", first, strategy, {"serial": 1}, {"subject": None, "minimum_serial": 1}),
        ("for nobody", first, strategy, {"serial": 9}, {"subject": ""}),
        ("the largest", first, strategy, {"serial": 2**53 - 1, "subject": bytes(range(24)), "not_before": 1, "expires": 2**53 - 1},
         {"subject": bytes(range(24)).hex(), "minimum_serial": 2**53 - 1}),
        ("without a clock", first, strategy, {"serial": 5, "subject": subject}, {"now": None}),
        ("any backbone", first, strategy, {"serial": 5, "subject": subject}, {"fingerprint": None}),
    ]:  # fmt: skip
        data = seal(payload, signing_key=key, **values)
        found = {"key": key_id(key.public_key()), "payload": payload.hex(), **{"not_before": 0, "expires": 0, "subject": b""}, **values}
        accepted.append({"case": case, "bytes": data.hex(), "terms": terms, "found": found | {"subject": found["subject"].hex()}})

    def sealed(**values: Any) -> bytes:
        return seal(strategy, **{"serial": 5, "subject": subject, "signing_key": first} | values)

    good = sealed()

    def changed(offset: int, value: bytes, signed: bool = True) -> bytes:
        body = good[:offset] + value + good[offset + len(value) : -64]
        return body + (first.sign(body) if signed else good[-64:])

    short = good[:40] + subject + strategy[:15]
    refused: list[tuple[str, str, bytes, dict[str, Any]]] = [
        ("nothing", "length", b"", {}),
        ("119 bytes", "length", good[:119], {}),
        ("no room for a subject and a payload", "length", short + first.sign(short), {}),
        ("magic", "magic", changed(0, b"CHRD"), {}),
        ("version", "version", changed(4, b"\2"), {}),
        ("a long subject", "subject", changed(5, b"\x19"), {}),
        ("reserved", "reserved", changed(7, b"\1"), {}),
        ("a stranger", "key", sealed(signing_key=stranger), {}),
        ("a revoked key", "key", good, {"revoked": [key_id(first.public_key())]}),
        ("another key's identifier", "signature", changed(32, bytes.fromhex(key_id(second.public_key()))), {}),
        ("a changed payload", "signature", changed(60, b"\xff", signed=False), {}),
        ("a changed serial", "signature", changed(8, b"\6", signed=False), {}),
        ("a second spelling of the signature", "signature",
         good[:-32] + (int.from_bytes(good[-32:], "little") + ORDER).to_bytes(32, "little"), {}),
        ("cut", "signature", good[:-1], {}),
        ("something behind", "signature", good + b"\0", {}),
        ("serial 0", "serial", changed(8, bytes(8)), {}),
        ("serial 2^53", "serial", changed(8, (2**53).to_bytes(8, "little")), {}),
        ("serial 2^64 - 1", "serial", changed(8, b"\xff" * 8), {}),
        ("an older serial", "serial", good, {"minimum_serial": 6}),
        ("not before 2^53", "times", changed(16, (2**53).to_bytes(8, "little")), {}),
        ("expires 2^53", "times", changed(24, (2**53).to_bytes(8, "little")), {}),
        ("expires when it begins", "times", changed(16, (7).to_bytes(8, "little") * 2), {}),
        ("too early", "times", sealed(not_before=now + 1), {}),
        ("expired", "times", sealed(expires=now), {}),
        ("expired, by a clock that went back", "times", sealed(expires=now), {"now": now - 1000, "latest_seen": now}),
        ("times without a clock", "times", sealed(expires=now + 9), {"now": None}),
        ("a beginning without a clock", "times", sealed(not_before=1), {"now": None}),
        ("another subject", "subject", good, {"subject": b"user-43".hex()}),
        ("a longer subject", "subject", good, {"subject": b"user-421".hex()}),
        ("a subject where none is wanted", "subject", good, {"subject": ""}),
        ("no strategy", "payload", changed(40 + len(subject), b"CHRM"), {}),
        ("another backbone", "fingerprint", changed(40 + len(subject) + 15, b"\0"), {}),
    ]  # fmt: skip
    return {
        "keys": [raw_key(first.public_key()).hex(), raw_key(second.public_key()).hex()],
        "terms": {
            "fingerprint": FINGERPRINT.hex(),
            "subject": subject.hex(),
            "minimum_serial": 5,
            "now": now,
            "latest_seen": 0,
            "revoked": [],
        },
        "accepted": accepted,
        "refused": [{"case": case, "check": check, "bytes": data.hex(), "terms": terms} for case, check, data, terms in refused],
    }
