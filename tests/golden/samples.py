"""Golden vectors: samples of others on the wire."""

import zlib
from functools import partial
from typing import Any

import numpy as np

from chordkit.coda.samples import Segments, encode_samples
from tests.golden.common import FINGERPRINT, replaced, sealed, stored

# What zlib 1.2.13 made of the payload of the last of the accepted samples; other versions may pack it otherwise, and all must read this.
_DEFLATED = (
    "8b8a8a5ab10a0e9c26a97842118b1202cc65646466666461022146662066610463266620660121a0340491a1881526cf069666616761666106725898"
    "589980082cce824f9881998d9357505452465e4955435bcfc8cccaced1c5ddcb3720383c3a2e31252d333b27afa0a8b4bcb2a6aea1a9b9b5bdb3a76f"
    "c2e4a9d367ce9ac3c4cac1232022212da7a8a2aea56b686a69ebe0ece6e9e31f1416159b909c9ac1c0c2c52f26ada0aaa96f62ede0eae51712199f9c"
    "9e9d5b5852515ddfd4d2d1dd3f69daccd9ccec7cc25272ca1a3ac616f6ce1ebe81113149a95939f9c56555b58dcd6d5dbd13a7cc98c5c8c62d242eab"
    "a8a66d606ee3e4e61d104a43378f02240000"
)


def coda_samples() -> dict[str, Any]:
    """Accepted samples with their segments, and refused ones with the check that refuses them."""
    long = [((np.arange(90) * step) % 400 + 1).tolist() for step in (7, 11, 7)]
    cases = [
        [],
        [([300, 300], [1])],
        [([7, 300, 7], [2]), ([5, 9], [1])],
        [([(1 << 30) - 1, 128, 127, 16384, 16383], [1, 4])],
        [(items, list(range(3 + row, 90, 2 + row))) for row, items in enumerate(long)],
    ]
    accepted = []
    for number, rows in enumerate(cases):
        marks = [np.isin(np.arange(len(items)), places) for items, places in rows]
        segments = Segments([np.array(items, np.int32) for items, _ in rows], marks)
        written = encode_samples(segments, FINGERPRINT)
        payload = zlib.decompress(written[24:-4], wbits=-15)
        data = sealed(written[:24] + (bytes.fromhex(_DEFLATED) if number == len(cases) - 1 else stored(payload)))
        pieces = [{"items": items, "samples": places} for items, places in rows]
        accepted.append({"segments": pieces, "payload": payload.hex(), "bytes": data.hex()})
    good, payload = bytes.fromhex(accepted[2]["bytes"]), bytes.fromhex(accepted[2]["payload"])

    changed = partial(replaced, good)

    def holding(offset: int, value: bytes) -> bytes:
        return sealed(good[:24] + stored(payload[:offset] + value + payload[offset + len(value) :]))

    refused = {
        "header": ("length", good[:27]),
        "magic": ("magic", changed(0, b"CHRD")),
        "version": ("version", changed(4, b"\2")),
        "byte 5": ("reserved", changed(5, b"\1")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "fingerprint": ("fingerprint", changed(15, b"\0")),
        "too many items": ("counts", changed(20, (16_385).to_bytes(4, "little"))),
        "fewer samples than segments": ("counts", changed(18, b"\1")),
        "more samples than can be": ("counts", changed(18, b"\4")),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "no stream": ("deflate", changed(24, b"\7")),
        "cut": ("deflate", sealed(good[:-5])),
        "something behind the stream": ("deflate", sealed(good[:-4] + b"\0")),
        "longer than any of its counts": ("deflate", sealed(good[:24] + stored(payload + bytes(60)))),
        "lengths": ("segments", holding(0, b"\2")),
        "a segment of one": ("segments", holding(0, b"\4\1")),
        "a number that could be shorter": ("segments", sealed(good[:24] + stored(b"\x83\0" + payload[1:]))),
        "a sample with nothing before it": ("marks", holding(2, b"\x15")),
        "a segment without a sample": ("marks", holding(2, b"\6")),
        "a pad bit": ("marks", holding(2, b"\x34")),
        "more ids than items": ("table", holding(3, b"\6")),
        "an id twice": ("table", holding(5, b"\0")),
        "an id above the catalogue": ("table", holding(4, b"\6")),
        "no id of the table": ("items", holding(9, b"\4")),
        "an id that nothing uses": ("items", holding(13, b"\0")),
        "something behind the items": ("items", sealed(good[:24] + stored(payload + b"\0"))),
    }
    return {
        "fingerprint": FINGERPRINT.hex(),
        "accepted": accepted,
        "refused": {
            "items": 300,
            "cases": [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in refused.items()],
        },
    }
