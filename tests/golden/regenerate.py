"""Write the golden vectors: ``python tests/golden/regenerate.py``. Do so only when a format changes its version.

Numbers are plain JSON; bytes, and the long rows of int8 codes in derivation.json, are hexadecimal, so that C, Kotlin and
Python read the same files.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

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
from chordkit.strategy import Budget, Strategy, UserVector, allocate, encode, encode_user_vector

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


VECTORS = {
    "derivation": derivation,
    "packing": packing,
    "strategy": strategies,
    "user_vector": user_vectors,
    "master": master,
    "allocation": allocations,
}


def as_json(value: Any) -> Any:
    """``value`` as a reader of the file sees it."""
    return json.loads(json.dumps(value))


if __name__ == "__main__":
    for name, make in VECTORS.items():
        write_json(FOLDER / f"{name}.json", make())
