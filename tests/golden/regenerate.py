"""Write the golden vectors: ``python tests/golden/regenerate.py``. Do so only when a format changes its version.

Numbers are plain JSON; bytes, and the long rows of int8 codes in derivation.json, are hexadecimal, so that C, Kotlin and
Python read the same files.
"""

import dataclasses
import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.coda.adapter import Adapter, decode_adapter, encode_adapter
from chordkit.coda.classifier import describe, probabilities
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps, start, train
from chordkit.coda.personal import PersonalOptions, learn, personalise
from chordkit.coda.samples import Segments, encode_samples
from chordkit.files import write_json
from chordkit.inputs import left_pad
from chordkit.quantization import (
    ChannelTable,
    MasterLayer,
    MasterWeights,
    QuantizedRows,
    QuantizedTable,
    container,
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


# What zlib 1.2.13 made of the payload of the last of the accepted samples; other versions may pack it otherwise, and all must read this.
_DEFLATED = (
    "8b8a8a5ab10a0e9c26a97842118b1202cc65646466666461022146662066610463266620660121a0340491a1881526cf069666616761666106725898"
    "589980082cce824f9881998d9357505452465e4955435bcfc8cccaced1c5ddcb3720383c3a2e31252d333b27afa0a8b4bcb2a6aea1a9b9b5bdb3a76f"
    "c2e4a9d367ce9ac3c4cac1232022212da7a8a2aea56b686a69ebe0ece6e9e31f1416159b909c9ac1c0c2c52f26ada0aaa96f62ede0eae51712199f9c"
    "9e9d5b5852515ddfd4d2d1dd3f69daccd9ccec7cc25272ca1a3ac616f6ce1ebe81113149a95939f9c56555b58dcd6d5dbd13a7cc98c5c8c62d242eab"
    "a8a66d606ee3e4e61d104a43378f02240000"
)


def coda_training() -> dict[str, Any]:
    """One user's training, from its lessons to the parameters after 1, 5 and 20 steps, by every method.

    What goes in is in 64ths, exact in float32; what comes out is float64's, to seven places.
    """
    dim, items, count = 8, 60, 20

    def scattered(kind: int, *shape: int) -> np.ndarray:
        """Whole numbers from -64 to 64."""
        stream = b"".join(hashlib.sha256(bytes([kind, block])).digest() for block in range(np.prod(shape) // 32 + 1))
        return (np.frombuffer(stream, np.uint8)[: np.prod(shape)].astype(np.int64) % 129 - 64).reshape(shape)

    table, bias = scattered(1, items + 1, dim) / 64, scattered(2, items + 1) / 64
    head = Head(table, bias)
    targets = (np.abs(scattered(3, count)) % 14 + 1).astype(np.int32)
    seen = (np.abs(scattered(4, count, 5)) % (items + 1)).astype(np.int32)
    seen[:2, 0] = targets[:2]  # what comes again competes
    lessons = Lessons(scattered(5, count, dim) / 32, targets, seen)
    weights = np.where(np.arange(count) < 8, 1.0, 0.296875)
    candidates = Candidates.choose(targets, items, 9)
    candidates = Candidates(candidates.items, candidates.offsets.round(7))
    zero, exam = start(head, lessons), Exam(head, lessons, candidates)
    begun = zero.with_values(scattered(6, len(zero.values)) / 1024)
    runs = []
    for method, rate, decay, adapter in (("sgd", 0.0625, 0.0, zero), ("sgd", 0.03125, 0.125, begun), ("adam", 0.03125, 0.125, begun)):
        after = {
            str(steps): train(exam, weights, adapter, Steps(steps, rate, method, decay=decay)).values.round(7).tolist()
            for steps in (1, 5, 20)
        }
        runs.append({"method": method, "rate": rate, "decay": decay, "start": adapter.values.tolist(), "after": after})
    return {
        "dim": dim,
        "table": table.tolist(),
        "bias": bias.tolist(),
        "states": lessons.states.tolist(),
        "targets": targets.tolist(),
        "seen": seen.tolist(),
        "weights": weights.tolist(),
        "candidates": {"items": candidates.items.tolist(), "offsets": candidates.offsets.tolist()},
        "biased": zero.items.tolist(),
        "runs": runs,
    }


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
        data = _sealed(written[:24] + (bytes.fromhex(_DEFLATED) if number == len(cases) - 1 else _stored(payload)))
        pieces = [{"items": items, "samples": places} for items, places in rows]
        accepted.append({"segments": pieces, "payload": payload.hex(), "bytes": data.hex()})
    good, payload = bytes.fromhex(accepted[2]["bytes"]), bytes.fromhex(accepted[2]["payload"])

    def changed(offset: int, value: bytes) -> bytes:
        return _sealed(good[:offset] + value + good[offset + len(value) : -4])

    def holding(offset: int, value: bytes) -> bytes:
        return _sealed(good[:24] + _stored(payload[:offset] + value + payload[offset + len(value) :]))

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
        "cut": ("deflate", _sealed(good[:-5])),
        "something behind the stream": ("deflate", _sealed(good[:-4] + b"\0")),
        "longer than any of its counts": ("deflate", _sealed(good[:24] + _stored(payload + bytes(60)))),
        "lengths": ("segments", holding(0, b"\2")),
        "a segment of one": ("segments", holding(0, b"\4\1")),
        "a number that could be shorter": ("segments", _sealed(good[:24] + _stored(b"\x83\0" + payload[1:]))),
        "a sample with nothing before it": ("marks", holding(2, b"\x15")),
        "a segment without a sample": ("marks", holding(2, b"\6")),
        "a pad bit": ("marks", holding(2, b"\x34")),
        "more ids than items": ("table", holding(3, b"\6")),
        "an id twice": ("table", holding(5, b"\0")),
        "an id above the catalogue": ("table", holding(4, b"\6")),
        "no id of the table": ("items", holding(9, b"\4")),
        "an id that nothing uses": ("items", holding(13, b"\0")),
        "something behind the items": ("items", _sealed(good[:24] + _stored(payload + b"\0"))),
    }
    return {
        "fingerprint": FINGERPRINT.hex(),
        "accepted": accepted,
        "refused": {
            "items": 300,
            "cases": [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in refused.items()],
        },
    }


def _stored(payload: bytes) -> bytes:
    """A deflate stream of one block that is not compressed: the same whichever library would compress it."""
    return b"\x01" + struct.pack("<HH", len(payload), len(payload) ^ 0xFFFF) + payload


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
        "grown": {
            "bytes": (grown := runnable_masters()["grown"]).to_bytes().hex(),
            "fingerprint": grown.fingerprint.hex(),
            "digest": grown.digest.hex(),
            "items": grown.items,
            "items_before": 2,
        },
    }


def _layer(out: int, features: int) -> MasterLayer:
    codes = (np.arange(out * features) % 255 - 127).astype(np.int8).reshape(out, features)
    ratios = np.repeat(np.array([[258], [1806]], np.int16), out, 1)
    return MasterLayer(QuantizedRows(codes, np.full((3, out), 0.25, np.float32), ratios), np.full(out, 0.5, np.float32))


def _table(rows: int, dim: int = 16) -> QuantizedTable:
    codes = np.outer(np.arange(rows), np.arange(dim) - 7).astype(np.int8)
    return QuantizedTable(codes, np.full(rows, 0.5, np.float32), 8)


def _caser(dim: int = 16) -> MasterWeights:
    sizes = {"items": 2, "max_length": 2, "dim": dim, "heights": (2,), "filters": 1, "vertical_filters": 1, "item_bias": 1}
    return MasterWeights(
        config={"architecture": "caser", **sizes},
        layers={"horizontal.0": _layer(1, 2 * dim), "vertical": _layer(1, 2), "fc": _layer(dim, 1 + dim)},
        embeddings={"item_embedding": _table(3, dim)},
        tensors={"item_bias": np.array([0, 1, 2], np.float32)},
    )


def runnable_masters() -> dict[str, MasterWeights]:
    """The smallest masters that the native engine runs, of each architecture it knows; made of exact numbers only."""
    sizes = {"items": 2, "max_length": 2, "dim": 16}
    norms = ("embedding_norm", "blocks.0.attention_norm", "blocks.0.ffn_norm")
    wide = {"ffn1": (1, 16), "ffn2": (16, 1)}
    sasrec = MasterWeights(
        config={"architecture": "sasrec", **sizes, "blocks": 1, "heads": 2, "ffn_dim": 1, "activation": "relu", "norm_first": 0,
                "norm_eps": 1e-12},
        layers={f"blocks.0.{name}": _layer(*wide.get(name, (16, 16))) for name in ("query", "key", "value", "output", "ffn1", "ffn2")},
        embeddings={"item_embedding": _table(3), "position_embedding": _table(2)},
        tensors={f"{norm}.{part}": np.ones(16, np.float32) for norm in norms for part in ("weight", "bias")},
    )  # fmt: skip
    grown = dataclasses.replace(
        sasrec,
        config=sasrec.config | {"items": 4},
        embeddings=sasrec.embeddings | {"item_embedding": _table(5)},
        origin=container.Origin(sasrec.digest, 2),
    )
    return {"caser": _caser(), "sasrec": sasrec, "grown": grown}


def _with_length_and_checksum(image: bytes | bytearray) -> bytes:
    data = bytearray(image)
    struct.pack_into("<Q", data, 8, len(data))
    struct.pack_into("<I", data, 20, zlib.crc32(bytes(data[24:])))
    return bytes(data)


def _edits(base: bytes, data: bytes) -> list[list[Any]]:
    """What turns ``base``, cut or lengthened with zeros to the length of ``data``, into ``data``: [offset, hexadecimal bytes] each."""
    before = base.ljust(len(data), b"\0")[: len(data)]
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(data, np.uint8))
    runs = np.split(changed, np.flatnonzero(np.diff(changed) > 8) + 1)
    return [[int(run[0]), data[int(run[0]) : int(run[-1]) + 1].hex()] for run in runs if run.size]


