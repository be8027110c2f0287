"""An APK and an AAR, each built twice from the sources, for all tests of a session (and all processes that run it) together."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chordkit import files
from chordkit.errors import DeviceError
from chordkit.export import bundle
from tests.export.conftest import Toy


@dataclasses.dataclass(frozen=True)
class Built:
    """A folder of what was built: ``chord.apk`` (the demo app), ``bundled.apk`` (with a bundle), ``maven`` (the AAR) and ``native``."""

    folder: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def aar(self) -> Path:
        (path,) = self.folder.glob("maven/**/chord-android/**/*.aar")
        return path


@pytest.fixture(scope="session")
def tools():
    """Debian's packages for the builds."""
    for name in ("javac", "java", "clang-19", "ld.lld-19"):
        if shutil.which(name) is None:
            pytest.skip(f"there is no {name}: `make system-test` names its package")
    from scripts.android.tools import tools

    try:
        return tools()
    except DeviceError as error:
        pytest.skip(f"the packages of the Android builds cannot be had: {error}")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder by a function, in one of the processes of a session; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "android-builds"

    def make(name: str, function: Callable[[Path], object]) -> Path:
        done = shared / f"{name}.done"
        with files.alone(shared):
            if not done.exists():
                function(shared / name)
                done.touch()
        return shared / name

    return make


@pytest.fixture(scope="session")
def toy_bundle(once) -> Path:
    """A signed bundle with its public key and people beside it."""

    def make(folder: Path) -> None:
        toy = Toy()
        folder.mkdir()
        bundle.write(folder / "toy.chord", toy.contents(), toy.KEY)
        pem = toy.PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "key.pub.pem").write_bytes(pem)
        (folder / "demo_users.json").write_text('{"people": []}\n')

    return once("bundle", make) / "toy.chord"


@pytest.fixture(scope="session")
def build(tools, toy_bundle: Path, once) -> Callable[[str], Built]:
    """The builds by the name of their folder: ``first``, or ``second``, with the same signing key and nothing else in common.

    ``chord.apk`` is in the first one only.
    """
    from scripts.android import aar, apk, layout, native

    def make(folder: Path) -> None:
        libraries = native.for_android(folder / "native")
        app, key = apk.App.of(layout.APP), folder.parent / "signing"
        members = apk.compile_app(tools, app, libraries, folder / "work")
        assets = apk.assets(toy_bundle, [toy_bundle.with_name("key.pub.pem")])
        apk.pack(tools, [*members, *assets], folder / "bundled.apk", folder / "work", key)
        if folder.name == "first":
            apk.pack(tools, members, folder / "chord.apk", folder / "work", key)
        aar.build(tools, libraries, folder / "maven", folder / "work-aar")

    return lambda name: Built(once(name, make))


@pytest.fixture(scope="session")
def built(build: Callable[[str], Built]) -> Built:
    return build("first")
