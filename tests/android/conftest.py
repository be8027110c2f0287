"""The Android builds, the library on virtual machines, and what its tests read: all made once, also where several processes test.

What these tests stand on (``scripts``) is in a checkout only, so it is imported where it is used.
"""

import dataclasses
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chordkit import files
from chordkit.errors import DeviceError
from chordkit.export import bundle
from chordkit.runtime_bench.emulated.cache import new_folder
from tests.export.conftest import Toy

if TYPE_CHECKING:
    from tests.android.java_virtual_machines import Results, VirtualMachine

Shared = Callable[[str, Callable[[Path], object]], Path]


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


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A folder by its name, filled by the first process that asks for it; the others wait."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path = base / "android" / name
        with files.alone(base / "android-locks" / name):
            if not path.exists():
                with new_folder(path) as work:
                    make(work)
        return path

    return folder


@pytest.fixture(scope="session")
def material(shared: Shared) -> Path:
    """The folder that :mod:`tests.android.material` describes."""
    from tests.android import material as materials

    return shared("material", materials.make)


@pytest.fixture(scope="session")
def shipped_classes(tools, built: Built, shared: Shared) -> Path:
    """The dex file of the APK (the library, the app, the part of BouncyCastle that it takes) turned back into classes: a jar."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(built / "chord.apk") as apk:
            java.retranslate(tools, Path(apk.extract("classes.dex", folder)), folder / "classes.jar")

    from scripts.android import java

    return shared("shipped", make) / "classes.jar"


@pytest.fixture(scope="session")
def virtual_machine(shared: Shared, request: pytest.FixtureRequest) -> "Callable[[str], VirtualMachine]":
    """A virtual machine by its name: ``x86_64``, ``dex`` (the same, of the dex that is shipped), ``arm64``, ``phone`` (emulated)."""
    from scripts.android import java
    from tests.android import java_virtual_machines as machines

    def make(name: str) -> machines.VirtualMachine:
        command = {"arm64": lambda: machines.arm64("cortex-a76"), "phone": machines.phone}.get(name, machines.host)()
        debian = machines.debian()
        library = shared("library", lambda folder: machines.compile_library(debian, folder))
        sources = java.sources(*machines.TESTS, machines.HELPERS)
        tests = shared("tests", lambda folder: machines.compile_tests(debian, library, sources, folder))
        architecture = "arm64" if name in ("arm64", "phone") else "x86_64"
        native = shared(f"native-{architecture}", lambda folder: machines.build_native(architecture, folder))
        if name in ("dex", "phone"):
            library = request.getfixturevalue("shipped_classes")
        properties = machines.EMULATED if architecture == "arm64" else {}
        kind = machines.Phone if name == "phone" else machines.VirtualMachine
        return kind(command, [tests, library, *machines.run_with(debian)], native, properties)

    return make


@pytest.fixture(scope="session")
def results(virtual_machine: "Callable[[str], VirtualMachine]", material: Path, shared: Shared) -> "Callable[[str], Results]":
    """What all JUnit classes gave on a virtual machine, which is started once."""
    from tests.android import java_virtual_machines as machines

    def run(name: str) -> machines.Results:
        def test(folder: Path) -> None:
            status, output = virtual_machine(name).run(machines.RUNNER, machines.test_classes(name), material)
            (folder / "status").write_text(str(status))
            (folder / "output").write_text(output)

        folder = shared(f"results-{name}", test)
        return machines.read_results(int((folder / "status").read_text()), (folder / "output").read_text())

    return run
