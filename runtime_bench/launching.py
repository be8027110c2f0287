"""One launch on a device: a fresh process that loads one artifact, scores all test inputs, and measures what it is started for."""

import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import DeviceError
from chordkit.export.parity import Ids
from chordkit.runtime_bench.android.lock import clear_leftovers
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.records import Records, read_records
from chordkit.runtime_bench.runners.launch import Launch

COUNTED_CALLS = 64
EMULATED_TIMEOUT_S = 900.0
TIMEOUT_S = 120.0
_WRONG_INPUT = 2


class Purpose(Enum):
    """What a launch is for."""

    TIMES = "times"
    COUNTS = "counts"
    MEMORY = "memory"


class RefusedError(DeviceError):
    """The program on the device said that it cannot run this artifact."""


@dataclass(frozen=True)
class Room:
    """A folder on the device for this run, and its counterpart here. ``leaving``: done at the end, whatever happens."""

    device: Device
    here: Path
    there: str
    leaving: list[Callable[[], None]] = field(default_factory=list)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        try:
            yield
        finally:
            for leave in self.leaving:
                with contextlib.suppress(DeviceError):
                    leave()
            # The device may be gone, which is then already being told.
            with contextlib.suppress(DeviceError):
                clear_leftovers(self.device)
                self.device.run(["rm", "-rf", self.there], 30)

    def put(self, file: Path, name: str) -> str:
        place = f"{self.there}/{name}"
        self.device.push(file, place)
        return place

    def put_array(self, values: Ids, name: str) -> str:
        file = self.here / name
        np.ascontiguousarray(values, dtype="<i4").tofile(file)
        return self.put(file, name)


@dataclass(frozen=True)
class Answer:
    """What a launch left: float32 scores of all inputs, one after the other, and its records. Neither is looked into yet."""

    scores: NDArray[np.float32]
    records: Path

    def read(self) -> Records:
        """The records.

        Raises:
            DeviceError: they are none.
        """
        return read_records(self.records)


class Way(ABC):
    """How a process that measures one artifact is started, and what it is asked for."""

    purposes: frozenset[Purpose] = frozenset(Purpose)
    """What it can be started for."""

    @abstractmethod
    def launch(self, purpose: Purpose) -> Answer:
        """Start it and wait for its end.

        Raises:
            DeviceError: the device went away, or the process failed; as a :class:`RefusedError` when it cannot run this artifact.
        """

    def reasons(self, records: Records) -> list[str]:
        """Why times of this launch should not be compared with others."""
        return []


@dataclass(frozen=True)
class ProgramWay(Way):
    """A program that was pushed, started from the shell. Scores of every ``step``-th of its users are the answer."""

    name: str
    room: Room
    command: tuple[str, ...]
    asked: Launch
    step: int = 1

    def launch(self, purpose: Purpose) -> Answer:
        device, asked = self.room.device, self.asked
        if purpose is not Purpose.TIMES:
            asked = asked.counting(COUNTED_CALLS) if purpose is Purpose.COUNTS else asked.remembering()
        limit = EMULATED_TIMEOUT_S if device.emulated else TIMEOUT_S
        ended = device.run([*self.command, *asked.arguments()], limit + 2 * asked.max_seconds)
        if ended.status != 0:
            kind = RefusedError if ended.status == _WRONG_INPUT else DeviceError
            raise kind(f"{self.name}: on {device.name} its program {_how(ended.status)}: {_last_line(ended.stderr or ended.stdout)}")
        scores, records = self.room.here / "scores.f32", self.room.here / "records.jsonl"
        device.pull(asked.scores, scores)
        device.pull(asked.records, records)
        found = np.fromfile(scores, "<f4").astype(np.float32)
        if found.size % asked.users == 0:
            found = found.reshape(asked.users, -1)[:: self.step].ravel()
        return Answer(found, records)


def _how(status: int) -> str:
    if status <= 128:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(status - 128).name}"
    return f"was killed by signal {status - 128}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:300]
