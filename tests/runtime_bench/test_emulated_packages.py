"""Package sources of both forms; and packages fetched by the real apt, from an archive of two packages made here."""

import configparser
import hashlib
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.files import alone
from chordkit.runtime_bench.emulated import lock, packages, sources
from chordkit.runtime_bench.emulated.cache import cache_folder, new_file, new_folder
from chordkit.runtime_bench.emulated.lock import Package
from chordkit.runtime_bench.emulated.sources import Source, for_suite, parse_deb822, parse_list

LIST = """\
# deb http://first.example/debian buster main
deb [arch=amd64 signed-by=/keys/one.gpg] http://mirror.example/debian/ bookworm main contrib # ours
deb-src http://mirror.example/debian bookworm main
deb http://other.example/tool stable-tool main
deb [trusted=yes] file:/srv/debian trixie main
deb http://flat.example/ ./
deb
"""

DEB822 = """\
Types: deb deb-src
URIs: http://a.example/debian http://b.example/debian
Suites: bookworm bookworm-updates
Components: main
# a remark
Signed-By: /keys/two.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb
URIs: http://c.example/debian
Suites: trixie
Components: main
 non-free
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""


def test_the_one_line_form_is_read() -> None:
    assert parse_list(LIST) == [
        Source("http://mirror.example/debian/", "bookworm", ("main", "contrib"), "/keys/one.gpg"),
        Source("http://other.example/tool", "stable-tool", ("main",)),
        Source("file:/srv/debian", "trixie", ("main",), trusted=True),
    ]


def test_the_form_with_fields_is_read() -> None:
    expected = [
        Source(f"http://{host}.example/debian", suite, ("main",), "/keys/two.gpg")
        for host in "ab"
        for suite in ("bookworm", "bookworm-updates")
    ]
    assert parse_deb822(DEB822) == [*expected, Source("http://c.example/debian", "trixie", ("main", "non-free"))]


def test_both_places_of_the_machine_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(LIST)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.list.save").write_text(LIST)
    assert sources.machine_sources(tmp_path) == [*parse_list(LIST), *parse_deb822(DEB822)]
    assert sources.machine_sources(tmp_path / "nothing") == []


def test_another_release_comes_from_the_machines_own_mirror() -> None:
    line = for_suite(parse_list(LIST), "trixie", ["amd64", "arm64"])
    assert line == "deb [arch=amd64,arm64 signed-by=/keys/one.gpg] http://mirror.example/debian/ trixie main\n"


def test_a_machine_without_debian_is_told_so() -> None:
    with pytest.raises(DeviceError, match="no package source of Debian's main archive"):
        for_suite([Source("http://archive.example/ubuntu", "jammy", ("main",))], "trixie", ["arm64"])


def test_the_lock_pins_every_package_and_wheel_once() -> None:
    table = lock.load()
    for rows in (table.packages, table.wheels):
        assert all(len(row.sha256) == 64 and row.version for row in rows)
    keys = [(package.group, package.name, package.arch) for package in table.packages]
    assert len(set(keys)) == len(keys)


def test_a_damaged_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text('{"packages": 1}')
    with pytest.raises(DeviceError, match=r"lock\.json: the table of packages cannot be read"):
        lock.load(tmp_path / "lock.json")


@pytest.mark.checkout
def test_the_machine_has_the_runtimes_that_setup_cfg_names() -> None:
    extras = configparser.ConfigParser()
    extras.read(Path(__file__).parents[2] / "setup.cfg")
    wanted = dict(
        line.split("==") for name in ("litert", "onnx") for line in extras["options.extras_require"][name].split() if "==" in line
    )
    have = {wheel.name: wheel.version for wheel in lock.load().wheels}
    for name in ("ai-edge-litert", "onnxruntime"):
        assert have[name] == wanted[name]


def test_a_name_appears_only_when_its_content_is_complete(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "file") as path:
        path.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("whole")
    assert (tmp_path / "folder" / "file").read_text() == "whole"


def test_a_second_one_waits_for_the_first(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with alone(tmp_path):
            order.append("second")

    with alone(tmp_path):
        other = threading.Thread(target=second)
        other.start()
        order.append("first")
    other.join()
    assert order == ["first", "second"]


class Archive:
    """A Debian archive in a folder, and the rows that name its packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stanzas: dict[str, str] = {}

    def add(self, name: str, version: str, depends: str = "") -> Package:
        work = self.folder / "work" / f"{name}-{version}"
        (work / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: arm64\nMaintainer: nobody <nobody@localhost>\n"
        control += f"Depends: {depends}\n" * bool(depends)
        (work / "DEBIAN" / "control").write_text(f"{control}Description: of a test\n")
        (work / "usr").mkdir()
        (work / "usr" / name).write_text(version)
        pool = self.folder / "pool"
        pool.mkdir(exist_ok=True)
        path = pool / f"{name}_{version}_arm64.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(work), str(path)], check=True, capture_output=True)
        digest, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
        self._stanzas[name] = f"{control}Filename: pool/{path.name}\nSize: {size}\nSHA256: {digest}\nDescription: of a test\n"
        self._publish()
        return Package(group="guest", suite="bookworm", name=name, arch="arm64", version=version, sha256=digest, bytes=size)

    def withdraw(self, name: str) -> None:
        del self._stanzas[name]
        self._publish()

    def _publish(self) -> None:
        place = self.folder / "dists" / "bookworm"
        index = place / "main" / "binary-arm64" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text("\n".join(self._stanzas.values()))
        digest = hashlib.sha256(index.read_bytes()).hexdigest()
        (place / "Release").write_text(
            "Suite: bookworm\nCodename: bookworm\nArchitectures: arm64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {digest} {index.stat().st_size} main/binary-arm64/Packages\n"
        )


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """The machine's only package source; the cache is empty."""
    if any(shutil.which(tool) is None for tool in packages.TOOLS):
        pytest.skip("this machine has no apt")
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "machine_sources", lambda: [Source(f"file:{tmp_path}/archive", "bookworm", ("main",), trusted=True)])
    return Archive(tmp_path / "archive")


