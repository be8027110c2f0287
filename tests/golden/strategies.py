"""Golden vectors: strategies and user vectors on the wire."""

from functools import partial
from typing import Any

import numpy as np

from chordkit.strategy import Strategy, UserVector, encode, encode_user_vector
from tests.golden.common import FINGERPRINT, replaced, sealed


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
        return sealed(bytes(body))

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

    changed = partial(replaced, good)
    refused = {
        "header": ("length", good[:27]),
        "magic": ("magic", changed(0, b"CHRD")),
        "version": ("version", changed(4, b"\2")),
        "byte 5": ("reserved", changed(5, b"\1")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "fingerprint": ("fingerprint", changed(15, b"\0")),
        "dim": ("dim", changed(16, b"\6")),
        "length": ("length", sealed(good[:-4] + b"\0")),
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
