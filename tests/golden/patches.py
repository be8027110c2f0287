"""Golden vectors: master files with their patch tables, what strategies make of them, and damaged ones."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from chordkit.patching import MasterFile, PatchedLayer, PatchTable, attached
from chordkit.strategy import Strategy, encode
from tests.golden.common import FINGERPRINT, sealed

# Rows, columns, stride, scale of a channel that is off: a row that fills its stride, padded ones, a folded factor, a single row.
_LAYERS = ((3, 5, 5, 1.0), (4, 6, 8, 0.125), (1, 7, 7, 1.0))
_CHANNELS = 8
_PAD = 0x5A
_HEADER, _ENTRY = 28, 24


def _content(offset: int) -> tuple[bytes, list[PatchedLayer]]:
    """Each layer's codes and scales with other bytes between them, the scales ``offset`` bytes from a multiple of 4."""
    numbers = np.random.default_rng(20).integers
    data, layers = bytearray(bytes(range(16))), []
    for rows, columns, stride, off in _LAYERS:
        codes = np.full((rows, stride), _PAD, np.uint8)
        codes[:, :columns] = numbers(-127, 128, (rows, columns)).astype(np.int8).view(np.uint8)
        codes[0, :2] = (127, 129)
        begin = len(data)
        data += codes.reshape(-1)[: (rows - 1) * stride + columns].tobytes() + b"\xee"
        data += bytes(-len(data) % 4 + offset)
        layers.append(PatchedLayer(begin, stride, rows, columns, len(data), off))
        data += (numbers(1, 1000, rows) / 4096).astype("<f4").tobytes() + b"\xdd" * 3
    return bytes(data), layers


def _master_file(offset: int = 0, gap: bytes = b"") -> bytes:
    content, layers = _content(offset)
    numbers = np.random.default_rng(21).integers
    scales = (numbers(1, 4000, (2, _CHANNELS)) / 4096).astype(np.float32)
    ratios = numbers(200, 9000, (2, _CHANNELS)).astype(np.int16)
    ratios[:, 0] = (32767, 1)
    return attached(content, PatchTable(FINGERPRINT, tuple(layers), scales, ratios), gap)


_WIDTHS: dict[str, Sequence[int]] = {
    "all 8": [8] * _CHANNELS,
    "all 4": [4] * _CHANNELS,
    "all 2": [2] * _CHANNELS,
    "all off": [0] * _CHANNELS,
    "mixed": [2, 4, 8, 8, 2, 4, 2, 4],
    "some off": [0, 8, 2, 4, 0, 8, 2, 0],
}


def patches() -> dict[str, Any]:
    """Accepted master files with strategies and what they make, and refused files with the check that refuses them."""
    files = {"aligned": _master_file(), "scales at odd places": _master_file(1), "a gap": _master_file(gap=b"\xc2\x8e\x10\xb4\1")}
    accepted = []
    for case, data in files.items():
        everybody = MasterFile(data)
        made = []
        for name, widths in _WIDTHS.items():
            wire = encode(Strategy(np.array(widths, np.uint8), FINGERPRINT), allow_off=0 in widths)
            made.append({"strategy": name, "bytes": wire.hex(), "result": everybody.patched(wire).hex()})
        accepted.append({"case": case, "bytes": data.hex(), "made": made})
    good = files["aligned"]
    refused = [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in _refused(good).items()]
    foreign = encode(Strategy(np.full(_CHANNELS, 8, np.uint8), FINGERPRINT[::-1]))
    other = encode(Strategy(np.full(_CHANNELS - 1, 8, np.uint8), FINGERPRINT))
    strategies = [
        {"case": "another backbone's", "check": "fingerprint", "bytes": foreign.hex()},
        {"case": "a channel less", "check": "channel count", "bytes": other.hex()},
    ]
    return {"accepted": accepted, "refused": {"files": refused, "strategies": strategies}}


