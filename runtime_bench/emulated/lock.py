"""The table of packages an emulated machine is made of: which versions the figures of this release were taken with.

``lock.json`` pins them. Refreshing it is a maintainer's work, since another kernel or QEMU may give other figures (other tables of Debian
packages have the same form and no wheels)::

    python -m chordkit.runtime_bench.emulated.lock
"""

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from chordkit.errors import DeviceError

LOCK = Path(__file__).with_name("lock.json")

Group = str
"""What a package is for; each table has its own. Here: guest: the machine itself (arm64). python: its Python (arm64). system:
qemu-system-aarch64 and what it links with (this machine's architecture). user: qemu-aarch64."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Package(_Model):
    """A Debian package. ``newest``: a package that depends on its successor when its name goes away, as a kernel's does."""

    group: Group
    suite: str
    name: str
    arch: str
    version: str
    sha256: str
    bytes: int
    newest: str | None = None


class Wheel(_Model):
    """A Python package for the emulated machine. Of ``group`` library only the C++ library in it is of use."""

    group: Literal["python", "library"]
    name: str
    version: str
    file: str
    sha256: str


class Lock(_Model):
    """``lock.json``."""

    packages: tuple[Package, ...]
    wheels: tuple[Wheel, ...] = ()

    def of(self, *groups: Group) -> list[Package]:
        """The packages of ``groups``, in the table's order."""
        return [package for package in self.packages if package.group in groups]


def load(path: Path = LOCK) -> Lock:
    """The table.

    Raises:
        DeviceError: it is damaged.
    """
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        words = str(error).splitlines()[0]
        raise DeviceError(f"{path}: the table of packages cannot be read ({words}); install chordkit anew") from None


def save(lock: Lock, path: Path = LOCK) -> None:
    """Write the table, a row a line."""
    rows = {"packages": lock.packages, "wheels": lock.wheels}
    lines = {
        key: ",\n".join("    " + json.dumps(row.model_dump(exclude_none=True)) for row in value) for key, value in rows.items() if value
    }
    text = "{\n" + ",\n".join(f'  "{key}": [\n{value}\n  ]' for key, value in lines.items()) + "\n}\n"
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def refresh() -> None:
    """Pin what the suites and the package index serve now."""
    from chordkit.runtime_bench.emulated import packages, wheels

    old = load()
    save(Lock(packages=tuple(packages.newest(old.packages)), wheels=tuple(wheels.pinned(wheel) for wheel in old.wheels)))


if __name__ == "__main__":
    refresh()
