"""What several golden vectors are made with."""

import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent
FINGERPRINT = bytes(range(0xA0, 0xA8))


def replaced(good: bytes, offset: int, value: bytes) -> bytes:
    """``good`` with other bytes at ``offset``, and the CRC-32 that fits."""
    return sealed(good[:offset] + value + good[offset + len(value) : -4])


def sealed(body: bytes) -> bytes:
    """``body`` with the CRC-32 that ends every small file."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def stored(payload: bytes) -> bytes:
    """A deflate stream of one block that is not compressed: the same whichever library would compress it."""
    return b"\x01" + struct.pack("<HH", len(payload), len(payload) ^ 0xFFFF) + payload
