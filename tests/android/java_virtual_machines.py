"""Builds the Android library, the app's logic and their tests as for phones, and runs JUnit: a virtual machine starts once for all."""

import dataclasses
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chordkit.errors import ChordkitError
from chordkit.runtime_bench.devices.emulator import booted_with
from chordkit.runtime_bench.emulated import COMMAND, prepared
from chordkit.runtime_bench.emulated import java as arm64_java
from scripts.android import java, native
from scripts.android.layout import APP, LIBRARY
from scripts.android.tools import Tools, tools

TESTS = (LIBRARY / "test" / "java", APP.with_name("test") / "java")
SOURCES = (LIBRARY / "main" / "java", LIBRARY / "bouncycastle" / "java", APP / "java" / "io" / "chordkit" / "demo" / "logic")
HELPERS = Path(__file__).parent / "java"
RUNNER = "RunTests"

HEAP = ("-XX:+UseSerialGC", "-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch")
"""A heap that is all there from the start, so that a process that grows grows elsewhere."""
CHECKED = ("-Xcheck:jni", "-Xshare:auto", "-Dfile.encoding=UTF-8", *HEAP)
QUICKLY_COMPILED = "-XX:TieredStopAtLevel=1"
"""The first of two compilers alone, where a processor is emulated: the second costs a third of the run. On the host both are used."""
EMULATED = {"chord.test.calls": "2000", "chord.test.noise": str(16 << 20)}
"""What tests on an emulated processor are told: it is slow, and the emulator's own memory is in the process."""
PERTURBED = {"MALLOC_PERTURB_": "165"}
"""glibc overwrites what is given back, so that what is used afterwards gives wrong answers."""
_TIMEOUT_S = 900.0


MACHINES = ("x86_64", "dex", "arm64", "phone")
"""By name: the host's, the same of the dex that the APK has, one on qemu-user, one in an emulated machine."""
NOT_EMULATED = (
    "io.chordkit.ChordStore",
    "io.chordkit.Delta",
    "io.chordkit.PublicPool",
    "io.chordkit.Updater",
    "io.chordkit.demo.",
    "io.chordkit.release.",
)
"""What is Java and files, whatever the processor: on an emulated one it would take minutes."""
ON_THE_PHONE = ("io.chordkit.Engine", "io.chordkit.trust.")
"""What calls native code most: the others have been on the same virtual machine and the same processor without the phone around it."""


def test_classes(machine: str) -> list[str]:
    """Names of the JUnit classes that a virtual machine of :data:`MACHINES` runs."""
    found = sorted(".".join(path.relative_to(root).with_suffix("").parts) for root in TESTS for path in root.rglob("*Test.java"))
    if machine == "phone":
        return [name for name in found if name.startswith(ON_THE_PHONE)]
    return [name for name in found if machine in ("x86_64", "dex") or not name.startswith(NOT_EMULATED)]


@dataclass(frozen=True)
class JUnitTest:
    """What became of one test. ``words``: the trace of a failure."""

    name: str
    passed: bool
    words: str = ""


@dataclass(frozen=True)
class Results:
    """What one start of a virtual machine gave: the tests by class, and all that was said besides."""

    status: int
    tests: Mapping[str, Sequence[JUnitTest]]
    said: str

    def problems(self, name: str) -> list[str]:
        """What is wrong with the tests of a class; empty = all of them ran and passed."""
        tests = self.tests.get(name, ())
        if not tests:
            return [f"{name}: no test ran; the virtual machine ended with {self.status} and said: {self.said[-3000:]}"]
        return [f"{name}.{test.name}: {test.words}" for test in tests if not test.passed]


def read_results(status: int, output: str) -> Results:
    """Results from what :data:`RUNNER` printed; a test that began and did not end is a failure."""
    begun: dict[tuple[str, str], JUnitTest] = {}
    said = []
    for line in output.splitlines():
        kind, *words = line.split("\t")
        if kind in ("@started", "@passed", "@failed") and len(words) == 3:
            text = re.sub(r"\\(.)", lambda escaped: {"n": "\n", "t": "\t"}.get(escaped[1], escaped[1]), words[2])
            ended = JUnitTest(words[1], kind == "@passed", "" if kind == "@passed" else text or "the virtual machine ended in it")
            begun[words[0], words[1]] = ended
        else:
            said.append(line)
    tests: dict[str, list[JUnitTest]] = {}
    for (name, _), test in begun.items():
        tests.setdefault(name, []).append(test)
    return Results(status, tests, "\n".join(said))


