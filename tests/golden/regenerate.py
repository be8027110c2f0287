"""Write the golden vectors: ``python tests/golden/regenerate.py``. Do so only when a format changes its version.

Numbers are plain JSON; bytes, and the long rows of int8 codes in derivation.json, are hexadecimal, so that C, Kotlin and
Python read the same files.
"""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.files import write_json
from chordkit.quantization import (
    ChannelTable,
    MasterLayer,
    MasterWeights,
    QuantizedRows,
    QuantizedTable,
    derive_codes,
    pack_codes,
)
from chordkit.signing import key_id, raw_key
from chordkit.strategy import Budget, Strategy, UserVector, allocate, encode, encode_user_vector, seal

FOLDER = Path(__file__).parent
FINGERPRINT = bytes(range(0xA0, 0xA8))


def derivation() -> dict[str, Any]:
    """Every int8 code under ratios at the ends, on ties, and in between; packed too."""
    codes = np.arange(-127, 128, dtype=np.int8)
    ratios = [1, 129, 258, 516, 1806, 2341, 4681, 8192, 10923, 16384, 16513, 21845, 32766, 32767]
    rows = np.broadcast_to(codes, (len(ratios), len(codes)))
    both = np.array([ratios, ratios], np.int16)
    cases = []
    for width in (4, 2):
        derived = derive_codes(rows, both, width)
        packed = pack_codes(derived, width)
        for ratio, row, row_bytes in zip(ratios, derived, packed, strict=True):
            cases.append({"width": width, "ratio": ratio, "derived": row.tobytes().hex(), "packed": row_bytes.tobytes().hex()})
    return {"codes": codes.tobytes().hex(), "cases": cases}


def packing() -> dict[str, Any]:
    """Rows of 1 to 9 codes, so that every number of pad bits occurs."""
    cases = []
    for width in (2, 4, 8):
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        for count in range(1, 10):
            codes = [[(low + 5 * i + 3 * row) % (high - low + 1) + low for i in range(count)] for row in range(2)]
            cases.append({"width": width, "codes": codes, "packed": pack_codes(np.array(codes, np.int8), width).tobytes().hex()})
    return {"cases": cases}


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def strategies() -> dict[str, Any]:
    """Accepted strategies with their widths, and refused ones with the check that refuses them."""
    widths = np.array([2, 4, 8], np.uint8)
    full = widths[np.arange(768) * 7 % 11 % 3]
    accepted = []
    for chosen, allow_off in [(full, False), (full[:5], False), (np.array([0, 2, 4, 8, 0, 8], np.uint8), True), (full[:8], True)]:
        data = encode(Strategy(chosen, FINGERPRINT), allow_off=allow_off)
        accepted.append({"allow_off": allow_off, "widths": chosen.tolist(), "bytes": data.hex()})
    good = encode(Strategy(full[:5], FINGERPRINT))

    def changed(offset: int, value: int) -> bytes:
        body = bytearray(good[:-4])
        body[offset] = value
        return _sealed(bytes(body))

    refused = {
        "length": good[:20],
        "magic": changed(0, ord("X")),
        "version": changed(4, 2),
        "encoding": changed(5, 1),
        "flags": changed(6, 2),
        "fingerprint": changed(15, 0),
        "channel count": changed(16, 6),
        "CRC": good[:-1] + bytes([good[-1] ^ 1]),
        "code": changed(20, good[20] & 0xFC),
        "pad bits": changed(21, good[21] | 0x80),
    }
    return {
        "fingerprint": FINGERPRINT.hex(),
        "accepted": accepted,
        "refused": {"channels": 5, "cases": [{"check": check, "bytes": data.hex()} for check, data in refused.items()]},
    }


