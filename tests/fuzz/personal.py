"""Fuzzing of personal files: whatever is read is byte for byte what would be written; all else is a sentence, and soon.

``python -m tests.fuzz.personal [--seconds N] [--seed N]`` runs a campaign and prints its counts; the exit status is 1 where a file was
answered otherwise. Which files come in which order depends on the seed alone. Most have a checksum that fits: a flipped byte would only
ever test that.
"""

import argparse
import random
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization import read_personal, write_personal
from tests.golden.masters import small_master

SLOWEST_S = 1.0
"""A file here takes a millisecond; whatever takes this long has been led astray by a number."""


@dataclass
class Campaign:
    """What came of so many executions."""

    executions: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        shares = ", ".join(f"{answer} {count:,}" for answer, count in self.answers.most_common(12))
        return f"personal: {self.executions:,} executions, {len(self.faults)} faults ({shares})"


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


def judge(data: bytes, campaign: Campaign) -> None:
    """Read one file, and hold the answer against what it may be."""
    campaign.executions += 1
    begun = time.perf_counter()
    try:
        read = read_personal(data)
        answer = "read"
        read.master.to_bytes()
    except MasterError as error:
        answer = " ".join(str(error).split()[:4])
    except Exception as error:
        answer = type(error).__name__
        campaign.faults.append((repr(error)[:200], data))
    if time.perf_counter() - begun > SLOWEST_S:
        campaign.faults.append((f"slow: {answer}", data))
    campaign.answers[answer] += 1


def run(seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """A campaign of so many seconds, or executions if they are fewer."""
    rng, campaign, end = random.Random(seed), Campaign(), time.perf_counter() + seconds
    whole = write_personal(small_master(), np.array([2, 4, 8, 0, 4], np.uint8))
    judge(whole, campaign)
    while time.perf_counter() < end and (executions is None or campaign.executions < executions):
        judge(damaged(rng, whole), campaign)
    return campaign


def main() -> int:
    """Run a campaign as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    campaign = run(arguments.seconds, arguments.seed)
    print(campaign)
    for fault, data in campaign.faults[:5]:
        print(fault, data.hex())
    return int(bool(campaign.faults))


if __name__ == "__main__":
    sys.exit(main())
