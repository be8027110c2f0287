"""What the differential fuzzer (differential.py) compares of masters.

They are taken apart into entries, changed as entries and put together again by a writer of our own, with length and checksum made right: a
flipped byte would only ever test the checksum.
"""

import hashlib
import json
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.backbones.architectures.gru4rec import GRU4RecConfig
from chordkit.errors import MasterError
from chordkit.kernels.engine import native
from chordkit.quantization import MasterWeights, engine_refusal

GOLDEN = Path(__file__).parents[1] / "golden"
WRITTEN_EVERY, REFERENCE_EVERY = 8, 64
"""One in so many whole masters is written again, and one made a reference model if the engine runs it: these take longer than reading."""
LARGEST_MODEL = 1 << 24
"""A model that would take more memory than this is not opened: its answer is that of the query."""

_HEADER, _RECORD = struct.Struct("<4sIQII40s"), struct.Struct("<88sII4IQQ")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1}


@dataclass(frozen=True)
class Entry:
    """An entry as it stands in the file; ``offset`` and ``size`` are None where a writer computes them."""

    name: bytes
    type: int
    rank: int
    shape: tuple[int, ...]
    data: bytes
    offset: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Image:
    """A master file in parts, each of which can be wrong."""

    entries: tuple[Entry, ...]
    magic: bytes = b"CHRM"
    version: int = 1
    reserved: bytes = bytes(40)
    count: int | None = None
    length: int | None = None
    checksum: int | None = None
    tail: bytes = b""
    dirt: int | None = None
    """A byte of the finished file that is set to 1."""

    @classmethod
    def of(cls, data: bytes) -> "Image":
        entries = []
        for index in range(struct.unpack_from("<I", data, 16)[0]):
            name, kind, rank, *rest = _RECORD.unpack_from(data, 64 + 128 * index)
            *shape, offset, size = rest
            entries.append(Entry(name.rstrip(b"\0"), kind, rank, tuple(shape), data[offset : offset + size]))
        return cls(tuple(entries), version=struct.unpack_from("<I", data, 4)[0], reserved=data[24:64])

    def to_bytes(self) -> bytes:
        place = -(-(64 + 128 * len(self.entries)) // 64) * 64
        table, body = bytearray(), bytearray()
        start = place
        for entry in self.entries:
            offset = place if entry.offset is None else entry.offset
            size = len(entry.data) if entry.size is None else entry.size
            table += _RECORD.pack(entry.name, entry.type, entry.rank, *entry.shape, offset % (1 << 64), size % (1 << 64))
            body += bytes(place - start - len(body)) + entry.data
            place = -(-(place + len(entry.data)) // 64) * 64
        body += bytes(place - start - len(body)) + self.tail
        image = bytearray(64) + table + bytes(start - 64 - len(table)) + body
        length = len(image) if self.length is None else self.length
        count = len(self.entries) if self.count is None else self.count
        image[:64] = _HEADER.pack(self.magic, self.version, length, count, 0, self.reserved)
        if self.dirt is not None:
            image[24 + self.dirt % (len(image) - 24)] |= 1
        checksum = zlib.crc32(memoryview(image)[24:]) if self.checksum is None else self.checksum
        struct.pack_into("<I", image, 20, checksum)
        return bytes(image)


FLOATS = [0.0, -0.0, 1.0, -1.0, 1e4, -1e4, 1e38, 1e-45, 1e-38, 1e-12, 9.9e-13, 2.0**100, np.inf, -np.inf, np.nan]
FLOATS += [float(np.nextafter(np.float32(limit), np.float32(away))) for limit in (1e4, 1e-12) for away in (0, 1e38)]
INTEGERS = [0, 1, -1, 2, 3, 4, 7, 8, 15, 16, 20, 32, 33, 64, 65, 512, 513, 1024, 1025, 65536, 65537, 1 << 30, (1 << 31) - 1, -(1 << 31)]
DIMENSIONS = [0, 1, 2, 3, 4, 15, 16, 17, 20, 21, 48, 1 << 16, 1 << 31, (1 << 32) - 1]
NO_TEXT = [b"\xff", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3"]
WORDS = [b"", b"relu", b"gelu", b"sasrec", b"caser", b"gru4rec", b"sasrec\0", b"\xc3\xa9", b"\xf0\x9f\x98\x80", *NO_TEXT]
_NAMES = b"config layers embeddings tensors codes scales ratios bias bits x blocks.0.query fc architecture items dim item_embedding"
_NAMES += b" positions_from_oldest"
PARTS = [*_NAMES.split(), b"", b"\xc3\xa9", b"a" * 40, *NO_TEXT]


def _other_value(rng: random.Random, entry: Entry) -> bytes:
    """The data with one element exchanged."""
    if entry.type == 6:
        return rng.choice(WORDS)
    width = _SIZES.get(entry.type, 1)
    if len(entry.data) < width:
        return entry.data
    values = {5: FLOATS, 4: INTEGERS, 3: [0, 1, -1, 2, 32767, -32768]}.get(entry.type, [0, 1, -1, 127, -127, -128, 8, -8, 0x78])
    value = rng.choice(values)
    raw = np.float32(value).tobytes() if entry.type == 5 else (int(value) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    at = rng.randrange(len(entry.data) // width) * width
    return entry.data[:at] + raw + entry.data[at + width :]


def _changed_entry(rng: random.Random, entry: Entry) -> Entry:
    what = rng.randrange(16)
    if what < 9:
        data = _other_value(rng, entry)
        return replace(entry, data=data, shape=(len(data), 0, 0, 0)) if entry.type == 6 else replace(entry, data=data)
    if what == 9:
        parts = entry.name.split(b"/")
        turn = rng.randrange(5)
        if turn == 0:
            parts[rng.randrange(len(parts))] = rng.choice(PARTS)
        elif turn == 1:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(PARTS))
        elif turn == 2:
            parts.pop(rng.randrange(len(parts)))
        elif turn == 3:
            parts[-1] += rng.choice([b"\0x", b"\xff", b"x", b"\xc3\xa9", b"a" * 88])
        else:
            parts = [rng.choice(PARTS) for _ in range(rng.randrange(1, 4))]
        return replace(entry, name=b"/".join(parts)[:88])
    if what == 10:
        return replace(entry, type=rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 1 << 31]))
    if what == 11:
        return replace(entry, rank=rng.choice([0, 1, 2, 3, 4, 5, (1 << 32) - 1]))
    shape = list(entry.shape)
    at = rng.randrange(4)
    if what == 12:
        shape[at] = rng.choice(DIMENSIONS)
        return replace(entry, shape=tuple(shape))
    if what in (13, 14):  # another shape, of the rank it has or of another, and data that fit it
        rank = entry.rank if what == 13 and entry.rank <= 4 else rng.randrange(5)
        shape = [shape[i] if i < entry.rank and rng.random() < 0.7 else rng.choice(DIMENSIONS[:11]) for i in range(rank)]
        elements = int(np.prod(shape, dtype=object)) if shape else 1
        size = _SIZES.get(entry.type, 1) * elements
        if size > 1 << 16:
            return entry
        filling = entry.data or b"\1"
        return replace(entry, rank=rank, shape=(*shape, *(0,) * (4 - rank)), data=(filling * (size // len(filling) + 1))[:size])
    if rng.random() < 0.5:
        return replace(entry, offset=rng.choice([0, 64, 63, 1 << 32, 1 << 63, (1 << 64) - 64]))
    return replace(entry, size=rng.choice([0, 1, len(entry.data) + 1, len(entry.data) + 64, 1 << 33, (1 << 64) - 1]))


def mutated_master(rng: random.Random, image: Image) -> Image:
    """A master with one to three changes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        entries = list(image.entries)
        at = rng.randrange(len(entries)) if entries else 0
        what = rng.randrange(20)
        if what < 11 and entries:
            entries[at] = _changed_entry(rng, entries[at])
        elif what == 11 and entries:
            del entries[at]
        elif what == 12 and entries:
            entries.insert(rng.randrange(len(entries) + 1), entries[at])
        elif what == 13 and entries:
            entries.insert(rng.randrange(len(entries) + 1), entries.pop(at))
        elif what == 14 and len(entries) > 1:
            at = at or 1
            entries[at - 1], entries[at] = entries[at], entries[at - 1]
        elif what == 15 and entries:
            entries.insert(rng.randrange(len(entries) + 1), _changed_entry(rng, replace(entries[at], name=entries[at].name[:87] + b"2")))
        elif what == 16:
            image = replace(image, tail=rng.choice([bytes(1), bytes(64), b"\1" * 64, bytes(63)]))
        elif what == 17:
            reserved = bytearray(image.reserved)
            reserved[rng.randrange(40)] = rng.choice([0, 1, 2, 3, 255])
            image = replace(image, reserved=bytes(reserved))
        elif what == 18:
            image = replace(image, dirt=rng.randrange(1 << 20))
        else:
            image = rng.choice([
                replace(image, count=rng.choice([0, 1, len(entries) + 1, len(entries) - 1, 4096, 4097, (1 << 32) - 1]) % (1 << 32)),
                replace(image, version=rng.choice([0, 1, 2, 3])),
                replace(image, magic=b"CHRD"),
                replace(image, length=rng.choice([0, 64, 1 << 40])),
                replace(image, checksum=0),
            ])  # fmt: skip
        image = replace(image, entries=tuple(entries))
    return image


def master_seeds() -> list[bytes]:
    """Small whole masters: what the engine runs, what it does not know, and what is none of ours."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        configs = [
            SASRecConfig(items=3, dim=16, max_length=4, blocks=1, heads=2, ffn_dim=20),
            SASRecConfig(items=3, dim=16, max_length=4, blocks=1, heads=1, activation="gelu", norm_first=True, positions_from_oldest=True),
            CaserConfig(items=3, dim=16, max_length=4, heights=(1, 3), filters=2, vertical_filters=1, item_bias=True),
            GRU4RecConfig(items=3, dim=16, max_length=4, hidden=4),
        ]
        seeds = [make_master(build(config), embedding_bits=bits).to_bytes() for config in configs for bits in (8, 4)]
    golden = json.loads((GOLDEN / "master.json").read_text())
    return [*seeds, bytes.fromhex(golden["bytes"]), bytes.fromhex(golden["grown"]["bytes"])]


class MasterReaders:
    """Both readers of masters, and the reference model that has to know every master that the engine runs."""

    def __init__(self) -> None:
        self.ffi, self.lib = native()
        self.sizes = self.ffi.new("chord_sizes *", {"struct_size": self.ffi.sizeof("chord_sizes")})
        self.diagnosis = self.ffi.new("chord_diagnosis *", {"struct_size": self.ffi.sizeof("chord_diagnosis")})
        self.info = self.ffi.new("chord_info *", {"struct_size": self.ffi.sizeof("chord_info")})
        self.memory = self.ffi.new("char[]", LARGEST_MODEL)
        self.model = self.ffi.new("chord_model **")
        self.whole = 0

    def answer_of_c(self, data: bytes) -> tuple[str, str, tuple[Any, ...]]:
        """(answer, sentence, what the model is)."""
        image = self.ffi.from_buffer(data)
        status = self.lib.chord_query_sizes(image, len(image), self.ffi.NULL, self.sizes, self.diagnosis)
        if status == self.lib.CHORD_OK:
            status = self.lib.chord_open(image, len(image), self.ffi.NULL, self.memory, LARGEST_MODEL, self.model, self.diagnosis)
            if status == self.lib.CHORD_NO_MEMORY and self.sizes.model_bytes > LARGEST_MODEL:
                return "runs", "", ()
            if status != self.lib.CHORD_OK and b"checksum" not in self.ffi.string(self.diagnosis.text):
                return "opens although the query refuses, or the reverse", "", ()
        if status == self.lib.CHORD_OK:
            self.lib.chord_describe(self.model[0], self.info)
            info = self.info
            return "runs", "", (bytes(self.ffi.buffer(info.fingerprint)), info.items, info.max_length, info.dim, info.channels)
        sentence = self.ffi.string(self.diagnosis.text).decode(errors="replace")
        return ("not run" if sentence.startswith("engine: ") else "malformed"), sentence, ()

    def answer_of_python(self, data: bytes) -> tuple[str, str, tuple[Any, ...]]:
        try:
            master = MasterWeights.from_bytes(data)
        except MasterError as error:
            return "malformed", str(error), ()
        self.whole += 1
        if self.whole % WRITTEN_EVERY == 0 and master.to_bytes() != data:
            return "reads back to other bytes", "", ()
        refusal = engine_refusal(master)
        if refusal is not None:
            return "not run", refusal, ()
        if self.whole % REFERENCE_EVERY == 0:
            from_master(master)
        config = master.config
        fingerprint = hashlib.sha256(data).digest()[:8] if master.origin is None else master.origin.fingerprint
        return "runs", "", (fingerprint, config["items"], config["max_length"], config["dim"],
                            master.channel_table.channels)  # fmt: skip


def masters(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """(answer of C, answer of Python, bytes), with no end; both answers carry what they should agree on."""
    readers, images = MasterReaders(), [Image.of(seed) for seed in master_seeds()]
    while True:
        data = mutated_master(rng, rng.choice(images)).to_bytes()
        one, sentence, found = readers.answer_of_c(data)
        try:
            other, remark, expected = readers.answer_of_python(data)
        except Exception as error:
            other, remark, expected = f"raises {error!r}", "", ()
        if one == other and (not found or found == expected):
            yield one, one, data
        else:
            yield f"{one} [{sentence}] {found}", f"{other} [{remark}] {expected}", data
