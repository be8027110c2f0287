"""Fuzzing of the patcher: a master file and a strategy give what docs/patching.md says, or a sentence; never a wrong file.

``python -m tests.fuzz.patches [--seconds N] [--seed N] [--out FOLDER]`` runs a campaign and prints its counts; inputs that were answered
otherwise are written to FOLDER and the exit status is 1. Which inputs come in which order depends on the seed alone.

Tables are changed field by field and sealed with a checksum that fits: a flipped byte would only ever test the checksum.
"""

import random
import struct
import sys
import time
import zlib
from collections.abc import Iterator

import numpy as np

from chordkit.errors import PatchError, StrategyError
from chordkit.patching import MOST_GAP, MasterFile, PatchedLayer, PatchTable, attached
from chordkit.strategy import Strategy, to_wire
from tests.fuzz.campaign import Campaign, Judged, campaign, command
from tests.patching.test_master_file import by_the_book

FINGERPRINT = b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7"
HEADER, ENTRY = 28, 24
SLOWEST_S = 0.5
"""The largest of these files takes some milliseconds; whatever takes the processor this long is a fault."""


def some_file(rng: random.Random) -> bytes:
    """A master file of one to four layers, their pieces in any order with other bytes between them."""
    numbers = np.random.default_rng(rng.randrange(1 << 30))
    sizes = [(rng.choice([1, 2, 3, 9]), rng.choice([1, 2, 5, 16])) for _ in range(rng.choice([1, 1, 2, 4]))]
    strides = [columns + rng.choice([0, 0, 1, 7]) for _, columns in sizes]
    pieces = [(layer, kind) for layer in range(len(sizes)) for kind in range(2)]
    rng.shuffle(pieces)
    data, places = bytearray(rng.randbytes(rng.choice([0, 3, 16]))), {}
    for layer, kind in pieces:
        (rows, columns), stride = sizes[layer], strides[layer]
        places[layer, kind] = len(data)
        bytes_ = (rows - 1) * stride + columns if kind == 0 else 4 * rows
        data += numbers.integers(-127, 128, bytes_).astype(np.int8).tobytes() + rng.randbytes(rng.choice([0, 0, 1, 5]))
    layers = tuple(
        PatchedLayer(places[index, 0], stride, *size, places[index, 1], rng.choice([1.0, 0.125, 1e-30]))
        for index, (size, stride) in enumerate(zip(sizes, strides, strict=True))
    )
    channels = sum(rows for rows, _ in sizes)
    scales = numbers.uniform(1e-3, 1, (2, channels)).astype(np.float32)
    ratios = numbers.integers(1, 32768, (2, channels)).astype(np.int16)
    return attached(bytes(data), PatchTable(FINGERPRINT, layers, scales, ratios), rng.randbytes(rng.choice([0, 0, 5, MOST_GAP])))


def _changed(rng: random.Random, data: bytes) -> bytes:
    """One change of bytes: another value, a bit, some out, some in, cut, doubled."""
    at, what = rng.randrange(len(data)), rng.randrange(6)
    if what == 0:
        return data[:at] + bytes([rng.choice([0, 1, 127, 128, 255])]) + data[at + 1 :]
    if what == 1:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if what == 2:
        return data[:at] + data[at + rng.choice([1, 2, 9]) :]
    if what == 3:
        return data[:at] + rng.randbytes(rng.choice([1, 4])) + data[at:]
    return data[:at] if what == 4 else data + data[at:]


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def mutated(rng: random.Random) -> bytes:
    """A master file with up to three changes of its table's fields, mostly with a checksum that fits."""
    data = bytearray(some_file(rng)[:-4])
    (size,) = struct.unpack_from("<I", data, len(data) - 4)
    begin = len(data) + 4 - size
    channels, layers = struct.unpack_from("<II", data, begin + 20)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        kind = rng.randrange(8)
        if kind == 0:
            at, code = rng.choice([(0, "B"), (4, "B"), (5, "B"), (6, "H"), (8, "B"), (16, "I"), (20, "I"), (24, "I")])
            at += begin
        elif kind == 1:
            at, code = len(data) - 4, "I"
        elif kind < 6:
            at, code = begin + HEADER + ENTRY * rng.randrange(layers) + 4 * rng.randrange(6), "I"
        else:
            at, code = begin + HEADER + ENTRY * layers + 4 * rng.randrange(3 * channels), "I"
        (now,) = struct.unpack_from(f"<{code}", data, at)
        value = rng.choice([0, 1, now + 1, now - 1, now + rng.randrange(64), now ^ 1 << rng.randrange(32), 1 << 31, -1, 0x7FC00000])
        struct.pack_into(f"<{code}", data, at, value % (1 << 8 * struct.calcsize(code)))
    sealed = _sealed(bytes(data))
    return _changed(rng, sealed) if rng.random() < 0.1 else sealed


def some_strategy(rng: random.Random, data: bytes) -> bytes:
    """A strategy of as many channels as a file says it has, mostly for its backbone; off channels among them."""
    channels = 4
    if len(data) > HEADER + 8:
        begin = len(data) - struct.unpack_from("<I", data, len(data) - 8)[0]
        channels = struct.unpack_from("<I", data, begin + 20)[0] if 0 <= begin <= len(data) - HEADER else channels
    widths = np.array([rng.choice([0, 2, 4, 8]) for _ in range(max(1, min(channels, 1000)))], np.uint8)
    return to_wire(Strategy(widths, rng.choice([FINGERPRINT, FINGERPRINT, FINGERPRINT, bytes(8)])))


def answered(data: bytes, strategy: bytes) -> tuple[str, bytes]:
    """What the patcher says: "accepted" and the result, or the check that refuses and nothing.

    Raises:
        Exception: whatever is neither.
    """
    try:
        return "accepted", MasterFile(data).patched(strategy)
    except (PatchError, StrategyError) as error:
        kind, check = str(error).split(": ")[:2]
        if kind not in ("patch table", "strategy"):
            raise
        return check, b""


def judged(data: bytes, strategy: bytes) -> tuple[str, str]:
    """(what the patcher answered, what is wrong with that)."""
    began = time.process_time()
    try:
        answer, result = answered(data, strategy)
    except Exception as error:
        answer, fault = "error", f"{type(error).__name__}: {error}"
    else:
        right = answer != "accepted" or result == by_the_book(data, widths_of(strategy))
        fault = "" if right else "it is not what docs/patching.md says"
    return answer, fault or ("it took long" if time.process_time() - began > SLOWEST_S else "")


def widths_of(strategy: bytes) -> list[int]:
    """The widths of a strategy that is known to be whole."""
    (channels,) = struct.unpack_from("<I", strategy, 16)
    return [(0, 2, 4, 8)[strategy[20 + channel // 4] >> 2 * (channel % 4) & 3] for channel in range(channels)]


def examples(count: int, seed: int = 1) -> list[dict[str, str]]:
    """Inputs with what they are answered, for the other languages; bytes are hexadecimal."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        data = mutated(rng)
        strategy = some_strategy(rng, data)
        answer, result = answered(data, strategy)
        found.append({"file": data.hex(), "strategy": strategy.hex(), "answer": answer, "result": result.hex()})
    return found


def inputs(rng: random.Random) -> Iterator[Judged]:
    """Inputs with what became of them, without an end."""
    while True:
        data = mutated(rng)
        yield *judged(data, some_strategy(rng, data)), data


def run(seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """A campaign; arguments as of :func:`tests.fuzz.campaign.campaign`."""
    return campaign("patches", inputs, seconds, seed, executions)


if __name__ == "__main__":
    sys.exit(command(__doc__, {"patches": run}))
