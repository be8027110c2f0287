"""What the fuzzers of parsers have in common: a campaign's counts, its loop and its command line."""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Campaign:
    """What came of so many executions."""

    name: str
    executions: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        shares = ", ".join(f"{answer} {count:,}" for answer, count in self.answers.most_common())
        return f"{self.name}: {self.executions:,} executions, {len(self.faults)} faults ({shares})"


def campaign(
    name: str, seconds: float, seed: int, executions: int | None, execute: Callable[[random.Random], tuple[str, str, bytes]]
) -> Campaign:
    """Execute for so many seconds, or so often; ``execute`` gives what was answered, what is wrong with that, and the input."""
    rng, found, end = random.Random(seed), Campaign(name), time.monotonic() + seconds
    while time.monotonic() < end and found.executions != executions:
        answer, fault, data = execute(rng)
        found.executions += 1
        found.answers[answer] += 1
        if fault:
            found.faults.append((fault, data))
    return found


def command(description: str | None, run: Callable[[float, int], Campaign], arguments: list[str] | None = None) -> int:
    """Run a campaign from the command line; inputs that were answered otherwise are written down, and the exit status is 1."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args(arguments)
    found = run(options.seconds, options.seed)
    print(found)
    for number, (fault, data) in enumerate(found.faults):
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{found.name}-{options.seed}-{number}.bin"
        path.write_bytes(data)
        print(f"{path}: {fault}")
    return 1 if found.faults else 0
