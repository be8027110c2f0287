"""What a phone keeps on its disk, and the one transaction in which it changes: that of the Android store (docs/trust.md).

One state file, replaced whole, says which of the other files are in use; a file that it does not name goes. Every file is written beside
its place, synced, renamed, and its folder synced, before anything refers to it.
"""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from chordkit.errors import ReleaseError

STATE = "state"
_PART = ".part"
_VERSION = 1


class Disk(Protocol):
    """A folder of the app's own."""

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError where there is none."""

    def names(self) -> list[str]:
        """Of all files."""

    def write(self, name: str, data: bytes) -> None:
        """Give a file this content, which reaches the disk when it likes."""

    def sync(self, name: str) -> None:
        """Bring a file's content to the disk."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, over what has it."""

    def delete(self, name: str) -> None:
        """Take a file away."""

    def sync_folder(self) -> None:
        """Bring all names to the disk."""


@dataclass(frozen=True)
class Slot:
    """A bundle on the disk.

    Attributes:
        file: its name.
        release: that brought it.
        counter: the bundle's own.
        fingerprint: of its backbone, 16 hexadecimal digits.
        digest: SHA-256 of the file.
    """

    file: str
    release: int
    counter: int
    fingerprint: str
    digest: str


@dataclass(frozen=True)
class Check:
    """How the self-check of a release went here; kept until a service has been told."""

    release: int
    passed: bool


@dataclass(frozen=True)
class Adopted:
    """A signed strategy on the disk: file, backbone, the key that signed it, serial."""

    file: str
    fingerprint: str
    key: str
    serial: int


@dataclass(frozen=True)
class State:
    """What the state file says.

    Attributes:
        install: 16 bytes that the phone chose at random once, and tells no one.
        channel: what the channel's verifier keeps; empty = nothing was verified yet.
        release: the highest that was adopted; 0 = none.
        current: the bundle in use; None = the one that ships with the app.
        previous: the one before.
        failed: releases that this phone cannot run.
        check: that no service has been told of.
        strategy: in use.
        serial: the highest of a strategy that was adopted.
        next: number in the name of the next file.
    """

    install: bytes
    channel: bytes = b""
    release: int = 0
    current: Slot | None = None
    previous: Slot | None = None
    failed: tuple[int, ...] = ()
    check: Check | None = None
    strategy: Adopted | None = None
    serial: int = 0
    next: int = 1

    @property
    def files(self) -> set[str]:
        """Names of the files that are in use."""
        return {each.file for each in (self.current, self.previous, self.strategy) if each is not None}

    def to_bytes(self) -> bytes:
        """The state file."""
        fields = asdict(self) | {name: base64.b64encode(getattr(self, name)).decode() for name in ("install", "channel")}
        return json.dumps({"version": _VERSION, **fields}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """Raises ReleaseError where the file is damaged."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != _VERSION:
                raise ValueError("another version")
            for name in ("install", "channel"):
                fields[name] = base64.b64decode(fields[name], validate=True)
            for name, kind in (("current", Slot), ("previous", Slot), ("check", Check), ("strategy", Adopted)):
                fields[name] = None if fields[name] is None else kind(**fields[name])
            return cls(**fields | {"failed": tuple(fields["failed"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ReleaseError(f"{STATE}: the phone's state file is damaged ({error}); it is made anew") from None


@dataclass(frozen=True)
class Store:
    """The files of a phone."""

    disk: Disk

    def read(self) -> State | None:
        """The state; None = there is none yet.

        Raises:
            ReleaseError: it is damaged.
        """
        try:
            data = self.disk.read(STATE)
        except FileNotFoundError:
            return None
        return State.from_bytes(data)

    def write(self, state: State) -> None:
        """From here on ``state`` holds, and what it does not name is deleted."""
        self.place(STATE, state.to_bytes())
        self.clean(state)

    def place(self, name: str, data: bytes) -> None:
        """A file that is there whole or not at all."""
        part = name + _PART
        self.disk.write(part, data)
        self.disk.sync(part)
        self.disk.rename(part, name)
        self.disk.sync_folder()

    def clean(self, state: State) -> None:
        """Delete what no state names: what is left of a transaction that ended early, and what another file took the place of."""
        for name in self.disk.names():
            if name != STATE and name not in state.files:
                self.disk.delete(name)
