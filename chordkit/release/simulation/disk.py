"""A phone's disk on which power can be lost before every step, and what is left of unsynced data after that.

What is not synced is no file's content yet: after a loss of power it is there, not there, or there in part. So are the names in a folder
until it is synced: each change of them is kept or lost for itself, in no order that a program could rely on. That is harder
than most file systems are, and no harder than POSIX allows.
"""

import random
from dataclasses import dataclass, field


class PowerLost(Exception):
    """The phone is off from here on; :meth:`SimulatedDisk.restart` gives what its disk holds then."""


@dataclass(slots=True, eq=False)
class _File:
    """Content as programs see it, and what is certain to be on the disk: None = nothing is, not even that it is empty."""

    seen: bytes
    kept: bytes | None


@dataclass(slots=True)
class SimulatedDisk:
    """One folder of files.

    Attributes:
        steps: changes so far.
        lose_power_at: the step before which power is lost, counted from now; None = it stays.
    """

    steps: int = 0
    lose_power_at: int | None = None
    _seen: dict[str, _File] = field(default_factory=dict)
    _kept: dict[str, _File] = field(default_factory=dict)
    _changes: list[tuple[str | None, str, _File | None]] = field(default_factory=list)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError where there is none."""
        if name not in self._seen:
            raise FileNotFoundError(name)
        return self._seen[name].seen

    def names(self) -> list[str]:
        """Of all files."""
        return list(self._seen)

    def write(self, name: str, data: bytes) -> None:
        """Give a file this content, without any promise that it is on the disk."""
        self._step()
        file = self._seen.get(name)
        if file is None:
            file = self._seen[name] = _File(b"", None)
            self._changes.append((None, name, file))
        file.seen = data[: len(data) // 2]
        self._step()
        file.seen = data

    def sync(self, name: str) -> None:
        """Bring a file's content, not its name, to the disk."""
        self._step()
        file = self._seen[name]
        file.kept = file.seen

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, over what has it."""
        self._step()
        file = self._seen.pop(old)
        self._seen[new] = file
        self._changes.append((old, new, file))

    def delete(self, name: str) -> None:
        """Take a file's name."""
        self._step()
        del self._seen[name]
        self._changes.append((None, name, None))

    def sync_folder(self) -> None:
        """Bring all names to the disk."""
        self._step()
        self._kept = dict(self._seen)
        self._changes.clear()

    def rot(self, name: str, chance: random.Random) -> None:
        """Flash loses a bit of a file."""
        data = bytearray(self._seen[name].seen)
        if not data:
            return
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        self._seen[name].seen = self._seen[name].kept = bytes(data)

    def restart(self, chance: random.Random) -> None:
        """Be what is left after a loss of power: of what was not synced, what ``chance`` says."""
        for old, new, file in self._changes:
            if chance.random() < 0.5:
                continue
            if file is None:
                self._kept.pop(new, None)
                continue
            self._kept[new] = file
            # A file that was renamed is not under two names, and the old name may have a newer file by now.
            if old is not None and self._kept.get(old) is file:
                del self._kept[old]
        for file in self._kept.values():
            if file.kept != file.seen:
                file.seen = file.kept = _torn(file, chance)
        self._seen = dict(self._kept)
        self._changes.clear()
        self.lose_power_at = None

    def _step(self) -> None:
        if self.lose_power_at is not None:
            if self.lose_power_at == 0:
                raise PowerLost
            self.lose_power_at -= 1
        self.steps += 1


def _torn(file: _File, chance: random.Random) -> bytes:
    """The old content, the new one, or what a half-finished writing leaves: its beginning, or the right length with zeros behind it."""
    kind = chance.randrange(4)
    if kind == 0:
        return file.kept or b""
    if kind == 1:
        return file.seen
    written = file.seen[: chance.randrange(len(file.seen) + 1)]
    return written if kind == 2 else written.ljust(len(file.seen), b"\0")
