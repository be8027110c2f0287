"""Differential fuzzing: libchord and the Python readers must give the same answer to the same bytes.

``python -m tests.fuzz.differential [--parser master,strategy,user,samples,adapter] [--seconds N] [--seed N] [--out FOLDER]`` runs a
campaign for each parser and prints its counts; bytes on which the two disagree are written to FOLDER and the exit status is 1. Which inputs
come in which order depends on the seed alone.
"""

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial

from tests.fuzz import learner, masters, wires
from tests.fuzz.campaign import Campaign, Judged, campaign, command

PARSERS: dict[str, Callable[[random.Random], Iterator[tuple[str, str, bytes]]]] = {
    "master": masters.masters,
    "strategy": wires.strategies,
    "user": wires.user_vectors,
    "samples": learner.samples,
    "adapter": learner.adapters,
}
"""Of each parser: answers of C and of Python, and what they were given."""


@dataclass
class Campaign:
    """What came of so many executions."""

    parser: str
    executions: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    disagreements: list[tuple[str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        shares = ", ".join(f"{answer} {count:,}" for answer, count in self.answers.most_common())
        return f"{self.parser}: {self.executions:,} executions, {len(self.disagreements)} disagreements ({shares})"


# --- masters ----------------------------------------------------------------------------------------------------------

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


# --- strategies and user vectors --------------------------------------------------------------------------------------


def _mutated_wire(rng: random.Random, good: bytes, header: int) -> bytes:
    data = bytearray(good)
    for _ in range(rng.choice([1, 1, 2, 3])):
        what = rng.randrange(10)
        if what < 4 and data:
            at = rng.randrange(min(header, len(data))) if what < 2 else rng.randrange(len(data))
            data[at] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, data[at] ^ 1 << rng.randrange(8)])
        elif what == 4:
            data[-4:-4] = bytes([rng.randrange(256)])
        elif what == 5 and len(data) > 5:
            del data[rng.randrange(len(data))]
        elif what == 6:
            data = data[: rng.randrange(len(data) + 1)]
        elif what == 7 and len(data) >= 24:
            struct.pack_into("<I", data, rng.choice([16, 20]), rng.choice(INTEGERS) & 0xFFFFFFFF)
        elif what == 8 and len(data) >= 24:
            data[20:24] = np.float32(rng.choice([*FLOATS, 100.0, 100.00001, -100.0])).tobytes()
        elif len(data) > header + 5:
            data[-5] = rng.randrange(256)
    if rng.random() < 0.9 and len(data) >= 4:
        data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    return bytes(data)


# What C says, by the check that fails, in the words of Python's sentences.
_CHECKS = [("too few", "length"), ("magic", "magic"), ("version", "version"), ("encoding", "encoding"), ("flags 0x", "flags"),
           ("reserved", "reserved"), ("fingerprint", "fingerprint"), (" channels, the", "channel count"), ("dim is", "dim"),
           ("the length", "length"), ("checksum", "CRC"), ("scale", "scale"), ("unused bits", "pad bits"), ("is off", "code"),
           ("-128", "code")]  # fmt: skip


def _check_named(sentence: str) -> str:
    return next((check for words, check in _CHECKS if words in sentence), sentence)


def _compared(decoded: Callable[[bytes], tuple[str, bytes]], checked: Callable[[bytes], tuple[str, bytes]], data: bytes) -> tuple[str, str]:
    """The two answers: "accepted", or the check that refuses; what was read is part of them where it differs."""
    one, found = checked(data)
    try:
        other, expected = decoded(data)
    except (StrategyError, UserVectorError) as error:
        other, expected = str(error).split(": ")[1], b""
    except Exception as error:
        other, expected = f"raises {error!r}", b""
    return (one, other) if found == expected else (f"{one} {found.hex()}", f"{other} {expected.hex()}")


