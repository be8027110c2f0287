"""What the differential fuzzer (differential.py) compares of the learner: samples (CHRS) and adapters (CHRA), in C and in Python."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.coda.adapter import NO_STRATEGY, Adapter, decode_adapter, encode_adapter
from chordkit.coda.samples import decode_samples
from chordkit.errors import AdapterError, SampleError
from chordkit.kernels import Engine
from chordkit.kernels.learner import Learner
from tests.fuzz.samples import FINGERPRINT, ITEMS, mutated

Read = Callable[[bytes], bytes]


def _engine() -> Engine:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Engine(make_master(build(SASRecConfig(items=ITEMS, dim=16, max_length=4, blocks=1, heads=1))).to_bytes())


def _answer(read: Read, data: bytes) -> tuple[str, bytes]:
    """ "accepted" and what was read, or the check that refuses."""
    try:
        return "accepted", read(data)
    except (SampleError, AdapterError) as error:
        return str(error).split(": ")[1], b""
    except Exception as error:
        return f"raises {error!r}", b""


def _compared(of_c: Read, of_python: Read, data: bytes) -> tuple[str, str, bytes]:
    (one, found), (other, expected) = _answer(of_c, data), _answer(of_python, data)
    return (one, other, data) if found == expected else (f"{one} {found.hex()}", f"{other} {expected.hex()}", data)


def _sealed(body: bytes | bytearray) -> bytes:
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


def samples(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """(answer of C, answer of Python, bytes) of samples, with no end."""
    engine = _engine()
    learner = Learner(engine)

    def of_c(data: bytes) -> bytes:
        items, places = learner.read_samples(data)
        return items.tobytes() + places.tobytes()

    def of_python(data: bytes) -> bytes:
        segments = decode_samples(data, fingerprint=engine.fingerprint, items=ITEMS)
        begins = np.cumsum([0, *map(len, segments.histories)])
        places = [(begin, begin + at) for begin, marks in zip(begins, segments.targets, strict=False) for at in np.flatnonzero(marks)]
        flat = np.concatenate([np.zeros(0, np.int32), *segments.histories])
        return flat.tobytes() + np.array(places, np.uint32).reshape(-1, 2).tobytes()

    while True:
        data = mutated(rng)
        if data[8:16] == FINGERPRINT and rng.random() < 0.97:
            body = data[:8] + engine.fingerprint + data[16:-4]
            whole = len(data) >= 28 and zlib.crc32(data[:-4]).to_bytes(4, "little") == data[-4:]
            data = _sealed(body) if whole else body + data[-4:]
        yield _compared(of_c, of_python, data)


def adapters(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """The same of adapters: what is read of one is what it makes of a state and of scores."""
    engine = _engine()
    learner, hidden = Learner(engine), np.linspace(-1, 1, engine.dim, dtype=np.float32)

    def of_c(data: bytes) -> bytes:
        learner.adapt(data, hidden)
        return data

    def of_python(data: bytes) -> bytes:
        return encode_adapter(decode_adapter(data, fingerprint=engine.fingerprint, strategy=NO_STRATEGY, dim=engine.dim, items=ITEMS))

    while True:
        count = rng.choice([0, 1, 5, 256])
        items = np.sort(np.array(rng.sample(range(1, ITEMS + 1), count), np.int32))
        values = np.array([rng.choice([0.0, -0.0, 0.5, -1e4, 1e4]) for _ in range(10 * engine.dim + count)], np.float32)
        data = bytearray(encode_adapter(Adapter(values, engine.dim, items, engine.fingerprint))[:-4])
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            what, at = rng.randrange(8), rng.randrange(len(data))  # of a change, and where
            if what < 2:
                data[rng.choice([0, 4, 5, 6, 7, 8, 16, 24, 28])] = rng.choice([0, 1, 2, 8, 16, 255])
            elif what == 2:
                struct.pack_into("<I", data, rng.choice([24, 28]), rng.choice([0, 1, 6, 15, 16, 255, 256, 257, (1 << 32) - 1]))
            elif what == 3 and count:
                struct.pack_into("<i", data, 32 + 4 * rng.randrange(count), rng.choice([0, 1, -1, ITEMS, ITEMS + 1, (1 << 31) - 1]))
            elif what == 4:
                struct.pack_into("<f", data, len(data) - 4 * rng.randrange(1, 9), rng.choice([np.nan, np.inf, -np.inf, 10001.0, -1e-45]))
            elif what == 5:
                del data[at : at + rng.choice([1, 4, len(data)])]
                break
            elif what == 6:
                data[at:at] = bytes(rng.choice([1, 4]))
            else:
                data[at] ^= 1 << rng.randrange(8)
        sealed = _sealed(data)
        yield _compared(of_c, of_python, sealed if rng.random() < 0.95 else sealed[:-1] + bytes([sealed[-1] ^ 1]))
