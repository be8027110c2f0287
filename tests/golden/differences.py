"""Golden vectors: differences between files, and what they make."""

import hashlib
import struct
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from chordkit.export.bundle.delta.coding import encode
from chordkit.export.bundle.delta.format import Coding, Difference, Kind, Segment
from tests.golden.common import replaced, sealed, stored

WAYS = [Coding(word, bits) for word in (1, 2, 4) for bits in (2, 4, 8)]
_BASE = bytes((7 * place + place // 16) % 256 for place in range(96))
_TABLE = 92
# What zlib 1.2.13 made of the differences of the case "many blocks"; other versions may pack them otherwise, and all must read this.
_DEFLATED = (
    "eddb01110000040430fda37c4a3138b61e4b80af0a000000000000000000000000000058c38006ff1f0000000000000000000000000000986740fbd500000000c04d0d"
)

_ZEROS = "edc13101000000c2a0f54f6d0d0fa0" + "00" * 58 + "be0c"
"""60,000 of them."""


def differences() -> dict[str, Any]:
    """Accepted differences with what they make, and refused ones with the check that refuses them; each with what it is applied to."""
    accepted = [_described(case, *made) for case, made in _accepted().items()]
    good = bytes.fromhex(next(each["bytes"] for each in accepted if each["case"] == "copied, added, literal"))
    result = bytes.fromhex(next(each["result"] for each in accepted if each["case"] == "copied, added, literal"))
    refused = [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in _refused(good, result).items()]
    return {"accepted": accepted, "refused": {"base": _BASE.hex(), "other base": _BASE[::-1].hex(), "largest": 200, "cases": refused}}


def _described(case: str, base: bytes, result: bytes, data: bytes) -> dict[str, Any]:
    small = {"base": base.hex(), "times": 1}
    if len(base) > len(_BASE):  # a piece so many times
        small = {"base": base[: len(_BASE)].hex(), "times": len(base) // len(_BASE)}
    shown = {"result": result.hex()} if len(result) <= 4 * len(_BASE) else {}
    return {"case": case, **small, "size": len(result), "sha256": hashlib.sha256(result).hexdigest(), **shown, "bytes": data.hex()}


def _accepted() -> dict[str, tuple[bytes, bytes, bytes]]:
    numbers = np.arange(64, dtype=np.uint8)
    cases = {
        "nothing": _made(_BASE, b"", []),
        "nothing of nothing": _made(b"", b"", []),
        "copied": _made(_BASE, _BASE, [Segment(Kind.COPY, 96)]),
    }
    for way in WAYS:
        under = np.frombuffer(_BASE, np.uint8)[8:72]
        # Up and down, by small steps and by large ones, over the ends of a word.
        wanted = (under + np.where(numbers % 3 == 0, 0, (numbers * numbers * 37) >> (numbers % 8))).astype(np.uint8).tobytes()
        name = f"words of {way.word}, planes of {way.bits}"
        cases[f"{name}, added"] = _made(_BASE, wanted, [Segment(Kind.ADD, 64, 8, way)])
        cases[f"{name}, literal"] = _made(b"", wanted, [Segment(Kind.LITERAL, 64, 0, way)])
    # Five words: the last byte of a plane is not full.
    cases["five words"] = _made(_BASE, bytes(range(200, 220)), [Segment(Kind.ADD, 20, 3, Coding(4, 2))])
    mixed = [Segment(Kind.COPY, 30, 60), Segment(Kind.ADD, 40, 10, Coding(2, 4)), Segment(Kind.LITERAL, 10), Segment(Kind.COPY, 5)]
    wanted = _BASE[60:90] + bytes(byte ^ 3 for byte in _BASE[10:50]) + b"0123456789" + _BASE[:5]
    cases["copied, added, literal"] = _made(_BASE, wanted, mixed)
    twice = [
        Segment(Kind.LITERAL, 10),
        Segment(Kind.AGAIN, 10, 0),
        Segment(Kind.AGAIN, 5, 13),
        Segment(Kind.COPY, 6),
        Segment(Kind.AGAIN, 8, 23),
    ]
    cases["said again"] = _made(_BASE, b"0123456789" * 2 + b"34567" + _BASE[:6] + b"67" + _BASE[:6], twice)
    long = _BASE * 400
    changed = (np.frombuffer(long, "<u4") + np.uint32(1)).tobytes()
    blocks = [Segment(Kind.ADD, len(long), 0, Coding(4, 2)), Segment(Kind.COPY, len(long)), Segment(Kind.AGAIN, len(long), 0)]
    cases["many blocks"] = _made(long, changed + long + changed, blocks, _DEFLATED)
    return cases


def _made(base: bytes, result: bytes, segments: Sequence[Segment], deflated: str = "") -> tuple[bytes, bytes, bytes]:
    payload, at = b"", 0
    old, new = (np.frombuffer(each, np.uint8) for each in (base, result))
    for segment in segments:
        if segment.kind.is_coded:
            under = None if segment.kind is Kind.LITERAL else old[segment.base : segment.base + segment.length]
            payload += encode(new[at : at + segment.length], under, segment.coding)
        at += segment.length
    stream = bytes.fromhex(deflated) or stored(payload)
    if zlib.decompress(stream, wbits=-15) != payload:
        raise ValueError("the stream is not that of these segments")
    digests = [hashlib.sha256(each).digest() for each in (base, result)]
    return base, result, Difference(digests[0], len(base), digests[1], len(result), segments, stream).to_bytes()


def _refused(good: bytes, result: bytes) -> dict[str, tuple[str, bytes]]:
    changed = partial(replaced, good)
    count, size = struct.unpack_from("<II", good, 80)
    table, stream = good[_TABLE : _TABLE + size], good[_TABLE + size : -4]

    def holding(table: bytes, stream: bytes = stream, count: int = count, result: bytes = result) -> bytes:
        """With other segments and another stream, and lengths to match."""
        head = good[:44] + hashlib.sha256(result).digest() + struct.pack("<4I", len(result), count, len(table), len(stream))
        return sealed(head + table + stream)

    inflated = zlib.decompress(stream, wbits=-15)
    ending = stored(inflated)
    going_on = b"\0" + ending[1:]  # a block after which another would come
    return {
        "nothing": ("length", b""),
        "header": ("length", good[:95]),
        "magic": ("magic", changed(0, b"CHRD")),
        "version": ("version", changed(4, b"\2")),
        "byte 5": ("reserved", changed(5, b"\1")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "a larger base than any bundle": ("sizes", changed(40, b"\xff\xff\xff\xff")),
        "a larger result than is allowed": ("sizes", changed(76, (201).to_bytes(4, "little"))),
        "more segments than there can be": ("sizes", changed(80, ((1 << 20) + 1).to_bytes(4, "little"))),
        "a byte less": ("length", sealed(good[:-5])),
        "a byte more": ("length", sealed(good[:-4] + b"\0")),
        "a longer table": ("length", changed(84, (size + 1).to_bytes(4, "little"))),
        "lengths beyond 32 bits": ("length", changed(84, b"\xff\xff\xff\xff\xff\xff\xff\xff")),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "a segment less": ("segments", holding(table, count=count - 1)),
        "a segment more": ("segments", holding(table, count=count + 1)),
        "again before anything was": ("segments", holding(b"\3\x55\x55", count=1)),
        "again what is not there yet": ("segments", holding(b"\2\x0b\3\x0b\x0a\2\x3f", count=3)),
        "again from before the result": ("segments", holding(b"\2\x0a\3\x0a\x0b\2\x41", count=3)),
        "again with a coding": ("segments", holding(b"\2\x0a\7\x0a\x0a\2\x41", count=3)),
        "again without a place": ("segments", holding(b"\2\x0a\3\x4b", count=2)),
        "an unknown word": ("segments", holding(b"\x0d" + table[1:])),
        "an unknown plane": ("segments", holding(b"\x31" + table[1:])),
        "an unknown bit": ("segments", holding(b"\x41" + table[1:])),
        "a copy with a coding": ("segments", holding(b"\4" + table[1:])),
        "a length of nothing": ("segments", holding(b"\0\0" + table[2:])),
        "a length that could be shorter": ("segments", holding(b"\0\x9e\0" + table[2:])),
        "a length without end": ("segments", holding(b"\0\xff\xff\xff\xff\xff\1" + table[2:])),
        "a length that ends outside": ("segments", holding(b"\2\x80", count=1)),
        "no length": ("segments", holding(b"\2", count=1)),
        "no place": ("segments", holding(b"\0\1", count=1)),
        "a length beyond the result": ("segments", holding(b"\2\x7f", count=1)),
        "a length short of the result": ("segments", holding(b"\2\x54", count=1)),
        "no whole words": ("segments", holding(b"\x06\x55", count=1)),
        "a copy from before the base": ("segments", holding(b"\0\x55\1", count=1)),
        "a copy from behind the base": ("segments", holding(b"\0\x55\xc2\1", count=1)),
        "a copy to behind the base": ("segments", holding(b"\0\x55\x18", count=1)),
        "a sum from behind the base": ("segments", holding(b"\x21\x55\xff\xff\xff\xff\x1f", count=1)),
        "no stream": ("stream", holding(table, b"")),
        "a stream of nothing": ("stream", holding(table, stored(b""))),
        "a broken stream": ("stream", holding(table, b"\7" + stream[1:])),
        "a stream that ends early": ("stream", holding(table, stored(inflated[:-1]))),
        "a stream that is cut": ("stream", holding(table, stream[:-1])),
        "a stream without its end": ("stream", holding(table, going_on)),
        "a longer stream than the segments take": ("stream", holding(table, stored(inflated + b"\0"))),
        "something behind the stream": ("stream", holding(table, stream + b"\0")),
        "a bomb": ("stream", holding(table, going_on + bytes.fromhex(_ZEROS))),
        "another result": ("result", changed(44, bytes(32))),
        "other differences": ("result", holding(table, stored(inflated[:-1] + bytes([inflated[-1] ^ 2])))),
    }  # fmt: skip
