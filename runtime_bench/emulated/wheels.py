"""Python packages for the emulated machine: aarch64 wheels, fetched by this environment's pip, checked against the lock's checksums."""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chordkit.errors import DeviceError
from chordkit.progress import Progress
from chordkit.runtime_bench.emulated.cache import cache_folder, new_file, sha256
from chordkit.runtime_bench.emulated.lock import Wheel

PYTHON = "3.11"
"""The emulated machine's Python."""

PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")

_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class FetchedWheel:
    """A wheel as it was fetched. ``bytes`` were fetched now: 0 when it was in the cache."""

    wheel: Wheel
    path: Path
    bytes: int


def fetch(wheels: Sequence[Wheel], progress: Progress | None = None) -> list[FetchedWheel]:
    """Have ``wheels`` in the cache.

    Raises:
        DeviceError: pip cannot fetch one, or what it fetched is not what the lock says.
    """
    found = []
    for number, wheel in enumerate(wheels):
        if progress is not None:
            progress("arm64 wheels", number, len(wheels))
        path, fresh = cache_folder() / "wheels" / wheel.file, 0
        if not (path.is_file() and sha256(path) == wheel.sha256):
            with tempfile.TemporaryDirectory(prefix="chordkit-wheels-") as work:
                arrived = download(wheel, Path(work))
                if sha256(arrived) != wheel.sha256:
                    raise DeviceError(
                        f"{arrived.name}: the package index serves another file than the one this release was measured with; "
                        "look at pip's settings (an index of its own?), or update chordkit"
                    )
                fresh = arrived.stat().st_size
                with new_file(path) as temporary:
                    temporary.write_bytes(arrived.read_bytes())
        found.append(FetchedWheel(wheel, path, fresh))
    return found


def download(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel of ``wheel``'s name and version for the emulated machine into ``folder``.

    Raises:
        DeviceError: there is no pip, or it finds none.
    """
    about = ["--no-deps", "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    about += [word for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)]
    about += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *about, "--dest", str(folder), f"{wheel.name}=={wheel.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, env={**os.environ, "PIP_CONSTRAINT": ""})
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{wheel.name} {wheel.version}: pip took longer than {_TIMEOUT_S:.0f} s; try again later") from None
    arrived = sorted(folder.glob("*.whl"))
    if done.returncode or not arrived:
        lines = done.stderr.strip().splitlines()
        words = ([line for line in lines if "ERROR" in line or "No module" in line] or lines or ["no message"])[-1]
        raise DeviceError(f"{wheel.name} {wheel.version} for arm64 cannot be fetched by {sys.executable} -m pip: {words}")
    return arrived[0]


def pinned(wheel: Wheel) -> Wheel:
    """The lock's row of what the index serves for ``wheel``'s name and version."""
    with tempfile.TemporaryDirectory(prefix="chordkit-wheels-") as work:
        path = download(wheel, Path(work))
        return wheel.model_copy(update={"file": path.name, "sha256": sha256(path)})


def unpack(paths: Iterable[Path], folder: Path, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> None:
    """Unpack wheels into a folder of modules, without what ``wanted`` says no to.

    Raises:
        DeviceError: a wheel is damaged, or has a path that leads out of the folder.
    """
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    name = PurePosixPath(member.filename)
                    if name.is_absolute() or ".." in name.parts:
                        raise DeviceError(f"{path}: has a member {member.filename!r} outside its own folder; fetch it anew")
                    if not member.is_dir() and wanted(name):
                        archive.extract(member, folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise DeviceError(f"{path}: cannot be unpacked into {folder}: {error}") from None
