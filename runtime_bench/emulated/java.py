"""Java for arm64: Debian's runtime in a folder, which qemu-user runs as it is and an emulated machine takes as a further archive.

An emulated machine does without it. The Android library is tested and measured with it::

    python -m chordkit.runtime_bench.emulated.java            # fetches 43 MB, makes a folder of 200 MB in the cache
    python -m chordkit.runtime_bench.emulated.java refresh    # a maintainer's work: pins what is served now
"""

import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chordkit.errors import ChordkitError, DeviceError
from chordkit.files import alone
from chordkit.progress import Progress
from chordkit.runtime_bench.emulated import initrd, lock, packages
from chordkit.runtime_bench.emulated.cache import cache_folder, new_folder

TABLE = Path(__file__).with_name("java.json")
COMMAND = "python -m chordkit.runtime_bench.emulated.java"
"""What makes it."""

ROOT = PurePosixPath("/java")
"""Where it is in an emulated machine that was booted with :meth:`Java.append_to`."""

_HOME = PurePosixPath("usr/lib/jvm/java-17-openjdk-arm64")
_PLACES = ("proc", "sys", "dev", "data", "tmp")
_LEFT_OUT = ("usr/share", "etc", f"{_HOME}/legal", f"{_HOME}/man", f"{_HOME}/lib/ct.sym", f"{_HOME}/lib/server/classes_nocoops.jsa")


@dataclass(frozen=True)
class Java:
    """Java in a folder.

    Attributes:
        tree: the root of its file system.
    """

    tree: Path

    @property
    def program(self) -> Path:
        """``java``, an arm64 program."""
        return self.tree / _HOME / "bin" / "java"

    def on(self, qemu: Path, cpu: str) -> list[str]:
        """What starts it on this machine: qemu-aarch64 as the processor ``cpu``, which looks for libraries in the tree first."""
        return [str(qemu), "-cpu", cpu, "-L", str(self.tree), str(self.program)]

    def append_to(self, machine: Path, path: Path) -> None:
        """Write the initial file system ``machine`` with Java behind it, below :data:`ROOT`."""
        with open(path, "wb") as stream:
            stream.write(machine.read_bytes())
            root = initrd.Entry(ROOT.name, stat.S_IFDIR | 0o755)
            initrd.pack([root, *initrd.tree(self.tree, ROOT.name)], stream)

    def mounting(self) -> list[str]:
        """What makes the machine's own folders seen in a machine that was booted with :meth:`append_to`; once, before anything is run."""
        return ["sh", "-c", f"for folder in {' '.join(_PLACES)}; do mount --rbind /$folder {ROOT}/$folder || exit 1; done"]

    def within(self) -> list[str]:
        """What starts it there."""
        return ["chroot", str(ROOT), f"/{_HOME}/bin/java"]


def prepared_java() -> Java | None:
    """What :func:`prepare_java` made, if it did."""
    java = Java(_folder())
    return java if java.program.is_file() else None


def prepare_java(progress: Progress | None = None) -> Java:
    """Fetch and unpack what is not there yet; two processes at once wait for each other.

    Raises:
        DeviceError: a tool is missing, a package cannot be fetched, or the disk is full.
    """
    try:
        with alone(cache_folder()):
            if (java := prepared_java()) is not None:
                return java
            debs = packages.fetch(lock.load(TABLE).packages, progress)
            with new_folder(_folder()) as folder:
                _make(folder, [deb.path for deb in debs])
    except OSError as error:
        raise DeviceError(f"{error.filename or cache_folder()}: cannot be written ({error.strerror})") from None
    return Java(_folder())


def _folder() -> Path:
    """A table of packages, and what is left out of them, have a folder of their own."""
    digest = hashlib.sha256(TABLE.read_bytes() + repr(_LEFT_OUT).encode())
    return cache_folder() / f"java-{digest.hexdigest()[:16]}"


def _make(folder: Path, debs: Sequence[Path]) -> None:
    packages.unpack(debs, folder)
    # Debian keeps Java's settings in /etc. As links out of the tree they would be this machine's, or nobody's.
    for path in folder.rglob("*"):
        if path.is_symlink() and os.readlink(path).startswith("/"):
            target = folder / os.readlink(path)[1:]
            path.unlink()
            if target.is_file():
                shutil.copyfile(target, path)
    for name in _LEFT_OUT:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in _PLACES:
        (folder / name).mkdir(exist_ok=True)


def main(arguments: Sequence[str]) -> int:
    """Prepare it, or refresh the table."""
    try:
        if list(arguments) == ["refresh"]:
            lock.save(lock.Lock(packages=tuple(packages.newest(lock.load(TABLE).packages))), TABLE)
        else:
            print(prepare_java().tree)
    except ChordkitError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