def _refused(good: bytes) -> dict[str, tuple[str, bytes]]:
    begin = len(good) - struct.unpack_from("<I", good, len(good) - 8)[0]
    content, header, entries = begin, begin + _HEADER, len(_LAYERS) * _ENTRY
    scales = header + entries
    ratios = scales + 8 * _CHANNELS
    codes, _, _, _, first = struct.unpack_from("<5I", good, header)

    def changed(offset: int, value: bytes) -> bytes:
        return sealed(good[:offset] + value + good[offset + len(value) : -4])

    def number(offset: int, value: int) -> bytes:
        return changed(offset, struct.pack("<I", value))

    def layer(index: int, field: int, value: int) -> bytes:
        return number(header + index * _ENTRY + 4 * field, value)

    float_of = {name: struct.pack("<f", float(name)) for name in ("0", "-1", "nan", "inf")}
    return {
        "nothing": ("table", b""),
        "less than a table": ("table", good[-35:]),
        "no table": ("table", good[:content]),
        "a byte more": ("table", good + b"\0"),
        "a byte less": ("table", good[:-1]),
        "a longer table than the file": ("table", number(len(good) - 8, len(good) + 1)),
        "a table of nothing": ("table", number(len(good) - 8, 0)),
        "a table that begins in its end": ("table", number(len(good) - 8, 35)),
        "magic": ("table", changed(begin, b"CHRD")),
        "version": ("version", changed(begin + 4, b"\2")),
        "byte 5": ("reserved", changed(begin + 5, b"\1")),
        "byte 7": ("reserved", changed(begin + 7, b"\1")),
        "a channel more": ("length", number(begin + 20, _CHANNELS + 1)),
        "a layer less": ("length", number(begin + 24, len(_LAYERS) - 1)),
        "lengths beyond 32 bits": ("length", changed(begin + 20, b"\xff" * 8)),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "a changed code": ("CRC", good[:codes] + bytes([good[codes] ^ 1]) + good[codes + 1 :]),
        "a changed byte that is no code": ("CRC", b"\xff" + good[1:]),
        "more content than there is": ("content", number(begin + 16, content + 1)),
        "a gap of 17 bytes": ("content", number(begin + 16, content - 17)),
        "no layers": ("layers", _without_layers(good, begin)),
        "a layer without rows": ("layers", layer(0, 2, 0)),
        "rows without codes": ("layers", layer(1, 3, 0)),
        "rows longer than their stride": ("layers", layer(1, 3, 9)),
        "a row more": ("channels", layer(2, 2, 2)),
        "rows beyond 32 bits": ("channels", layer(2, 2, (1 << 32) - 1)),
        "codes behind the content": ("places", layer(0, 0, content - 14)),
        "codes far behind it": ("places", layer(0, 0, (1 << 32) - 1)),
        "a stride out of the content": ("places", layer(1, 1, 1 << 31)),
        "scales behind the content": ("places", layer(2, 4, content - 3)),
        "scales in codes": ("places", layer(0, 4, codes + 4)),
        "codes in codes": ("places", layer(1, 0, codes + 2)),
        "scales in scales": ("places", layer(1, 4, first)),
        **{f"an int2 scale of {name}": ("values", changed(scales, value)) for name, value in float_of.items()},
        **{f"an off scale of {name}": ("values", changed(header + 20, value)) for name, value in float_of.items()},
        "an int4 scale of nan": ("values", changed(ratios - 4, float_of["nan"])),
        "a ratio of 0": ("values", changed(ratios, b"\0\0")),
        "a negative ratio": ("values", changed(ratios + 4 * _CHANNELS - 2, b"\xff\xff")),
    }


def _without_layers(good: bytes, begin: int) -> bytes:
    """With a table of no layers and no channels, whole but for that."""
    header = good[begin : begin + 20] + bytes(8)
    return sealed(good[:begin] + header + struct.pack("<I", _HEADER + 8))