def _malformed() -> list[tuple[str, bytes]]:
    """Files that break one rule of the format each, with the rule."""
    whole = small_master()
    good = whole.to_bytes()
    entries, _ = container.unpack(good)
    names = list(entries)
    nan, infinite = np.float32(np.nan), np.float32(np.inf)

    def header(offset: int, value: bytes) -> bytes:
        return good[:offset] + value + good[offset + len(value) :]

    def record(name: str, offset: int, layout: str, value: Any) -> bytes:
        image = bytearray(good)
        struct.pack_into(layout, image, 64 + 128 * names.index(name) + offset, *(value if isinstance(value, tuple) else (value,)))
        return _with_length_and_checksum(bytes(image))

    def entry(name: str, value: Any, index: Any = None) -> bytes:
        """The entry is ``value``, or has it at ``index``; None: there is no such entry."""
        changed = dict(entries)
        if index is not None:
            array = np.array(changed[name])
            array[index] = value
            changed[name] = array
        elif value is None:
            del changed[name]
        else:
            changed[name] = value
        return container.pack(changed)

    def moved(name: str, behind: str) -> bytes:
        order = [each for each in names if each != name]
        order.insert(order.index(behind) + 1, name)
        return container.pack({each: entries[each] for each in order})

    def raw(name: str, offset: int, value: bytes) -> bytes:
        """The bytes of the entry's data from ``offset`` on are ``value``."""
        start = struct.unpack_from("<Q", good, 64 + 128 * names.index(name) + 112)[0] + offset
        return _with_length_and_checksum(good[:start] + value + good[start + len(value) :])

    # The last tensor has no number, and the file no room for one.
    empty = bytearray(good[:-64])
    struct.pack_into("<I", empty, 64 + 128 * (len(names) - 1) + 96, 0)
    struct.pack_into("<Q", empty, 64 + 128 * (len(names) - 1) + 120, 0)
    # The last tensor stands 64 bytes later than it may.
    later = bytearray(good[:-64] + bytes(64) + good[-64:])
    struct.pack_into("<Q", later, 64 + 128 * (len(names) - 1) + 112, len(good))
    first, second, bias, item, small, free = (
        "layers/first/codes", "layers/first/scales", "layers/first/bias", "embeddings/item_embedding/codes", "embeddings/small/codes",
        "tensors/norm.weight",
    )  # fmt: skip
    return [
        ("header: 64 bytes", good[:63]),
        ("header: magic", header(0, b"CHRD")),
        ("header: version", header(4, b"\3")),
        ("header: length of the file", header(8, struct.pack("<Q", len(good) + 64))),
        ("header: number of entries, at most 4096", _with_length_and_checksum(header(16, struct.pack("<I", 4097)))),
        ("header: number of entries, within the file", _with_length_and_checksum(header(16, struct.pack("<I", 100)))),
        ("header: CRC-32", good[:-64] + b"\1" + good[-63:]),
        ("header: reserved bytes are 0", _with_length_and_checksum(header(63, b"\1"))),
        ("name: not empty", record(free, 0, "88s", b"")),
        ("name: UTF-8", record(free, 8, "2s", b"\xc0\x80")),
        ("name: padded with zeros", record(free, 87, "B", 1)),
        ("name: unique", record("config/dim", 0, "88s", b"config/norm_eps")),
        ("type: 1 to 6", record(free, 88, "<I", 7)),
        ("dimensions: at most 4", record(free, 92, "<I", 5)),
        ("dimensions: a text has one", record("config/architecture", 92, "<5I", (2, 7, 1, 0, 0))),
        ("shape: unused sizes are 0", record(free, 108, "<I", 1)),
        ("shape: no size is 0", _with_length_and_checksum(empty)),
        ("size: what the shape needs", record("config/architecture", 96, "<I", 6)),
        ("size: within the file", record(free, 96, "<I", 1 << 30)),
        ("place: the next multiple of 64", _with_length_and_checksum(later)),
        ("gaps: zero", raw("config/architecture", 8, b"\1")),
        ("end: zero up to a multiple of 64", _with_length_and_checksum(good[:-1] + b"\1")),
        ("end: nothing follows", _with_length_and_checksum(good + bytes(64))),
        ("groups: known ones", record(free, 0, "8s", b"elsewher")),
        ("groups: in their order", moved(free, "config/heights")),
        ("layer: all parts", entry("layers/first/ratios", None)),
        ("layer: parts in their order", moved(second, "layers/first/ratios")),
        ("layer: no other parts", record(bias, 0, "88s", b"layers/first/more")),
        ("layer: a name", container.pack({name.replace("/first/", "//"): value for name, value in entries.items()})),
        ("layer: no / in its name", container.pack({name.replace("first", "first/x"): value for name, value in entries.items()})),
        ("configuration: a number, a text or a tuple", entry("config/dim", np.array([4, 4], np.int32))),
        ("configuration: no NaN", entry("config/norm_eps", nan, 0)),
        ("configuration: no infinity", entry("config/norm_eps", infinite, 0)),
        ("configuration: texts are UTF-8", raw("config/architecture", 0, b"\xff")),
        ("configuration: an architecture", entry("config/architecture", None)),
        ("configuration: the architecture is a text", entry("config/architecture", np.array([1], np.int32))),
        ("layer codes: int8", entry(first, np.ones((3, 4), np.uint8))),
        ("layer codes: [out, in]", entry(first, np.ones((3, 4, 1), np.int8))),
        ("layer codes: not -128", entry(first, -128, (0, 0))),
        ("layer scales: [3, out]", entry(second, np.ones((3, 2), np.float32))),
        ("layer scales: not 0", entry(second, 0, (0, 0))),
        ("layer scales: not negative", entry(second, -1, (2, 1))),
        ("layer scales: not NaN", entry(second, nan, (1, 1))),
        ("layer scales: not infinite", entry(second, infinite, (1, 1))),
        ("layer ratios: [2, out]", entry("layers/first/ratios", np.ones((3, 3), np.int16))),
        ("layer ratios: 1 or more", entry("layers/first/ratios", 0, (1, 2))),
        ("layer bias: [out]", entry(bias, np.ones(4, np.float32))),
        ("layer bias: not NaN", entry(bias, nan, 0)),
        ("layer bias: not infinite", entry(bias, -infinite, 0)),
        ("item table: there", container.pack({name.replace("item_embedding", "items"): value for name, value in entries.items()})),
        ("table bits: 8 or 4", entry("embeddings/small/bits", 2, 0)),
        ("table bits: dim of 1 or more", entry("embeddings/item_embedding/bits", 0, 1)),
        ("table codes: type of their bits", entry("embeddings/item_embedding/bits", 4, 0)),
        ("table codes: dim columns", entry("embeddings/item_embedding/bits", 5, 1)),
        ("table codes: not -128", entry(item, -128, (0, 0))),
        ("table codes: not -8", entry(small, 0x08, (0, 0))),
        ("table codes: pad bits are 0", entry(small, 0x10, (0, 1))),
        ("table scales: [rows]", entry("embeddings/small/scales", np.ones(4, np.float32))),
        ("table scales: positive", entry("embeddings/small/scales", 0, 4)),
        ("tensors: float32", entry(free, np.ones(4, np.int32))),
        ("tensors: not NaN", entry(free, nan, 3)),
        ("tensors: not infinite", entry(free, infinite, 0)),
    ]  # fmt: skip