def user_vectors() -> dict[str, Any]:
    """Accepted user vectors with their numbers, and refused ones with the check that refuses them."""
    accepted = []
    for codes, scale in [
        (np.arange(64) * 37 % 255 - 127, 2.0**-7),
        (np.array([127, -127, 0, 1, -1]), 100.0),
        (np.zeros(5), 1.0),
        (np.array([-3]), 2.0**-149),
    ]:
        vector = UserVector(codes.astype(np.int8), scale, FINGERPRINT)
        accepted.append({"codes": vector.codes.tolist(), "scale": scale, "bytes": encode_user_vector(vector).hex()})
    good = bytes.fromhex(accepted[1]["bytes"])

    def changed(offset: int, value: bytes) -> bytes:
        return _sealed(good[:offset] + value + good[offset + len(value) : -4])

    refused = {
        "header": ("length", good[:27]),
        "magic": ("magic", changed(0, b"CHRD")),
        "version": ("version", changed(4, b"\2")),
        "byte 5": ("reserved", changed(5, b"\1")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "fingerprint": ("fingerprint", changed(15, b"\0")),
        "dim": ("dim", changed(16, b"\6")),
        "length": ("length", _sealed(good[:-4] + b"\0")),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "scale 0": ("scale", changed(20, bytes(4))),
        "scale below 0": ("scale", changed(20, np.float32(-1).tobytes())),
        "scale above 100": ("scale", changed(20, np.nextafter(np.float32(100), np.float32(101)).tobytes())),
        "scale infinite": ("scale", changed(20, np.float32(np.inf).tobytes())),
        "scale no number": ("scale", changed(20, np.float32(np.nan).tobytes())),
        "scale before code": ("scale", changed(20, bytes(4) + b"\x80")),
        "code": ("code", changed(28, b"\x80")),
    }
    return {
        "fingerprint": FINGERPRINT.hex(),
        "accepted": accepted,
        "refused": {"dim": 5, "cases": [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in refused.items()]},
    }


def small_master() -> MasterWeights:
    """Two layers, an int8 and an int4 table, all kinds of configuration; made of exact numbers only."""

    def rows(out: int, features: int, start: int) -> QuantizedRows:
        codes = ((np.arange(out * features) * 37 + start) % 255 - 127).astype(np.int8).reshape(out, features)
        scale = (np.arange(1, out + 1) / 128).astype(np.float32)
        ratios = np.array([[258 + 64 * i for i in range(out)], [1806 + 64 * i for i in range(out)]], np.int16)
        return QuantizedRows(codes, np.stack([scale * 64, scale * 16, scale]), ratios)

    table8 = QuantizedTable(((np.arange(20) * 53) % 255 - 127).astype(np.int8).reshape(5, 4), np.full(5, 0.25, np.float32), 8)
    table4 = QuantizedTable(((np.arange(15) * 4) % 15 - 7).astype(np.int8).reshape(5, 3), np.full(5, 0.5, np.float32), 4)
    return MasterWeights(
        config={"architecture": "example", "dim": 4, "norm_eps": 1e-5, "heights": (2, 3)},
        layers={
            "first": MasterLayer(rows(3, 4, 0), np.array([0.5, -1.0, 2.0], np.float32)),
            "blocks.0.second": MasterLayer(rows(2, 6, 91)),
        },
        embeddings={"item_embedding": table8, "small": table4},
        tensors={"norm.weight": np.array([1.0, 0.5, -0.25, 2.0], np.float32)},
    )


def master() -> dict[str, Any]:
    """A whole master file, and the first layer's weights at every width."""
    made = small_master()
    widths = [2, 4, 8, 0, 4]
    state = made.state_dict(np.array(widths, np.uint8))
    return {
        "bytes": made.to_bytes().hex(),
        "fingerprint": made.fingerprint.hex(),
        "channel_table": made.channel_table.to_json(),
        "widths": widths,
        "state_dict": {name: value.astype(np.float64).tolist() for name, value in state.items()},
    }


def allocations() -> dict[str, Any]:
    """Widths of two users on a table whose layers differ in size."""
    table = ChannelTable.from_sizes([("horizontal.0", 6, 8), ("horizontal.1", 6, 16), ("vertical", 2, 5), ("fc", 8, 20)])
    importance = np.stack([np.sin(np.arange(22) * 1.7), np.cos(np.arange(22) * 2.3)]).astype(np.float32).round(3)
    cases = []
    for average, shares, allow_off in [(3.0, None, False), (3.0, (0.7, 0.2, 0.1), False), (5.0, None, False), (1.5, None, True)]:
        widths = allocate(importance, table, Budget(average, shares), allow_off=allow_off)
        cases.append({"average_bits": average, "shares": shares, "allow_off": allow_off, "widths": widths.tolist()})
    return {"channel_table": table.to_json(), "importance": [[float(str(x)) for x in user] for user in importance], "cases": cases}


FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
EIGHTH = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")


def _scalar(secret: bytes) -> int:
    """RFC 8032, 5.1.5."""
    return (int.from_bytes(hashlib.sha512(secret).digest()[:32], "little") & ~7 & (1 << 255) - 1 | 1 << 254) % ORDER


def _challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER


def _point(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def _is_on_curve(y: int) -> bool:
    u, v = (y * y - 1) % FIELD, (-121665 * pow(121666, -1, FIELD) * y * y + 1) % FIELD
    return pow(u * v % FIELD, (FIELD - 1) // 2, FIELD) in (0, 1)


def ed25519() -> dict[str, Any]:
    """RFC 8032's tests (section 7.1; public facts, kept as they stand in the file), and what libraries forgive and we do not.

    A case of ours is made as sharply as can be: where the equation of a verification can hold, it does.
    """
    rfc8032 = json.loads((FOLDER / "ed25519.json").read_text())["rfc8032"]
    secret = bytes.fromhex(rfc8032[2]["secret"])
    private, a = Ed25519PrivateKey.from_private_bytes(secret), _scalar(secret)
    key, message = raw_key(private.public_key()), b"chordkit"
    signature = private.sign(message)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    cases: list[dict[str, Any]] = []

    def case(name: str, accept: bool, key: bytes, signature: bytes, message: bytes = message, strict: bool = False) -> None:
        """``strict``: refused by comparing bytes alone, before a library is asked."""
        fields = {"key": key.hex(), "signature": signature.hex(), "message": message.hex()}
        cases.append({"case": name, **fields, "accept": accept, "strict": strict})

    case("ours", True, key, signature)
    case("ours, no message", True, key, private.sign(b""), b"")
    for multiple in (1, 2, 14):
        case(f"S + {multiple} L", False, key, r + (s + multiple * ORDER).to_bytes(32, "little"), strict=True)
    case("S = L", False, key, r + ORDER.to_bytes(32, "little"), strict=True)
    for length in (0, 32, 63, 65):
        case(f"{length} bytes", False, key, (signature + b"\0")[:length], strict=True)
    for bit in (0, 254, 255, 256, 256 + 251, 511):
        flipped = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
        case(f"bit {bit} of the signature flipped", False, key, flipped, strict=bit == 511)
    for bit in (0, 100, 254, 255):
        case(f"bit {bit} of the key flipped", False, (int.from_bytes(key, "little") ^ 1 << bit).to_bytes(32, "little"), signature)
    case("another message", False, key, signature, b"chordkiT")
    case("another key", False, bytes.fromhex(rfc8032[0]["key"]), signature)
    case("zeros", False, key, bytes(64), strict=True)

    small = {"1": 1, "-1": FIELD - 1, "0": 0, "order 8": EIGHTH, "order 8, negative": FIELD - EIGHTH, "p": FIELD, "p + 1": FIELD + 1}
    for name, y in small.items():
        for sign in (0, 1):
            weak = _point(y, sign)
            # R = [a] B, S = a: holds where the challenge times the weak key vanishes, so a message is searched for which it does.
            counter = next(i for i in range(1000) if _challenge(key, weak, bytes([i // 256, i % 256])) % 8 == 0)
            fitting = bytes([counter // 256, counter % 256])
            case(f"key of small order: y = {name}, sign {sign}", False, weak, key + a.to_bytes(32, "little"), fitting, strict=True)
            # S = challenge x a: holds where R is the neutral point, and for its whole order where the equation is multiplied by 8.
            forged = weak + (_challenge(weak, key, message) * a % ORDER).to_bytes(32, "little")
            case(f"R of small order: y = {name}, sign {sign}", False, key, forged, strict=True)
    for y in (FIELD + 3, FIELD + 4, FIELD + 18):
        case(f"key with y = p + {y - FIELD}", False, _point(y), signature, strict=True)
        case(f"R with y = p + {y - FIELD}", False, key, _point(y) + signature[32:], strict=True)
    off = next(y for y in range(2, 100) if not _is_on_curve(y))
    case("a key that is no point", False, _point(off), signature)
    case("an R that is no point", False, key, _point(off) + signature[32:])
    return {"rfc8032": rfc8032, "cases": cases}


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


VECTORS = {
    "derivation": derivation,
    "packing": packing,
    "strategy": strategies,
    "user_vector": user_vectors,
    "master": master,
    "allocation": allocations,
    "ed25519": ed25519,
    "envelope": envelopes,
}


def as_json(value: Any) -> Any:
    """``value`` as a reader of the file sees it."""
    return json.loads(json.dumps(value))


if __name__ == "__main__":
    for name, make in VECTORS.items():
        write_json(FOLDER / f"{name}.json", make())