@dataclass(frozen=True)
class VirtualMachine:
    """A way to run Java.

    Attributes:
        command: what starts it.
        classes: folders and archives of classes.
        native: the folder of ``libchord_jni.so`` for its processor.
        properties: further system properties.
    """

    command: Sequence[str]
    classes: Sequence[Path]
    native: Path
    properties: Mapping[str, str] = field(default_factory=dict)

    def options(self, main: str, arguments: Sequence[str], material: Path) -> list[str]:
        """What comes after :attr:`command` to run a program."""
        given = {"java.library.path": self.native, "chord.test.folder": material, **self.properties}
        properties = [f"-D{name}={value}" for name, value in given.items()]
        return [*properties, "-cp", os.pathsep.join(map(str, self.classes)), main, *arguments]

    def run(self, main: str, arguments: Sequence[str], material: Path) -> tuple[int, str]:
        """Run a program; its status, and everything that it says in one text.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        done = subprocess.run(
            [*self.command, *self.options(main, arguments, material)],
            env={**os.environ, **PERTURBED},
            cwd=self.native,  # where a virtual machine that crashes leaves its notes
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
        )
        return done.returncode, done.stdout

    def test(self, names: Sequence[str], material: Path) -> Results:
        """Run the JUnit classes ``names``."""
        return read_results(*self.run(RUNNER, names, material))


@dataclass(frozen=True)
class Phone(VirtualMachine):
    """Java in an emulated machine that is booted for it; everything is carried there."""

    def run(self, main: str, arguments: Sequence[str], material: Path) -> tuple[int, str]:
        runtime = arm64_java.prepared_java()
        assert runtime is not None
        with tempfile.TemporaryDirectory() as work, booted_with(runtime) as device:
            there = Path(device.folder)
            names = {path: there / "classes" / f"{number}-{path.name}" for number, path in enumerate(self.classes)}
            carried = {**names, self.native: there / "native", material: there / "material"}
            archive = Path(work) / "all.tar"
            with tarfile.open(archive, "w", dereference=True) as tar:
                for path, place in carried.items():
                    tar.add(path, place.relative_to(there).as_posix())
            device.push(archive, f"{there}/{archive.name}")
            unpacked = device.run(["tar", "-x", "-f", f"{there}/{archive.name}", "-C", str(there)], _TIMEOUT_S)
            assert unpacked.status == 0, unpacked.stderr
            moved = dataclasses.replace(self, classes=[*names.values()], native=there / "native")
            perturbed = [f"{name}={value}" for name, value in PERTURBED.items()]
            done = device.run(["env", *perturbed, *self.command, *moved.options(main, arguments, there / "material")], _TIMEOUT_S)
        return done.status, done.stdout + done.stderr


def debian() -> Tools:
    """The tools and libraries that the library is built with; skips where they cannot be had."""
    try:
        java.javac()
        return tools()
    except ChordkitError as error:
        pytest.skip(str(error))


def run_with(found: Tools) -> list[Path]:
    """What the library and its tests stand on, which a phone, or Gradle, has."""
    return [found.jar(name) for name in ("bcprov", "com.android.json", "junit4", "hamcrest")]


def compile_library(found: Tools, folder: Path) -> None:
    """The library's classes as an APK gets them, with what is optional of it."""
    java.compile_for_android(found, java.sources(*SOURCES), folder, run_with(found))


def compile_tests(found: Tools, library: Path, sources: Sequence[Path], folder: Path) -> None:
    """Classes that only a JVM runs."""
    java.compile_for_jvm(sources, folder, [library, *run_with(found), found.jar("jsr305")])


def build_native(architecture: str, folder: Path) -> None:
    """``libchord_jni.so`` for the virtual machines of ``x86_64`` or ``arm64``; skips where there is no compiler."""
    try:
        (native.for_host if architecture == "x86_64" else native.for_arm64)(folder)
    except ChordkitError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))


def phone() -> list[str]:
    """Java in an emulated machine, which :class:`Phone` boots; skips where it is not prepared."""
    pytest.importorskip("adbutils")
    arm64("cortex-a76")
    runtime = arm64_java.prepared_java()
    assert runtime is not None
    return [*runtime.within(), *CHECKED, QUICKLY_COMPILED]


def host() -> list[str]:
    """The JDK's virtual machine."""
    return ["java", *CHECKED]


def arm64(cpu: str) -> list[str]:
    """The arm64 virtual machine on the emulated processor ``cpu``; skips where it is not prepared."""
    machine, runtime = prepared(), arm64_java.prepared_java()
    if machine is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    if runtime is None:
        pytest.skip(f"there is no arm64 Java; `{arm64_java.COMMAND}` makes it")
    return [*runtime.on(machine.qemu_user, cpu), *CHECKED, QUICKLY_COMPILED]