class Wires:
    """An open model, for what is sent to it."""

    def __init__(self) -> None:
        self.ffi, self.lib = native()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            # 9 filters make the number of channels none of 4 times something: there are pad bits.
            config = CaserConfig(items=3, dim=16, max_length=4, heights=(1,), filters=9, vertical_filters=1)
            self.master = make_master(build(config))
        self.image = self.ffi.from_buffer(self.master.to_bytes())
        sizes = self.ffi.new("chord_sizes *", {"struct_size": self.ffi.sizeof("chord_sizes")})
        assert self.lib.chord_query_sizes(self.image, len(self.image), self.ffi.NULL, sizes, self.ffi.NULL) == 0
        self.memory, self.scratch = self.ffi.new("char[]", sizes.model_bytes), self.ffi.new("char[]", sizes.session_bytes)
        model, session = self.ffi.new("chord_model **"), self.ffi.new("chord_session **")
        arguments = (self.image, len(self.image), self.ffi.NULL, self.memory, sizes.model_bytes, model, self.ffi.NULL)
        assert self.lib.chord_open(*arguments) == 0
        assert self.lib.chord_session_open(model[0], self.scratch, sizes.session_bytes, session) == 0
        self.model, self.session = model[0], session[0]
        self.diagnosis = self.ffi.new("chord_diagnosis *", {"struct_size": self.ffi.sizeof("chord_diagnosis")})
        self.channels, self.dim = self.master.channel_table.channels, self.master.dim
        self.widths = self.ffi.new("uint8_t[]", self.channels)

    def _sentence(self) -> str:
        return _check_named(self.ffi.string(self.diagnosis.text).decode(errors="replace"))

    def check_strategy(self, data: bytes) -> tuple[str, bytes]:
        status = self.lib.chord_check_strategy(self.model, self.ffi.from_buffer(data), len(data), self.widths, self.diagnosis)
        return ("accepted", bytes(self.ffi.buffer(self.widths))) if status == 0 else (self._sentence(), b"")

    def decode_strategy(self, data: bytes) -> tuple[str, bytes]:
        return "accepted", decode(data, fingerprint=self.master.fingerprint, channels=self.channels).widths.tobytes()

    def adopt_user(self, data: bytes) -> tuple[str, bytes]:
        status = self.lib.chord_adopt_user(self.session, self.ffi.from_buffer(data), len(data), self.diagnosis)
        return ("accepted", data) if status == 0 else (self._sentence(), b"")

    def decode_user(self, data: bytes) -> tuple[str, bytes]:
        return "accepted", encode_user_vector(decode_user_vector(data, fingerprint=self.master.fingerprint, dim=self.dim))


def strategies(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """As :func:`masters`, for strategies."""
    wires = Wires()
    widths = np.array([8, 4, 2], np.uint8)[np.arange(wires.channels) % 3]
    off = np.where(np.arange(wires.channels) % 5 == 0, np.uint8(0), widths)
    seeds = [encode(Strategy(each, wires.master.fingerprint), allow_off=True) for each in (widths, off)]
    seeds.append(encode(Strategy(widths, wires.master.fingerprint)))
    while True:
        data = _mutated_wire(rng, rng.choice(seeds), 20)
        yield (*_compared(wires.decode_strategy, wires.check_strategy, data), data)


def user_vectors(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """As :func:`masters`, for user vectors."""
    wires = Wires()
    seed = encode_user_vector(UserVector((np.arange(wires.dim) - 8).astype(np.int8), 0.5, wires.master.fingerprint))
    while True:
        data = _mutated_wire(rng, seed, 24)
        yield (*_compared(wires.decode_user, wires.adopt_user, data), data)


PARSERS = {"master": masters, "strategy": strategies, "user": user_vectors, "samples": learner.samples, "adapter": learner.adapters}


def run(parser: str, seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """Compare the two readers of ``parser``; arguments as of :func:`tests.fuzz.campaign.campaign`."""
    return campaign(parser, partial(judged, parser), seconds, seed, executions)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return command(__doc__, {parser: partial(run, parser) for parser in PARSERS}, arguments)


if __name__ == "__main__":
    sys.exit(main())
