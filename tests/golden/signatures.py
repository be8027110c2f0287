"""Golden vectors: Ed25519: which signatures are valid."""

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.signing import raw_key
from tests.golden.common import FOLDER

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