def test_a_package_is_fetched_once_and_again_when_its_file_is_damaged(archive: Archive, tmp_path: Path) -> None:
    row = archive.add("tool", "1.0")
    (first,) = packages.fetch([row])
    assert (first.bytes, first.pinned) == (row.bytes, True)
    (second,) = packages.fetch([row])
    assert (second.bytes, second.path) == (0, first.path)
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (third,) = packages.fetch([row])
    assert third.bytes == row.bytes
    assert third.path.read_bytes() == whole
    packages.unpack([third.path], tmp_path)
    assert (tmp_path / "usr" / "tool").read_text() == "1.0"


def test_nothing_but_packages_stays_in_the_cache(archive: Archive) -> None:
    packages.fetch([archive.add("tool", "1.0")])
    assert [path.name for path in cache_folder().rglob("*")] == ["debs", "tool_1.0_arm64.deb"]


def test_the_newest_is_taken_and_told_of_when_the_pinned_version_is_gone(archive: Archive) -> None:
    old = archive.add("tool", "1.0")
    new = archive.add("tool", "2.0")
    (fetched,) = packages.fetch([old])
    assert (fetched.package.version, fetched.package.sha256, fetched.pinned) == ("2.0", new.sha256, False)
    assert packages.newest([old]) == [new]


def test_a_package_that_was_renamed_is_found_through_the_one_that_depends_on_it(archive: Archive) -> None:
    old = archive.add("kernel-1", "1.0").model_copy(update={"newest": "kernel"})
    archive.withdraw("kernel-1")
    archive.add("kernel-2", "2.0")
    archive.add("kernel", "2.0", depends="kernel-2 (= 2.0)")
    (fetched,) = packages.fetch([old])
    assert (fetched.package.name, fetched.package.version) == ("kernel-2", "2.0")


def test_a_package_that_does_not_exist_is_named(archive: Archive) -> None:
    row = archive.add("tool", "1.0")
    with pytest.raises(DeviceError, match="nothing: Debian's bookworm has no such package for arm64"):
        packages.fetch([row.model_copy(update={"name": "nothing", "sha256": "0" * 64})])


def test_an_archive_that_is_gone_is_told_of(archive: Archive) -> None:
    row = archive.add("tool", "1.0")
    shutil.rmtree(archive.folder)
    with pytest.raises(DeviceError, match="apt-get update for Debian's bookworm failed"):
        packages.fetch([row])


def test_a_machine_without_apt_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt-get, apt-cache, dpkg-deb not found"):
        packages.require_tools()