def _malformed_origins(grown: bytes) -> list[tuple[str, bytes]]:
    """The grown master with a header that breaks one rule of version 2 each."""
    return [
        (rule, _with_length_and_checksum(grown[:offset] + value + grown[offset + len(value) :]))
        for rule, offset, value in [
            ("origin: one item or more", 32, struct.pack("<I", 0)),
            ("origin: fewer items than there are", 32, struct.pack("<I", 4)),
            ("origin: not far more items than there are", 32, struct.pack("<I", (1 << 32) - 1)),
            ("origin: reserved bytes after it are 0", 36, b"\1"),
            ("origin: none in version 1", 4, b"\1"),
        ]
    ]


def _not_run(masters: dict[str, MasterWeights]) -> list[tuple[str, str, bytes]]:
    """Whole masters that break one limit of the engine each: the master they are made from, the limit, the bytes."""
    caser, sasrec = masters["caser"], masters["sasrec"]

    def config(master: MasterWeights, **values: Any) -> bytes:
        return dataclasses.replace(master, config=master.config | values).to_bytes()

    def layer(name: str, **changes: Any) -> bytes:
        return dataclasses.replace(caser, layers=caser.layers | {name: dataclasses.replace(caser.layers[name], **changes)}).to_bytes()

    def tensors(**changes: Any) -> bytes:
        return dataclasses.replace(caser, tensors=caser.tensors | changes).to_bytes()

    table = caser.embeddings["item_embedding"]
    above = np.nextafter(np.float32(1e4), np.float32(2e4))
    fc = caser.layers["fc"].rows
    scales = fc.scales.copy()
    scales[1, 3] = above
    padded = table.codes.copy()
    padded[0, 7] = 1
    wider = QuantizedTable(table.codes[:2], table.scales[:2], 8)

    def layers(*names: str, **others: MasterLayer) -> bytes:
        return dataclasses.replace(caser, layers={name: caser.layers[name] for name in names} | others).to_bytes()

    first, second, last = caser.layers
    return [
        ("caser", "architecture", config(caser, architecture="caser2")),
        ("caser", "items: 1 or more", config(caser, items=0)),
        ("caser", "items: a whole number", config(caser, items=2.0)),
        ("caser", "max_length: at most 1024", config(caser, max_length=1025)),
        ("caser", "dim: a multiple of 16", _caser(24).to_bytes()),
        ("caser", "dim: that of the tables", config(caser, dim=32)),
        ("caser", "configuration: no other values", config(caser, more=1)),
        ("caser", "configuration: all values", dataclasses.replace(
            caser, config={key: value for key, value in caser.config.items() if key != "filters"}).to_bytes()),
        ("caser", "item table: items + 1 rows", dataclasses.replace(caser, embeddings={"item_embedding": wider}).to_bytes()),
        ("caser", "item table: row 0 is zero", dataclasses.replace(
            caser, embeddings={"item_embedding": dataclasses.replace(table, codes=padded)}).to_bytes()),
        ("caser", "embeddings: no others", dataclasses.replace(caser, embeddings=caser.embeddings | {"more": table}).to_bytes()),
        ("caser", "tensors: no others", tensors(more=np.ones(1, np.float32))),
        ("caser", "tensors: all of them", dataclasses.replace(caser, tensors={}).to_bytes()),
        ("caser", "tensors: their shapes", tensors(item_bias=np.ones(4, np.float32))),
        ("caser", "layers: no others", layers(first, second, last, more=caser.layers[second])),
        ("caser", "layers: all of them", layers(second, last)),
        ("caser", "layers: in their order", layers(second, first, last)),
        ("caser", "layers: their shapes", layers(first, vertical=caser.layers[first], fc=caser.layers[last])),
        ("caser", "layers: a bias", layer("vertical", bias=None)),
        ("caser", "numbers: at most 10000, biases", layer("vertical", bias=np.array([above]))),
        ("caser", "numbers: at most 10000, scales", layer("fc", rows=dataclasses.replace(fc, scales=scales))),
        ("caser", "numbers: at most 10000, tensors", tensors(item_bias=np.array([0, -above, 0], np.float32))),
        ("caser", "heights: within max_length", config(caser, heights=(3,))),
        ("caser", "item_bias: 0 or 1", config(caser, item_bias=2)),
        ("sasrec", "heads: divide dim", config(sasrec, heads=3)),
        ("sasrec", "blocks: at most 32", config(sasrec, blocks=33)),
        ("sasrec", "activation: relu or gelu", config(sasrec, activation="silu")),
        ("sasrec", "norm_first: 0 or 1", config(sasrec, norm_first=2)),
        ("sasrec", "norm_eps: 1e-12 or more", config(sasrec, norm_eps=9e-13)),
        ("sasrec", "norm_eps: at most 10000", config(sasrec, norm_eps=10001.0)),
        ("sasrec", "position table: max_length rows", config(sasrec, max_length=3)),
    ]  # fmt: skip


