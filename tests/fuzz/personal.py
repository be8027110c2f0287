"""Fuzzing of personal files: whatever is read is byte for byte what would be written; all else is a sentence, and soon. The reader in C
gives the same answer, and the same master.

``python -m tests.fuzz.personal [--seconds N] [--seed N] [--out FOLDER]`` runs a campaign and prints its counts; files that were
answered otherwise are written to FOLDER and the exit status is 1. Which files come in which order depends on the seed alone. Most have a
checksum that fits: a flipped byte would only ever test that.
"""

import random
import sys
import time
import zlib
from collections.abc import Iterator

import numpy as np

from chordkit.errors import MasterError
from chordkit.kernels.engine import native
from chordkit.quantization import read_personal, write_personal
from tests.fuzz.campaign import Campaign, Judged, campaign, command
from tests.golden.masters import small_master

SLOWEST_S = 1.0
"""A file here takes a millisecond; whatever takes the processor this long has been led astray by a number."""

LARGEST_MASTER = 1 << 24
"""Channels that are off take nothing of a file: larger ones are left unmade in C."""


def damaged(rng: random.Random, data: bytes) -> bytes:
    """A file with some bytes changed, put in, or left out, and mostly the length and the checksum that fit."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(4 if rng.random() < 0.1 else 16, len(changed))
        match rng.randrange(4):
            case 0:
                changed[place] = rng.choice([0, 1, 2, 8, 127, 128, 255, rng.randrange(256)])
            case 1:
                changed[place : place + 4] = rng.choice([0, 1, 0xFFFFFFFF, 1 << 31, 1 << 27, rng.randrange(64)]).to_bytes(4, "little")
            case 2:
                changed[place:place] = rng.randbytes(rng.choice([1, 4, 16]))
            case _:
                del changed[place : place + rng.choice([1, 4, 16])]
    if rng.random() < 0.95:
        changed[8:12] = len(changed).to_bytes(4, "little")
        changed[12:16] = zlib.crc32(changed[16:]).to_bytes(4, "little")
    return bytes(changed)


def expanded_in_c(data: bytes) -> bytes | str:
    """The master that libchord makes of a file, or its refusal."""
    ffi, lib = native()
    found = ffi.new("chord_personal *", {"struct_size": ffi.sizeof("chord_personal")})
    diagnosis = ffi.new("chord_diagnosis *", {"struct_size": ffi.sizeof("chord_diagnosis")})
    file = ffi.from_buffer(data)
    status = lib.chord_personal_query(file, len(data), found, diagnosis)
    if status == lib.CHORD_OK and found.master_bytes <= LARGEST_MASTER:
        memory = ffi.new("char[]", found.master_bytes)
        status = lib.chord_personal_expand(file, len(data), memory, found.master_bytes, diagnosis)
        if status == lib.CHORD_OK:
            return bytes(ffi.buffer(memory))
    assert status in (lib.CHORD_OK, lib.CHORD_BAD_MASTER)
    return str(ffi.string(diagnosis.text).decode(errors="replace"))


def judged(data: bytes) -> tuple[str, str]:
    """(what the reader answered, what is wrong with that)."""
    begun, fault, expanded = time.process_time(), "", None
    try:
        expanded = read_personal(data).master.to_bytes()
        answer = "read"
    except MasterError as error:
        answer = " ".join(str(error).split()[:4])
    except Exception as error:
        answer, fault = type(error).__name__, repr(error)[:200]
    in_c = expanded_in_c(data)
    if in_c != expanded if isinstance(in_c, bytes) else expanded is not None and len(expanded) <= LARGEST_MASTER:
        fault = fault or f"Python: {answer}; C: {in_c if isinstance(in_c, str) else 'another master'}"
    return answer, fault or (f"slow: {answer}" if time.process_time() - begun > SLOWEST_S else "")


def inputs(rng: random.Random) -> Iterator[Judged]:
    """Inputs with what became of them, without an end; the first is a whole file."""
    data = whole = write_personal(small_master(), np.array([2, 4, 8, 0, 4], np.uint8))
    while True:
        yield *judged(data), data
        data = damaged(rng, whole)


def run(seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """A campaign; arguments as of :func:`tests.fuzz.campaign.campaign`."""
    return campaign("personal", inputs, seconds, seed, executions)


if __name__ == "__main__":
    sys.exit(command(__doc__, {"personal": run}))
