"""Kotlin's compiler, which the tests ask how the library looks from Kotlin, and whether the Gradle files are Kotlin at all.

It comes from npm, where Kotlin's makers put it, into the user's cache; the builds themselves do not need it.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chordkit import files
from chordkit.runtime_bench.emulated.cache import new_folder
from scripts.android.process import BuildError, program, run

VERSION = "2.4.20"
_SHA256 = "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f"


def compiler() -> Path:
    """The compiler in the cache.

    Raises:
        BuildError: :func:`install` was not run, or there is no bash.
    """
    path = _folder() / "package" / "bin" / "kotlinc"
    program("bash", "bash")
    if not path.is_file():
        raise BuildError(f"{path}: Kotlin's compiler is not here; `python -m scripts.android tools` fetches it by npm")
    files.require_own(path)
    return path


def install() -> Path:
    """Fetch the compiler if it is not in the cache.

    Raises:
        BuildError: there is no npm, or it fetched another file than the pinned one.
    """
    folder = _folder()
    with files.alone(folder.parent):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="chordkit-kotlin-") as work:
                run(
                    [program("npm", "npm"), "pack", "--silent", f"kotlin-compiler@{VERSION}"],
                    "fetching Kotlin's compiler",
                    folder=Path(work),
                )
                (archive,) = Path(work).glob("*.tgz")
                if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
                    raise BuildError(f"{archive.name}: npm serves another file than the pinned one; look at its registry setting")
                with new_folder(folder) as made, tarfile.open(archive) as packed:
                    packed.extractall(made, filter="data")
    return compiler()


def say(sources: Sequence[Path], classpath: Sequence[Path], options: Sequence[str] = ()) -> list[str]:
    """What the compiler says of sources or scripts: errors and warnings, a line each, without the lines of the source that follow them."""
    with tempfile.TemporaryDirectory(prefix="chordkit-kotlin-") as work:
        known = ["-cp", ":".join(map(str, classpath))] if classpath else []
        command = [shutil.which("bash") or "bash", compiler(), *options, *known, "-d", work, *sources]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if ": error: " in line or ": warning: " in line]


def _folder() -> Path:
    return files.cache_folder("android") / f"kotlin-{VERSION}"
