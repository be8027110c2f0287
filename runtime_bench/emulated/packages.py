"""Debian packages without root and without the machine's package manager noticing.

apt does the fetching and the checking of signatures, under a configuration of our own: its lists, caches and status are ours, its sources
are the machine's own mirror asked for the release that is wanted, and what the machine has configured beside them (proxies, keys,
certificates) holds. Packages are unpacked with ``dpkg-deb -x``, never installed.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from chordkit import files
from chordkit.errors import DeviceError
from chordkit.progress import Progress
from chordkit.runtime_bench.emulated.cache import cache_folder, new_file, sha256
from chordkit.runtime_bench.emulated.lock import Package
from chordkit.runtime_bench.emulated.sources import for_suite, machine_sources

TOOLS = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"}
"""Programs that are needed, and the package that each is part of."""

_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Fetched:
    """A package as it was fetched. ``bytes`` were fetched now: 0 when it was in the cache."""

    package: Package
    path: Path
    bytes: int
    pinned: bool


def fetch(wanted: Sequence[Package], progress: Progress | None = None) -> list[Fetched]:
    """Have ``wanted`` in the cache, each of the pinned version, or of the newest where that is no longer served.

    A file whose checksum is not the expected one is fetched again.

    Raises:
        DeviceError: a tool is missing, the machine has no Debian source, or a package cannot be had.
    """
    require_tools()
    tell = progress or (lambda phase, done, total: None)
    have = {package: _cached(package) for package in wanted}
    found = {package: Fetched(package, path, 0, True) for package, path in have.items() if path is not None}
    missing = sorted((package for package in wanted if package not in found), key=lambda package: package.suite)
    done = len(found)
    for suite, group in groupby(missing, key=lambda package: package.suite):
        rows = list(group)
        tell(f"package lists of {suite}", done, len(wanted))
        repository = Repository(suite, sorted({package.arch for package in rows if package.arch != "all"}))
        with repository:
            repository.look_up([_full_name(package.name, package.arch) for package in rows])
            served = {package: repository.resolve(package) for package in rows}
            fresh = [package for package in served.values() if _cached(package) is None]
            tell(f"packages of {suite}", done, len(wanted))
            repository.download(fresh)
            for package, actual in served.items():
                path = _cached(actual)
                if path is None:
                    raise DeviceError(f"{_path(actual)}: was fetched, but its checksum is not that of the package lists; try again later")
                found[package] = Fetched(actual, path, actual.bytes if actual in fresh else 0, actual.sha256 == package.sha256)
        done += len(rows)
    tell("packages", len(wanted), len(wanted))
    return [found[package] for package in wanted]


def newest(rows: Sequence[Package]) -> list[Package]:
    """``rows`` with the newest versions that are served, for a new table.

    Raises:
        DeviceError: one is not served at all.
    """
    found: list[Package] = []
    for suite, group in groupby(rows, key=lambda package: package.suite):
        wanted = list(group)
        with Repository(suite, sorted({package.arch for package in wanted if package.arch != "all"})) as repository:
            repository.look_up([_full_name(package.name, package.arch) for package in wanted])
            found.extend(repository.resolve(package, pinned=False) for package in wanted)
    return found


def unpack(packages: Iterable[Path], folder: Path, only: Sequence[str] = ()) -> None:
    """Unpack into ``folder``, later packages over earlier ones. ``only``: paths (``./usr/bin/qemu-aarch64``) instead of everything.

    Raises:
        DeviceError: a package is damaged, or the disk is full.
    """
    for path in packages:
        if only:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
                done = subprocess.run(["tar", "-x", "-C", str(folder), *only], stdin=source.stdout, capture_output=True, text=True)
        else:
            done = subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], capture_output=True, text=True)
        if done.returncode:
            words = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DeviceError(f"{path}: cannot be unpacked into {folder}: {words}")


def require_tools() -> None:
    """Raises:
    DeviceError: a program that packages are fetched with is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise DeviceError(
            f"{', '.join(missing)} not found: what is needed is made of Debian's packages; prepare it on Debian "
            f"(package {TOOLS[missing[0]]}), and copy the folder {files.cache_folder('')} from there"
        )


def for_host(package: Package) -> Package:
    """``package`` for this machine: of programs only one architecture's is pinned."""
    host = host_architecture()
    if package.arch in ("all", host):
        return package
    return package.model_copy(update={"arch": host, "version": "0", "sha256": "", "bytes": 0})


def host_architecture() -> str:
    """This machine's, as Debian calls it."""
    name = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def _full_name(name: str, architecture: str) -> str:
    return name if architecture == "all" else f"{name}:{architecture}"


def _path(package: Package) -> Path:
    return cache_folder() / "debs" / f"{package.name}_{package.version.replace(':', '%3a')}_{package.arch}.deb"


def _cached(package: Package) -> Path | None:
    path = _path(package)
    return path if path.is_file() and sha256(path) == package.sha256 else None