def refused_masters() -> dict[str, Any]:
    """Masters that break one rule each: of the format (``malformed``), or of what the native engine runs (``not run``)."""
    masters = runnable_masters()
    cases = [{"answer": "malformed", "base": "example", "rule": rule, "data": data} for rule, data in _malformed()]
    grown = masters["grown"].to_bytes()
    cases += [{"answer": "malformed", "base": "grown", "rule": rule, "data": data} for rule, data in _malformed_origins(grown)]
    cases += [{"answer": "not run", "base": base, "rule": rule, "data": data} for base, rule, data in _not_run(masters)]
    bases = {"example": small_master().to_bytes()} | {name: each.to_bytes() for name, each in masters.items()}
    return {
        "how": "cut the base, or lengthen it with zeros, to `length` bytes; then put each edit's bytes at its offset",
        "bases": {name: {"answer": "not run" if name == "example" else "runs", "bytes": data.hex()} for name, data in bases.items()},
        "cases": [
            {"rule": case["rule"], "answer": case["answer"], "base": case["base"], "length": len(case["data"]),
             "edits": _edits(bases[case["base"]], case["data"])}
            for case in cases
        ],
    }  # fmt: skip


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


def coda_adapters() -> dict[str, Any]:
    """Accepted adapters with what is in them, and refused ones with the check that refuses them."""
    dim, items, strategy = 16, 300, b"strategy"
    accepted = []
    for biased in ([], [1], [2, 7, 300], list(range(1, 257))):
        values = np.arange(-3, 10 * dim + len(biased) - 3, dtype=np.float32) / 8
        adapter = Adapter(values, dim, np.array(biased, np.int32), FINGERPRINT, strategy)
        accepted.append({"items": biased, "values": values.tolist(), "bytes": encode_adapter(adapter).hex()})
    hidden = (np.arange(dim) - 7.0) / 4
    moved = decode_adapter(bytes.fromhex(accepted[2]["bytes"]), fingerprint=FINGERPRINT, strategy=strategy, dim=dim, items=items)
    states = dataclasses.replace(moved, values=moved.values.astype(np.float64)).states(hidden[None])[0]
    good = bytes.fromhex(accepted[2]["bytes"])

    def changed(offset: int, value: bytes) -> bytes:
        return _sealed(good[:offset] + value + good[offset + len(value) : -4])

    first = 32 + 4 * 3
    refused = {
        "header": ("length", good[:35]),
        "magic": ("magic", changed(0, b"CHRS")),
        "version": ("version", changed(4, b"\2")),
        "rank": ("rank", changed(5, b"\7")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "fingerprint": ("fingerprint", changed(15, b"\0")),
        "strategy": ("strategy", changed(16, b"S")),
        "dim": ("dim", changed(24, b"\x20")),
        "more biases than can be": ("items", changed(28, (257).to_bytes(4, "little"))),
        "another number of biases": ("length", changed(28, b"\4")),
        "cut": ("length", _sealed(good[:-5])),
        "something behind": ("length", _sealed(good[:-4] + bytes(4))),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "item 0": ("items", changed(32, bytes(4))),
        "an item twice": ("items", changed(36, b"\2")),
        "an item above the catalogue": ("items", changed(40, (301).to_bytes(4, "little"))),
        "a negative item": ("items", changed(40, b"\xff\xff\xff\xff")),
        "no number": ("values", changed(first, np.float32(np.nan).tobytes())),
        "infinity": ("values", changed(len(good) - 8, np.float32(np.inf).tobytes())),
        "above 10,000": ("values", changed(first + 4, np.float32(-10_000.001).tobytes())),
    }
    return {
        "fingerprint": FINGERPRINT.hex(), "strategy": strategy.hex(), "dim": dim, "catalogue": items,
        "accepted": accepted,
        "moved": {"accepted": 2, "hidden": hidden.tolist(), "state": states.round(9).tolist()},
        "refused": [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in refused.items()],
    }  # fmt: skip


def coda_personal() -> dict[str, Any]:
    """A user's lessons and those from outside, and what they come to in float64: classifier, gate, and adapters by both methods.

    States are given instead of the encoder's, so that learning is compared alone; all of it is of numbers that float32 has exactly.
    """
    generator = np.random.Generator(np.random.PCG64(12))
    items, dim, own, outside = 30, 16, 36, 24
    codes = np.clip(np.round(generator.normal(size=(items + 1, dim)) * 8), -31, 31).astype(int)
    codes[0], scale = 0, 1 / 16
    history = generator.integers(1, items + 1, own + 4).astype(np.int32)
    pieces = generator.integers(1, items + 1, (4, 10)).astype(np.int32)
    places = [[0, 4 + number] for number in range(own)], [[10 * piece, 10 * piece + 4 + at] for piece in range(4) for at in range(6)]
    # The user comes back to one item: there is something to learn.
    history[4 + np.flatnonzero(generator.random(own) < 0.5)] = 2
    states = [np.round(generator.normal(size=(count, dim)) * 8) / 8 for count in (own, outside)]
    flats = [history, pieces.ravel()]
    lessons = []
    for flat, where, state in zip(flats, places, states, strict=True):
        seen = left_pad([flat[begin:place] for begin, place in where], max(place - begin for begin, place in where))
        lessons.append(Lessons(state, flat[[place for _, place in where]], seen))
    head = Head(codes * scale)
    inside = probabilities(describe(head, lessons[0]), describe(head, lessons[1]))
    runs = {}
    for method, rate in (("adam", 0.01), ("sgd", 0.02)):
        options = PersonalOptions(Steps(10, rate, method), others=10)
        adapter, kept = learn(head, *lessons, options)
        _, report = personalise(head, *lessons, options)
        runs[method] = {
            "rate": rate, "kept": kept, "items": adapter.items.tolist(), "values": adapter.values.round(7).tolist(),
            "judged": report.verdict.lessons, "before": round(report.verdict.before, 7), "after": round(report.verdict.after, 7),
            "low": round(report.verdict.low, 7), "adopt": report.verdict.adopt,
        }  # fmt: skip
    return {
        "table": {"codes": codes.tolist(), "scale": scale},
        "local": {"items": flats[0].tolist(), "lessons": places[0], "states": states[0].tolist()},
        "outside": {"items": flats[1].tolist(), "lessons": places[1], "states": states[1].tolist()},
        "others": 10,
        "inside": inside.round(7).tolist(),
        "runs": runs,
    }


VECTORS = {
    "derivation": derivation,
    "packing": packing,
    "strategy": strategies,
    "user_vector": user_vectors,
    "coda_samples": coda_samples,
    "coda_training": coda_training,
    "coda_adapters": coda_adapters,
    "coda_personal": coda_personal,
    "master": master,
    "master_refused": refused_masters,
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
