"""Where this process stands among those that a launcher (torchrun, Ray, Spark, a cluster's operator) started to work as one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from chordkit.errors import ProcessError

_START = "start them with 'torchrun --nproc-per-node N -m chordkit train ...', or remove RANK and WORLD_SIZE to train in one process"
_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One of several processes; the first one leads: it alone writes files, prints and shows progress.

    Attributes:
        rank: 0 for the one that leads.
        size: how many there are.
        local_rank: its number on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def follows(self) -> bool:
        """Whether another process leads."""
        return self.rank > 0

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> "Place":
        """What the environment says, in the variables that torchrun sets; alone, where it says nothing.

        Raises:
            ProcessError: it contradicts itself, or lacks something.
        """
        size = _number(environment, "WORLD_SIZE", 1, 1 << 20)
        if size == 1:
            return cls()
        for name in ("RANK", *_ADDRESS):
            if not environment.get(name):
                raise ProcessError(f"WORLD_SIZE = {size} says that several processes train together, but {name} is not set: {_START}")
        _number(environment, "MASTER_PORT", 1, 65_535)
        return cls(_number(environment, "RANK", 0, size - 1), size, _number(environment, "LOCAL_RANK", 0, size - 1))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def several() -> bool:
    """Whether several processes work as one here. A wrong environment is told where they would come together, not here."""
    return _claimed().size > 1


def follows() -> bool:
    """Whether another process leads this one; as for :func:`several`."""
    return _claimed().follows


def told_by() -> str:
    """What begins a sentence about this process, where people would take it for one about the process that leads."""
    place = _claimed()
    return f"process {place.rank} of {place.size}: " if place.follows else ""


def _claimed() -> Place:
    try:
        return Place.here()
    except ProcessError:
        return Place()


def _number(environment: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = environment.get(name) or str(low)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ProcessError(f"{name} = {text!r} is not possible here, it is a whole number of {low} to {high}: {_START}")
    return int(text)
