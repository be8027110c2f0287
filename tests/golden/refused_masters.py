"""Golden vectors: master weights that are refused."""

import dataclasses
import struct
import zlib
from typing import Any

import numpy as np

from chordkit.quantization import (
    MasterLayer,
    MasterWeights,
    QuantizedTable,
    container,
)
from tests.golden.masters import _caser, runnable_masters, small_master


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
