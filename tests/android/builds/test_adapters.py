"""LiteRT and ExecuTorch in the place of the native engine.

Their AARs are not to be had here: the adapters are compiled against stand-ins written under the runtimes' published signatures
(``runtimes``), and run over them. That they fit the real ones is for a build with Gradle to say.
"""

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import java, layout

pytestmark = pytest.mark.checkout
RUNTIMES = Path(__file__).parent / "runtimes"


@pytest.fixture(scope="module")
def classes(tools, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The library, the stand-ins, the adapters as they are compiled for Android, and the tests."""
    folder = tmp_path_factory.mktemp("adapters")
    junit = [tools.jar("junit4"), tools.jar("hamcrest")]
    library = java.compile_for_android(tools, java.sources(java.CORE), folder / "library")
    runtimes = java.compile_for_jvm(java.sources(RUNTIMES / "org"), folder / "runtimes", [])
    found = java.sources(*(layout.LIBRARY / name / "java" for name in ("litert", "executorch")))
    adapters = java.compile_for_android(tools, found, folder / "adapters", [library, runtimes])
    tests = [RUNTIMES / "AdaptersTest.java", layout.LIBRARY / "test/java/io/chordkit/ArtifactScorerTest.java"]
    known = [library, runtimes, adapters, *junit, tools.jar("jsr305")]
    return [java.compile_for_jvm(tests, folder / "tests", known), *known]


@pytest.mark.parametrize("name", ["AdaptersTest", "io.chordkit.ArtifactScorerTest"])
def test_on_a_virtual_machine(classes: list[Path], name: str) -> None:
    command = ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-cp", ":".join(map(str, classes)), "org.junit.runner.JUnitCore", name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "OK (" in done.stdout, done.stdout[-4000:] + done.stderr


def test_a_phone_can_have_them(tools, classes: list[Path], tmp_path: Path) -> None:
    (adapters,) = [path for path in classes if path.name == "adapters"]
    assert java.linked_when_called(java.dex(tools, adapters, tmp_path / "classes.dex").read_bytes()) == []