class Repository:
    """One release of Debian as the machine's mirror serves it. A context manager: its lists are read when it is entered."""

    def __init__(self, suite: str, architectures: Sequence[str]) -> None:
        self.suite = suite
        self._architectures = [*architectures] or [host_architecture()]
        self._work = tempfile.TemporaryDirectory(prefix="chordkit-apt-")
        self._known: dict[str, list[dict[str, str]]] = {}

    def __enter__(self) -> "Repository":
        try:
            self._configure()
            self._apt("apt-get", "update")
        except BaseException:
            self._work.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._work.cleanup()

    def _configure(self) -> None:
        """The machine's configuration stays in force for what is not said here; hooks, which act on the machine, do not."""
        work = Path(self._work.name)
        for name in ("state/lists/partial", "cache/archives/partial"):
            (work / name).mkdir(parents=True)
        (work / "sources.list").write_text(for_suite(machine_sources(), self.suite, self._architectures))
        for name in ("status", "preferences"):
            (work / name).touch()
        (work / "empty").mkdir()
        # Read first as APT_CONFIG and, after the machine's own pieces, once more as the main file, so that it has the last word.
        own = work / "apt.conf"
        settings = {
            "Dir::Etc::main": own,
            "Dir::Etc::sourcelist": work / "sources.list",
            "Dir::Etc::sourceparts": work / "empty",
            "Dir::Etc::preferences": work / "preferences",
            "Dir::Etc::preferencesparts": work / "empty",
            "Dir::State": work / "state",
            "Dir::State::status": work / "status",
            "Dir::Cache": work / "cache",
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Dir::Log": work,
            "APT::Architecture": self._architectures[0],
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        lines = [f'{key} "{value}";' for key, value in settings.items()]
        lines += [f"#clear {name};" for name in ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")]
        lines += ["#clear APT::Architectures;", *(f'APT::Architectures:: "{name}";' for name in self._architectures)]
        machine = Path("/etc/apt/apt.conf")
        own.write_text("\n".join([f"#include {machine};"] * machine.is_file() + lines) + "\n")

    def _apt(self, *command: str, folder: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": f"{self._work.name}/apt.conf", "LC_ALL": "C"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{' '.join(command[:2])} for {self.suite} took longer than {_TIMEOUT_S:.0f} s; try again later") from None
        complaints = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err:", "W: Failed to fetch"))]
        if done.returncode or (command[1] == "update" and complaints):
            words = (complaints or done.stderr.strip().splitlines() or ["no message"])[0]
            raise DeviceError(f"{' '.join(command[:2])} for Debian's {self.suite} failed: {words}")
        return done.stdout

    def resolve(self, package: Package, pinned: bool = True) -> Package:
        """``package`` as it is served: the pinned version, or the newest.

        Raises:
            DeviceError: this release has no such package.
        """
        offers = self._offers(package.name, package.arch)
        if not offers and package.newest is not None:
            (meta,) = self._offers(package.newest, package.arch)[:1] or [{}]
            successors = [word.split()[0] for word in meta.get("Depends", "").split(",") if word.strip()]
            offers = self._offers(successors[0], package.arch) if successors else []
        if not offers:
            raise DeviceError(f"{package.name}: Debian's {self.suite} has no such package for {package.arch}; update chordkit")
        same = [offer for offer in offers if pinned and offer["SHA256"] == package.sha256]
        offer = (same or offers)[0]
        about = {"name": offer["Package"], "version": offer["Version"], "sha256": offer["SHA256"], "bytes": int(offer["Size"])}
        return package.model_copy(update={**about, "arch": offer["Architecture"]})

    def look_up(self, names: Sequence[str]) -> None:
        """Read what the package lists say of ``names`` (``adbd:arm64``), at once: apt takes as long for one as for fifty."""
        environment = {**os.environ, "APT_CONFIG": f"{self._work.name}/apt.conf", "LC_ALL": "C"}
        done = subprocess.run(["apt-cache", "show", *names], capture_output=True, text=True, env=environment)
        self._known.update((name, []) for name in names)
        for text in done.stdout.split("\n\n"):
            stanza = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line[1:])
            for name in (stanza.get("Package", ""), f"{stanza.get('Package')}:{stanza.get('Architecture')}"):
                if name in self._known and "SHA256" in stanza:
                    self._known[name].append(stanza)

    def _offers(self, name: str, architecture: str) -> list[dict[str, str]]:
        """Stanzas of the package lists, newest version first."""
        full = _full_name(name, architecture)
        if full not in self._known:
            self.look_up([full])
        return self._known[full]

    def download(self, packages: Sequence[Package]) -> None:
        """Fetch into the cache what is not there; the names appear whole or not at all.

        Raises:
            DeviceError: apt cannot fetch one.
        """
        if not packages:
            return
        target = cache_folder() / "debs"
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target) as work:
            names = [f"{_full_name(package.name, package.arch)}={package.version}" for package in packages]
            self._apt("apt-get", "download", *names, folder=Path(work))
            arrived = {sha256(path): path for path in Path(work).glob("*.deb")}
            for package in packages:
                if (path := arrived.get(package.sha256)) is not None:
                    with new_file(_path(package)) as temporary:
                        os.replace(path, temporary)
