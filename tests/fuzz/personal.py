"""Fuzzing of personal files: whatever is read is byte for byte what would be written; all else is a sentence, and soon.

``python -m tests.fuzz.personal [--seconds N] [--seed N] [--out FOLDER]`` runs a campaign and prints its counts; files that were
answered otherwise are written to FOLDER and the exit status is 1. Which files come in which order depends on the seed alone. Most have a
checksum that fits: a flipped byte would only ever test that.
"""

import random
import sys
import time
import zlib

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization import read_personal, write_personal
from tests.fuzz.campaign import Campaign, campaign, command
from tests.golden.masters import small_master

SLOWEST_S = 1.0
"""A file here takes a millisecond; whatever takes this long has been led astray by a number."""


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


def judged(data: bytes) -> tuple[str, str]:
    """(what the reader answered, what is wrong with that)."""
    begun, fault = time.perf_counter(), ""
    try:
        read = read_personal(data)
        answer = "read"
        read.master.to_bytes()
    except MasterError as error:
        answer = " ".join(str(error).split()[:4])
    except Exception as error:
        answer, fault = type(error).__name__, repr(error)[:200]
    return answer, fault or (f"slow: {answer}" if time.perf_counter() - begun > SLOWEST_S else "")


def run(seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """A campaign of so many seconds, or executions if they are fewer; the first is of a whole file."""
    whole = write_personal(small_master(), np.array([2, 4, 8, 0, 4], np.uint8))
    first = iter([whole])

    def execute(rng: random.Random) -> tuple[str, str, bytes]:
        data = next(first, None) or damaged(rng, whole)
        return *judged(data), data

    return campaign("personal", seconds, seed, executions, execute)


if __name__ == "__main__":
    sys.exit(command(__doc__, run))
