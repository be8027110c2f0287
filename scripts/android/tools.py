"""The tools and libraries that the builds take from Debian, of pinned versions, unpacked into the user's cache and not installed.

``packages.json`` is the table: ``program`` for this machine's processor, ``java`` for any. Some come from other releases of Debian than
the machine's, and none of them is mixed with what is installed. The JDK and the compilers, which many programs share, are installed ones.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chordkit import files
from chordkit.progress import Progress
from chordkit.runtime_bench.emulated import lock, packages
from chordkit.runtime_bench.emulated.cache import new_folder
from scripts.android.process import BuildError, program, run

LOCK = Path(__file__).with_name("packages.json")

_JDK, _CLANG = "default-jdk-headless", "clang-19 lld-19"
_BUILD_TOOLS = "usr/lib/android-sdk/build-tools/debian"


@dataclass(frozen=True)
class Tools:
    """Debian's packages below ``root``. ``unpinned``: those of another version than the table's, so that bytes may differ."""

    root: Path
    unpinned: tuple[str, ...] = ()

    def jar(self, name: str) -> Path:
        """A Java library by the name Debian gives it, without its version: ``junit4``."""
        return self.root / "usr" / "share" / "java" / f"{name}.jar"

    @property
    def android(self) -> Path:
        """The classes of Android 6 (API 23), the newest that Debian has."""
        return self.jar("com.android.android-23")

    @property
    def framework(self) -> Path:
        """The resources of Android 14, which those of an app are linked with."""
        return self.root / "usr" / "share" / "android-framework-res" / "framework-res.apk"

    @property
    def bouncy_castle(self) -> Path:
        return self.jar("bcprov")

    @property
    def bouncy_castle_licence(self) -> Path:
        """What must be beside it wherever it goes."""
        return self.root / "usr" / "share" / "doc" / "libbcprov-java" / "copyright"

    @property
    def enjarify(self) -> Path:
        """The folder of enjarify's Python modules."""
        return self.root / "usr" / "lib" / "python3" / "dist-packages"

    def run(self, name: str, arguments: Sequence[str | Path], doing: str) -> str:
        """Run one of the build tools, ``aapt2`` or ``zipalign``, with the libraries that it was fetched with.

        Raises:
            BuildError: it failed.
        """
        libraries = self.root / "usr" / "lib"
        triple = f"{os.uname().machine}-linux-gnu"
        places = [libraries / triple / "android", libraries / triple, self.root / "lib" / triple, libraries / "p7zip", libraries]
        return run([self.root / _BUILD_TOOLS / name, *arguments], doing, {"LD_LIBRARY_PATH": ":".join(map(str, places))})

    def java(self, main: str, jar: str, arguments: Sequence[str | Path], doing: str) -> str:
        """Run a class of one of the Java libraries.

        Raises:
            BuildError: there is no JDK, or it failed.
        """
        return run([program("java", _JDK), "-Xshare:auto", "-XX:+UseSerialGC", "-cp", self.jar(jar), main, *arguments], doing)


def tools(progress: Progress | None = None) -> Tools:
    """What was unpacked before, or fetched and unpacked now; two processes at once wait for each other.

    Raises:
        DeviceError: this is no Debian, or a package cannot be had.
        BuildError: the cache cannot be written.
    """
    wanted = [packages.for_host(package) for package in lock.load(LOCK).packages]
    digest = hashlib.sha256(LOCK.read_bytes() + packages.host_architecture().encode()).hexdigest()
    folder = files.cache_folder("android") / f"tools-{digest[:16]}"
    record = folder / "unpinned.txt"
    try:
        with files.alone(folder.parent):
            if not record.is_file():
                fetched = packages.fetch(wanted, progress)
                with new_folder(folder) as work:
                    packages.unpack([package.path for package in fetched], work)
                    names = [f"{each.package.name} {each.package.version}" for each in fetched if not each.pinned]
                    (work / record.name).write_text("".join(f"{name}\n" for name in names))
        files.require_own(record)
        return Tools(folder, tuple(record.read_text().splitlines()))
    except OSError as error:
        where = error.filename or folder
        raise BuildError(f"{where}: cannot be written ({error.strerror}); name another folder in {files.CACHE_VARIABLE}") from None


def refresh() -> None:
    """Pin what Debian serves now."""
    lock.save(lock.Lock(packages=tuple(packages.newest(lock.load(LOCK).packages))), LOCK)


def javac() -> str:
    """The JDK's compiler.

    Raises:
        BuildError: there is no JDK.
    """
    return program("javac", _JDK)


def jdk_headers() -> list[Path]:
    """Folders of ``jni.h``, the same on all machines of Linux and on Android.

    Raises:
        BuildError: there is no JDK.
    """
    folder = Path(javac()).resolve().parents[1] / "include"
    if not (folder / "jni.h").is_file():
        raise BuildError(f"{folder}: has no jni.h; on Debian: sudo apt-get install --no-install-recommends {_JDK}")
    return [folder, folder / "linux"]


def require_compilers() -> None:
    """Raises:
    BuildError: the compiler or the linker for Android is missing."""
    for name in ("clang-19", "ld.lld-19"):
        program(name, _CLANG)
