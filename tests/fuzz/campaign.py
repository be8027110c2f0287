"""What the fuzzers of parsers have in common: a campaign's counts, its loop and its command line."""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

Judged: TypeAlias = tuple[str, str, bytes]
"""What was answered, what is wrong with that (empty: nothing), and the input."""
_MOST_FAULTS, _MOST_FILES = 1000, 20
_LEAST = 500
"""Executions of a campaign that has a time, however slow the machine is: every answer comes within the first 130 of each parser."""


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


class Run(Protocol):
    """Makes a campaign."""

    def __call__(self, seconds: float, seed: int = 0, executions: int | None = None) -> Campaign: ...


def campaign(name: str, inputs: Callable[[random.Random], Iterator[Judged]], seconds: float, seed: int, executions: int | None) -> Campaign:
    """Execute until there are too many faults to look at.

    Args:
        name: of the campaign.
        inputs: executes, without an end, with inputs that a random source decides.
        seconds: how long.
        seed: of the source.
        executions: how often, instead of a time.
    """
    found, end = Campaign(name), time.monotonic() + seconds
    for answer, fault, data in inputs(random.Random(seed)):
        found.executions += 1
        found.answers[answer] += 1
        if fault:
            found.faults.append((fault, data))
        done = time.monotonic() >= end and found.executions >= _LEAST if executions is None else found.executions >= executions
        if done or len(found.faults) >= _MOST_FAULTS:
            break
    return found


def command(description: str | None, runs: Mapping[str, Run], arguments: list[str] | None = None) -> int:
    """Run campaigns from the command line; inputs that were answered otherwise are written down, and the exit status is 1."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parser", default=",".join(runs), help="which ones, with commas between them")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each parser")
    parser.add_argument("--executions", type=int, default=None, help="for each parser, instead of a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where inputs that are answered otherwise are written to")
    options = parser.parse_args(arguments)
    failed = False
    for name in options.parser.split(","):
        started = time.monotonic()
        found = runs[name](options.seconds, options.seed, options.executions)
        print(f"{found}, {found.executions / (time.monotonic() - started):,.0f} a second", flush=True)
        for number, (fault, data) in enumerate(found.faults[:_MOST_FILES]):
            failed = True
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"{name}-{options.seed}-{number}.bin"
            path.write_bytes(data)
            print(f"{path}: {fault}")
    return int(failed)
