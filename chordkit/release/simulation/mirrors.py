"""Mirrors of a channel: one that is good, and those that are not, in every way that is known.

A mirror has the folder of a channel as it was at moments that it kept, and is asked as a phone asks: for a path, and at most so many bytes.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Folder = Mapping[str, bytes]
"""All files of a channel, by path."""
Serve = Callable[[str, int], bytes]
"""(path, most bytes that are read) -> what comes."""

TIMESTAMP = "metadata/timestamp.json"

_ENDLESS_STOPS_AT = 1 << 26  # a phone that takes so much has long been seen


@dataclass
class History:
    """The folder of a channel at every moment at which it changed."""

    times: list[int] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)

    def add(self, time: int, folder: Folder) -> None:
        """It is like this from ``time`` on."""
        self.times.append(time)
        self.folders.append(folder)

    def index(self, time: int) -> int:
        """Which of the folders it was at a time; before its beginning, the first."""
        return max(bisect_right(self.times, time) - 1, 0)


@dataclass
class Line:
    """What came over a phone's line from a mirror.

    Attributes:
        serve: the mirror at the other end; raises FileNotFoundError where it has nothing.
        asked: path and most bytes of every request.
        received: bytes that came in all.
        timestamp: the last one that came.
    """

    serve: Serve
    asked: list[tuple[str, int]] = field(default_factory=list)
    received: int = 0
    timestamp: bytes | None = None

    def fetch(self, path: str, most: int) -> bytes | None:
        """What is at a path, and not more of it than one byte beyond what was asked for; None = nothing is.

        Raises:
            OSError: the line breaks.
        """
        self.asked.append((path, most))
        try:
            data = self.serve(path, most + 1)[: most + 1]
        except FileNotFoundError:
            return None
        self.received += len(data)
        if path == TIMESTAMP:
            self.timestamp = data
        return data


def honest(folder: Folder) -> Serve:
    """All as it is."""

    def serve(path: str, most: int) -> bytes:
        if path not in folder:
            raise FileNotFoundError(path)
        return folder[path]

    return serve


def broken(folder: Folder, chance: random.Random) -> Serve:
    """The line breaks now and then."""

    def serve(path: str, most: int) -> bytes:
        if chance.random() < 0.3:
            raise ConnectionResetError(path)
        return honest(folder)(path, most)

    return serve


def frozen(history: History, time: int, chance: random.Random) -> Serve:
    """All as it was at some moment before: to phones that have seen less it is old, to others it rolls back."""
    return honest(history.folders[chance.randrange(history.index(time) + 1)])


def mixed(history: History, time: int, chance: random.Random) -> Serve:
    """Each file from another moment, old contents under new names among them."""
    last = history.index(time)
    picked: dict[str, Folder] = {}

    def serve(path: str, most: int) -> bytes:
        folder = picked.setdefault(path, history.folders[chance.randrange(last + 1)])
        role = path.rpartition("/")[2].partition(".")[2]
        if path.startswith("metadata/") and role != "json" and chance.random() < 0.5:
            versions = [name for name in folder if name.startswith("metadata/") and name.endswith(f".{role}")]
            return folder[chance.choice(versions)]
        return honest(folder)(path, most)

    return serve


def swapped(folder: Folder, chance: random.Random) -> Serve:
    """True metadata, and another true bundle, or a changed one, under each bundle's name."""
    targets = sorted(path for path in folder if path.startswith("targets/"))
    changed = chance.random() < 0.3

    def serve(path: str, most: int) -> bytes:
        if path not in targets:
            return honest(folder)(path, most)
        if changed:
            data = bytearray(folder[path])
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return bytes(data)
        return folder[chance.choice([each for each in targets if each != path] or targets)]

    return serve


def truncated(folder: Folder, chance: random.Random) -> Serve:
    """One kind of file ends early."""
    return _spoiled(folder, chance, lambda data, most: data[: chance.randrange(len(data) or 1)])


def endless(folder: Folder, chance: random.Random) -> Serve:
    """One kind of file never ends: as it is, and spaces for ever behind it."""
    return _spoiled(folder, chance, lambda data, most: data.ljust(min(most, _ENDLESS_STOPS_AT), b" "))


def _spoiled(folder: Folder, chance: random.Random, spoil: Callable[[bytes, int], bytes]) -> Serve:
    kind = chance.choice(("root.json", "timestamp.json", "snapshot.json", "targets.json", "chord"))

    def serve(path: str, most: int) -> bytes:
        try:
            data = honest(folder)(path, most)
        except FileNotFoundError:
            if not path.endswith(kind):
                raise
            data = b"{}"  # also where there would be nothing
        return spoil(data, most) if path.endswith(kind) else data

    return serve
