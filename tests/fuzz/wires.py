"""What the differential fuzzer (differential.py) compares of what is sent to an open model: strategies and user vectors."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from chordkit.backbones import CaserConfig, build, make_master
from chordkit.errors import StrategyError, UserVectorError
from chordkit.kernels.engine import native
from chordkit.strategy import Strategy, UserVector, decode, decode_user_vector, encode, encode_user_vector
from tests.fuzz.masters import FLOATS, INTEGERS


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
    """(answer of C, answer of Python, bytes) of strategies, with no end."""
    wires = Wires()
    widths = np.array([8, 4, 2], np.uint8)[np.arange(wires.channels) % 3]
    off = np.where(np.arange(wires.channels) % 5 == 0, np.uint8(0), widths)
    seeds = [encode(Strategy(each, wires.master.fingerprint), allow_off=True) for each in (widths, off)]
    seeds.append(encode(Strategy(widths, wires.master.fingerprint)))
    while True:
        data = _mutated_wire(rng, rng.choice(seeds), 20)
        yield (*_compared(wires.decode_strategy, wires.check_strategy, data), data)


def user_vectors(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """The same of user vectors."""
    wires = Wires()
    seed = encode_user_vector(UserVector((np.arange(wires.dim) - 8).astype(np.int8), 0.5, wires.master.fingerprint))
    while True:
        data = _mutated_wire(rng, seed, 24)
        yield (*_compared(wires.decode_user, wires.adopt_user, data), data)
