"""The floors of docs/architecture.md: an import only ever points down."""

import ast
import re
from pathlib import Path

import pytest

import chordkit

pytestmark = pytest.mark.checkout

PACKAGE = Path(chordkit.__file__).parent

# From the ground up. Modules on one line may import each other.
FLOORS = [
    {"documents", "errors", "estimate", "files", "progress", "provenance"},
    {"quantization"},
    {"strategy"},
    {"data", "backbones"},
    {"training"},
    {"hypernetwork"},
    {"kernels"},
    {"export"},
    {"runtime_bench"},
    {"report"},
    {"demo"},
    {"cli", "__main__"},
]
FLOOR_OF = {name: level for level, names in enumerate(FLOORS) for name in names}


def _modules() -> list[Path]:
    # rglob does not follow symbolic links to folders, so each of them is listed by name.
    return sorted(path for top in PACKAGE.iterdir() if top.is_dir() for path in top.rglob("*.py")) + sorted(PACKAGE.glob("*.py"))


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.update([node.module] if node.module != "chordkit" else [f"chordkit.{alias.name}" for alias in node.names])
    return names


def _floor_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def upward_imports(floor: str, source: str) -> list[str]:
    """Imports in ``source``, a module of ``floor``, that point to a higher floor."""
    found = []
    for name in sorted(_imported(ast.parse(source))):
        parts = name.split(".")
        if parts[0] == "chordkit" and len(parts) > 1 and parts[1] in FLOOR_OF and FLOOR_OF[parts[1]] > FLOOR_OF[floor]:
            found.append(name)
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_import_only_points_down(path: Path) -> None:
    floor = _floor_name(path)
    if floor == "__init__":
        return
    assert floor in FLOOR_OF, f"{path} stands on no floor: add it to FLOORS and to docs/architecture.md"
    assert upward_imports(floor, path.read_text()) == []


def test_an_upward_import_is_seen() -> None:
    source = "from chordkit.export.bundle import open\nimport chordkit.cli"
    assert upward_imports("data", source) == ["chordkit.cli", "chordkit.export.bundle"]
    assert upward_imports("data", "def f():\n    from chordkit import export") == ["chordkit.export"]
    assert upward_imports("export", "from chordkit.strategy import decode") == []


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_ever_unpickled(path: Path) -> None:
    source = path.read_text()
    names = _imported(ast.parse(source))
    assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib"}
    assert not re.search(r"(?<!safetensors\.)\btorch\.load\(", source) and "allow_pickle=True" not in source
