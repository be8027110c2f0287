"""Fuzzing of the decoder of samples (CHRS): it answers with samples that are written as they were read, or with a sentence.

``python -m tests.fuzz.samples [--seconds N] [--seed N] [--out FOLDER]`` runs a campaign and prints its counts; bytes that were answered
otherwise are written to FOLDER and the exit status is 1. Which inputs come in which order depends on the seed alone.

Payloads are taken apart and changed before they are deflated, and sealed with a checksum that fits: a flipped byte would only ever test
the checksum.
"""

import random
import struct
import sys
import time
import zlib
from collections.abc import Iterator

import numpy as np

from chordkit.coda.samples import MOST_ITEMS, Segments, decode_samples, encode_samples
from chordkit.errors import SampleError
from tests.fuzz.campaign import Campaign, Judged, campaign, command

FINGERPRINT, ITEMS = b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7", 1000
SLOWEST_S = 0.5
"""The largest samples take some 20 ms; whatever takes the processor this long is a fault."""


def some_segments(rng: random.Random) -> Segments:
    histories, targets = [], []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 8])):
        length = rng.choice([2, 2, 3, 7, 8, 9, 60, 130])
        histories.append(np.array([rng.randrange(1, rng.choice([3, 200, ITEMS + 1])) for _ in range(length)], np.int32))
        marks = np.array([False, *(rng.random() < 0.4 for _ in range(length - 1))])
        marks[-1] |= not marks.any()
        targets.append(marks)
    return Segments(histories, targets)


def _changed(rng: random.Random, data: bytes) -> bytes:
    """One change of bytes: another value, bits, some out, some in, cut, doubled."""
    at = rng.randrange(len(data) + 1)
    what = rng.randrange(8)
    if what < 3 and data:
        at = min(at, len(data) - 1, rng.choice([3, 20, 1 << 20]))
        return data[:at] + bytes([rng.choice([0, 1, 2, 127, 128, 129, 255, rng.randrange(256)])]) + data[at + 1 :]
    if what == 3 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if what == 4:
        return data[:at] + data[at + rng.choice([1, 2, 9]) :]
    if what == 5:
        return data[:at] + rng.choice([b"\0", b"\x80", b"\x80\x80\x80\x80\x08", rng.randbytes(3)]) + data[at:]
    return data[:at] if what == 6 else data + data[at:]


def _deflated(rng: random.Random, payload: bytes) -> bytes:
    deflate = zlib.compressobj(rng.choice([0, 1, 9]), zlib.DEFLATED, -15)
    return deflate.compress(payload) + deflate.flush()


def mutated(rng: random.Random) -> bytes:
    """Samples with up to three changes, in payload, stream or header, mostly with a checksum that fits."""
    data = encode_samples(some_segments(rng), FINGERPRINT)
    header, payload = data[:24], zlib.decompress(data[24:-4], wbits=-15)
    where = rng.randrange(10)
    if where < 6:
        for _ in range(rng.choice([1, 1, 2, 3])):
            payload = _changed(rng, payload)
    stream = _deflated(rng, payload)
    if where == 6:
        stream = _changed(rng, stream)
    elif where == 7:
        at, code = rng.choice([(0, "B"), (4, "B"), (5, "B"), (6, "H"), (8, "Q"), (16, "H"), (18, "H"), (20, "I"), (20, "I")])
        value = rng.choice([0, 1, 2, 3, 5, 255, MOST_ITEMS, MOST_ITEMS + 1, (1 << 32) - 1]) % (1 << 8 * struct.calcsize(code))
        header = header[:at] + struct.pack(f"<{code}", value) + header[at + struct.calcsize(code) :]
    elif where == 8:
        stream = rng.choice([rng.randbytes(rng.randrange(40)), _deflated(rng, bytes(rng.choice([1 << 10, 1 << 22])))])
    body = header + stream
    sealed = body + zlib.crc32(body).to_bytes(4, "little")
    return _changed(rng, sealed) if rng.random() < 0.1 else sealed


def _payload(data: bytes) -> bytes | None:
    """What is deflated between header and checksum, if that is one whole stream."""
    stream = zlib.decompressobj(-15)
    payload = stream.decompress(data[24:-4])
    return payload if stream.eof and not stream.unused_data else None


def judged(data: bytes) -> tuple[str, str]:
    """(what the decoder answered, what is wrong with that)."""
    began = time.process_time()
    try:
        segments = decode_samples(data, fingerprint=FINGERPRINT, items=ITEMS)
    except SampleError as error:
        answer, fault = str(error).split(": ")[1], "" if str(error).startswith("samples: ") else f"another sentence: {error}"
    except Exception as error:
        answer, fault = "error", f"{type(error).__name__}: {error}"
    else:
        again = encode_samples(segments, FINGERPRINT)
        same = again[:24] == data[:24] and _payload(again) == _payload(data)
        answer, fault = "accepted", "" if same else "it is not written as it was read"
    return answer, fault or ("it took long" if time.process_time() - began > SLOWEST_S else "")


def inputs(rng: random.Random) -> Iterator[Judged]:
    """Inputs with what became of them, without an end."""
    while True:
        data = mutated(rng)
        yield *judged(data), data


def run(seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """A campaign; arguments as of :func:`tests.fuzz.campaign.campaign`."""
    return campaign("samples", inputs, seconds, seed, executions)


if __name__ == "__main__":
    sys.exit(command(__doc__, {"samples": run}))
