"""The Android library on virtual machines, and what its tests read: all of it made once, also where several processes test at once.

What these tests stand on (``scripts``) is in a checkout only, so it is imported where it is used.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chordkit import files
from chordkit.runtime_bench.emulated.cache import new_folder

if TYPE_CHECKING:
    from tests.android.java_virtual_machines import Results, VirtualMachine

Shared = Callable[[str, Callable[[Path], object]], Path]


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
def virtual_machine(shared: Shared) -> "Callable[[str], VirtualMachine]":
    """A virtual machine by its name: ``x86_64``, ``dex`` (the same, of what dx made of the library), ``arm64``, ``phone`` (emulated)."""
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
            library = shared("dex", lambda folder: machines.retranslate(debian, library, folder)) / "classes.jar"
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
