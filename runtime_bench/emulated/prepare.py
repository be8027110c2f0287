"""Everything an emulated machine takes, made once and kept: QEMU, kernel, initial file system, Python."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chordkit.errors import DeviceError
from chordkit.files import CACHE_VARIABLE, alone, require_own
from chordkit.progress import Progress
from chordkit.runtime_bench.emulated import elf, initrd, lock, packages, python, wheels
from chordkit.runtime_bench.emulated.cache import cache_folder, new_file, new_folder, sha256

COMMAND = "chordkit devices prepare emulator"
"""What makes an emulated machine."""

_HERE = Path(__file__).parent
_SYSTEM, _USER = "qemu-system-aarch64", "qemu-aarch64"
_RECORD = "prepared.json"
_WITH_PYTHON = "initrd-python"
_KEPT_S = 30 * 86400


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Model):
    """``prepared.json``: what the machine was made of. ``sha256``: of the files that are booted or run."""

    versions: dict[str, str]
    unpinned: tuple[str, ...]
    sha256: dict[str, str]


class PreparedReport(_Model):
    """What a preparation did.

    Attributes:
        folder: where the machine is.
        fetched: names and versions of what was fetched now, and fetched_bytes their size.
        unpinned: packages of another version than the one that this release was measured with; figures may differ.
        kept_bytes: size of the machine and of everything fetched for it.
        seconds: how long it took.
        initrd_sha256: of the initial file system; the same everywhere, unless a package is unpinned.
        versions: of QEMU, the kernel, adbd and the runtimes.
    """

    folder: str
    fetched: tuple[str, ...]
    fetched_bytes: int
    unpinned: tuple[str, ...]
    kept_bytes: int
    seconds: float
    initrd_sha256: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Prepared:
    """A machine that can be booted, below ``folder``."""

    folder: Path
    record: Record

    @cached_property
    def qemu_system(self) -> list[str]:
        """How qemu-system-aarch64 is started: by the loader and with the libraries that it was fetched with."""
        libraries = self.folder / "qemu"
        (loader,) = libraries.glob("ld-linux-*")
        return [str(loader), "--library-path", str(libraries), str(libraries / _SYSTEM)]

    @property
    def qemu_user(self) -> Path:
        """qemu-aarch64, a static program."""
        return self.folder / _USER

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def python_tree(self) -> Path:
        """The root of its Python, as a folder."""
        return self.folder / "python"

    @property
    def initrd_python(self) -> Path:
        """:attr:`initrd` and its Python behind it."""
        return self.folder / _WITH_PYTHON

    @property
    def executorch_package(self) -> Path:
        """``include`` and ``lib`` of ExecuTorch for arm64, which C++ programs are made with."""
        return self.folder / "executorch-package" / "executorch"

    def check(self, *names: str) -> None:
        """Hold files against their checksums: ``names``, or all.

        Raises:
            DeviceError: one is damaged.
        """
        for name in names or self.record.sha256:
            path = self.folder / name
            if not path.is_file() or sha256(path) != self.record.sha256.get(name):
                raise DeviceError(f"{path}: is damaged; run `{COMMAND}`, which makes it anew")


def prepared() -> Prepared | None:
    """The machine of this chordkit, when it was prepared; nothing is checked but that it is there."""
    folder = _folder()
    try:
        machine = Prepared(folder, Record.model_validate_json((folder / _RECORD).read_bytes()))
        require_own(folder / _RECORD)
        # When it was last looked at: see _tidy.
        os.utime(folder / _RECORD)
        return machine
    except (OSError, ValidationError):
        return None


def prepare(progress: Progress | None = None) -> PreparedReport:
    """Fetch and make what is not there yet; two processes at once wait for each other.

    Args:
        progress: called with (phase, done, total).

    Raises:
        DeviceError: a tool is missing, something cannot be fetched, or the disk is full.
    """
    started = time.monotonic()
    debs: list[packages.Fetched] = []
    modules: list[wheels.FetchedWheel] = []
    try:
        with alone(cache_folder()):
            _tidy()
            machine = _intact()
            if machine is None or machine.record.unpinned:
                packages.require_tools()
                debs = packages.fetch([_here(package) for package in lock.load().packages], progress)
                modules = wheels.fetch(lock.load().wheels, progress)
                if machine is None or [_unpinned(deb) for deb in debs if not deb.pinned] != list(machine.record.unpinned):
                    machine = _make(debs, modules, progress)
    except OSError as error:
        where = error.filename or cache_folder()
        raise DeviceError(f"{where}: cannot be written ({error.strerror}); name another folder in {CACHE_VARIABLE}") from None
    fetched = [(f"{deb.package.name} {deb.package.version}", deb.bytes) for deb in debs]
    fetched += [(f"{wheel.wheel.name} {wheel.wheel.version}", wheel.bytes) for wheel in modules]
    return PreparedReport(
        folder=str(machine.folder),
        fetched=tuple(name for name, size in fetched if size),
        fetched_bytes=sum(size for _, size in fetched),
        unpinned=machine.record.unpinned,
        kept_bytes=sum(path.lstat().st_size for path in cache_folder().rglob("*") if not path.is_dir()),
        seconds=time.monotonic() - started,
        initrd_sha256=machine.record.sha256["initrd"],
        versions=machine.record.versions,
    )


def _folder() -> Path:
    """A machine a set of packages and a way to make it of them: another release of chordkit has its own."""
    digest = hashlib.sha256(packages.host_architecture().encode())
    for path in (lock.LOCK, initrd.INIT, *(_HERE / name for name in ("initrd.py", "python.py"))):
        digest.update(path.read_bytes())
    return cache_folder() / f"machine-{digest.hexdigest()[:16]}"


def _here(package: lock.Package) -> lock.Package:
    """QEMU's packages for this machine, the emulated one's as they are."""
    return packages.for_host(package) if package.group in ("system", "user") else package


def _tidy() -> None:
    """Remove what a killed preparation left, and machines of other releases that nobody has asked for in a month."""
    for left in (*cache_folder().glob(".new-*"), *cache_folder().glob("*/.new-*")):
        shutil.rmtree(left, ignore_errors=True)
    for record in cache_folder().glob(f"machine-*/{_RECORD}"):
        if record.parent != _folder() and time.time() - record.stat().st_mtime > _KEPT_S:
            shutil.rmtree(record.parent, ignore_errors=True)


def _intact() -> Prepared | None:
    machine = prepared()
    try:
        if machine is not None:
            machine.check()
    except DeviceError:
        return None
    return machine


def _unpinned(deb: packages.Fetched) -> str:
    return f"{deb.package.name} {deb.package.version} ({deb.package.arch})"


def _make(debs: Sequence[packages.Fetched], modules: Sequence[wheels.FetchedWheel], progress: Progress | None) -> Prepared:
    tell = progress or (lambda phase, done, total: None)

    def files(*groups: str) -> list[Path]:
        return [deb.path for deb in debs if deb.package.group in groups]

    with new_folder(_folder()) as folder:
        tell("initial file system", 0, 4)
        with tempfile.TemporaryDirectory(prefix=".guest-", dir=folder) as work:
            guest = Path(work)
            packages.unpack(files("guest"), guest)
            with open(folder / "initrd", "wb") as stream:
                initrd.pack(initrd.entries(guest), stream)
            shutil.copyfile(initrd.kernel(guest), folder / "kernel")
        tell("QEMU", 1, 4)
        _qemu(folder, files("system"), files("user"))
        tell("arm64 Python", 2, 4)
        machine = Prepared(folder, Record(versions={}, unpinned=(), sha256={}))
        python.executorch_package(machine.executorch_package.parent, _paths(modules, "library"))
        machine.python_tree.mkdir()
        library = machine.executorch_package / "lib"
        python.python_tree(machine.python_tree, files("python"), _paths(modules, "python"), library, folder / _USER)
        tell("file system with Python", 3, 4)
        _append_python(folder, folder / _WITH_PYTHON)
        record = Record(
            versions=_versions(debs, modules),
            unpinned=tuple(_unpinned(deb) for deb in debs if not deb.pinned),
            sha256={path.relative_to(folder).as_posix(): sha256(path) for path in _files(folder)},
        )
        (folder / _RECORD).write_text(record.model_dump_json(indent=1))
        tell("emulated machine", 4, 4)
    return Prepared(_folder(), record)


def _qemu(folder: Path, system: Sequence[Path], user: Sequence[Path]) -> None:
    """Both programs; the one for whole machines with its libraries beside it."""
    with tempfile.TemporaryDirectory(prefix=".qemu-", dir=folder) as work:
        root = Path(work)
        packages.unpack(system, root)
        packages.unpack(user, root, only=[f"./usr/bin/{_USER}"])
        (folder / "qemu").mkdir()
        program = root / "usr" / "bin" / _SYSTEM
        for name, path in {_SYSTEM: program, **elf.closure([program], elf.libraries(root))}.items():
            shutil.copy(path, folder / "qemu" / name)
        os.replace(root / "usr" / "bin" / _USER, folder / _USER)


def _files(folder: Path) -> list[Path]:
    """What is booted or run; the Python of qemu-user is thousands of files, all of them in ``initrd-python``."""
    return [path for path in (*sorted(folder.iterdir()), *sorted((folder / "qemu").iterdir())) if path.is_file()]


def _paths(modules: Sequence[wheels.FetchedWheel], group: str) -> list[Path]:
    return [wheel.path for wheel in modules if wheel.wheel.group == group]


def _append_python(folder: Path, path: Path) -> None:
    """Write the initial file system of the machine below ``folder`` with its Python behind it."""
    with new_file(path) as temporary, open(temporary, "wb") as stream:
        stream.write((folder / "initrd").read_bytes())
        initrd.pack(initrd.tree(folder / "python", "python"), stream)


def _versions(debs: Sequence[packages.Fetched], modules: Sequence[wheels.FetchedWheel]) -> dict[str, str]:
    kept = {"qemu-system-arm": "qemu-system", "qemu-user": "qemu-user", "adbd": "adbd", "busybox-static": "busybox"}
    kept |= {"python3.11-minimal": "python"}
    versions = {kept[deb.package.name]: deb.package.version for deb in debs if deb.package.name in kept}
    (kernel,) = [deb.package for deb in debs if deb.package.name.startswith("linux-image-")]
    versions["kernel"] = f"{kernel.name} {kernel.version}"
    names = {"python": "{}", "library": "lib{}"}
    named = [(names[wheel.wheel.group].format(wheel.wheel.name), wheel.wheel.version) for wheel in modules if wheel.wheel.group in names]
    return {**versions, **dict(named)}
