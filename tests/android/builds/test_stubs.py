"""``android_demo/stubs``: what is declared there of Java's own classes is what Java has, and is added to what API 23 has."""

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import java, layout
from scripts.android.process import BuildError

pytestmark = pytest.mark.checkout
MEMBERS = re.compile(r"^\s+(?:public|protected) (?:(?:static|final|native|abstract|default|synchronized|transient|volatile) )*(.+?);", re.M)


def members(*arguments: str | Path) -> set[str]:
    """Types, names and parameters of what javap shows, without what is thrown."""
    said = subprocess.run(["javap", *map(str, arguments)], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return {re.sub(r" throws .*", "", found) for found in MEMBERS.findall(said.stdout)}


@pytest.fixture(scope="module")
def stubs(tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    options = ["-source", "8", "-target", "8", "-nowarn", "-bootclasspath", str(tools.android), "-d", str(folder)]
    subprocess.run(["javac", *options, *map(str, java.sources(layout.STUBS))], check=True, capture_output=True)
    return folder


def test_java_has_what_is_declared_of_it(stubs: Path) -> None:
    compared = 0
    for path in (stubs / "java").rglob("*.class"):
        if "invoke" in path.parts:
            continue  # so that javac does not stop at a lambda before the build can say where it is
        name = ".".join(path.relative_to(stubs).with_suffix("").parts)
        declared = {member for member in members(path) if not re.fullmatch(r"[\w.$]+\(\)", member)}
        assert declared - members("--module", "java.base", name) == set(), name
        compared += len(declared)
    assert compared > 1


def test_what_is_declared_is_added_to_what_there_is(tools, tmp_path: Path) -> None:
    uses = "class Uses { int a = Math.multiplyExact(2, 3); double b = Math.sqrt(2); }\n"
    (tmp_path / "Uses.java").write_text(uses)
    java.compile_for_android(tools, [tmp_path / "Uses.java"], tmp_path / "classes")
    (tmp_path / "Uses.java").write_text(uses.replace("multiplyExact", "multiplyHigh"))
    with pytest.raises(BuildError, match="cannot find symbol"):
        java.compile_for_android(tools, [tmp_path / "Uses.java"], tmp_path / "classes")
