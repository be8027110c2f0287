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


def judged(parser: str, rng: random.Random) -> Iterator[Judged]:
    """The answers that are the same, and those that are not as faults."""
    for of_c, of_python, data in PARSERS[parser](rng):
        yield (of_c, "", data) if of_c == of_python else ("disagreement", f"libchord: {of_c}; Python: {of_python}", data)


def run(parser: str, seconds: float, seed: int = 0, executions: int | None = None) -> Campaign:
    """Compare the two readers of ``parser``; arguments as of :func:`tests.fuzz.campaign.campaign`."""
    return campaign(parser, partial(judged, parser), seconds, seed, executions)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return command(__doc__, {parser: partial(run, parser) for parser in PARSERS}, arguments)


if __name__ == "__main__":
    sys.exit(main())
