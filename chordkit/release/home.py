"""The folder of a channel's owner: settings, and where keys, registry and the mirror's files lie. Only ``mirror`` is for others."""

import re
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from chordkit.documents import Document, read_document
from chordkit.errors import ReleaseError
from chordkit.files import write_bytes
from chordkit.release.records import ROLES

DAY_S = 86_400
_FILE = "channel.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class Lifetimes(Document):
    """Days after which metadata of a role is good no more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: float = Field(default=365, ge=0.001, le=3650)
    targets: float = Field(default=90, ge=0.001, le=3650)
    snapshot: float = Field(default=7, ge=0.001, le=3650)
    timestamp: float = Field(default=1, ge=0.001, le=3650)


class _Settings(Document):
    format: Literal["chordkit-channel"] = "chordkit-channel"
    version: Literal[1] = 1
    name: str = Field(pattern=f"^{_NAME.pattern}$")
    mirror: str = "mirror"
    keys: str = "keys"
    root_keys: str = "root-keys"
    registry: str | None = None
    lifetime_days: Lifetimes = Lifetimes()

    model_config = ConfigDict(extra="forbid", frozen=True)


class Home:
    """Where everything of a channel is.

    Args:
        folder: of the owner.
        settings: what stands in its ``channel.json``; relative paths are below the folder.
    """

    def __init__(self, folder: Path, settings: _Settings) -> None:
        self.folder, self._settings = folder, settings
        self.name = settings.name
        self.mirror, self.keys, self.root_keys = (folder / path for path in (settings.mirror, settings.keys, settings.root_keys))
        self.registry_url = settings.registry or f"sqlite:///{(folder / 'registry.sqlite').absolute()}"
        self.lifetime_s = {role: round(getattr(settings.lifetime_days, role) * DAY_S) for role in ROLES}

    @classmethod
    def of(
        cls,
        folder: Path,
        name: str,
        *,
        mirror: Path | None = None,
        keys: Path | None = None,
        root_keys: Path | None = None,
        registry: str | None = None,
        lifetimes: Lifetimes | None = None,
    ) -> "Home":
        """One that is not written yet; None = the usual place below the folder.

        Raises:
            ReleaseError: the name is none.
        """
        if not _NAME.fullmatch(name):
            raise ReleaseError(f"release: name: {name!r} cannot name files; use 1 to 32 letters, digits, '-' and '_'")
        settings = _Settings(
            name=name,
            mirror="mirror" if mirror is None else str(mirror.absolute()),
            keys="keys" if keys is None else str(keys.absolute()),
            root_keys="root-keys" if root_keys is None else str(root_keys.absolute()),
            registry=registry,
            lifetime_days=lifetimes or Lifetimes(),
        )
        return cls(folder, settings)

    def write(self) -> None:
        """Write the settings; for the owner alone, since a registry's address may hold a password."""
        write_bytes(self.folder / _FILE, (self._settings.model_dump_json(indent=2) + "\n").encode(), private=True)


def read_home(folder: Path) -> Home:
    """The channel in a folder.

    Raises:
        InputError: there is none, or its settings cannot be read.
    """
    if not (folder / _FILE).exists():
        raise ReleaseError(f"{folder}: there is no channel here (no {_FILE}); make one with `chordkit release init`")
    return Home(folder, read_document(folder / _FILE, _Settings, "channel", "restore it from a copy"))


def require_no_home(folder: Path) -> None:
    """Hold that no channel is here yet.

    Raises:
        ReleaseError: there is one.
    """
    if (folder / _FILE).exists():
        raise ReleaseError(f"{folder}: there is a channel here already; choose another folder")
