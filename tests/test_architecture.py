"""The floors of docs/architecture.md: an import only ever points down, and a folder is entered through its face."""

import ast
import sys
from pathlib import Path

import pytest

import chordkit

pytestmark = pytest.mark.checkout

PACKAGE = Path(chordkit.__file__).parent

# From the ground up. Modules on one line may import each other.
FLOORS = [
    {"documents", "errors", "estimate", "extras", "files", "inputs", "processes", "progress", "provenance", "signing", "tensors"},
    {"quantization"},
    {"strategy"},
    {"patching"},
    {"data", "backbones"},
    {"training"},
    {"importing", "catalogue"},
    {"hypernetwork"},
    {"coda"},
    {"kernels"},
    {"export"},
    {"runtime_bench"},
    {"jobs"},
    {"release"},
    {"service"},
    {"evaluation"},
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
    tree = ast.parse(source)
    assert not _imported(tree) & {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib"}
    assert "allow_pickle=True" not in source
    loads = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("torch.load")]
    loads = [call for call in loads if "safetensors" not in call]
    # Of other frameworks' checkpoints alone, and of these tensors alone.
    assert not loads or path == PACKAGE / "importing" / "checkpoint.py"
    assert all("weights_only=True" in call for call in loads)


# --- inside export ----------------------------------------------------------------------------------------------------

EXPORT_FLOORS = [
    {"artifact"},
    {"program", "parity"},
    {"targets"},
    {"judge", "trainer"},
    {"stages"},
    {"bundle"},
    {"collection"},
    {"explain", "assembly"},
]
EXPORT_FLOOR_OF = {name: level for level, names in enumerate(EXPORT_FLOORS) for name in names}
EXPORT = [path for path in _modules() if path.is_relative_to(PACKAGE / "export") and path != PACKAGE / "export" / "__init__.py"]


def imported_with_names(source: str) -> set[str]:
    """Every module that ``source`` may import: of ``from a import b`` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return found


def export_upward(room: str, source: str) -> list[str]:
    """Imports in ``source``, a module of the room ``room`` of export, that point to a higher room."""
    rooms = {name: name.split(".")[2] for name in imported_with_names(source) if name.startswith("chordkit.export.")}
    return sorted(name for name, other in rooms.items() if EXPORT_FLOOR_OF.get(other, -1) > EXPORT_FLOOR_OF[room])


@pytest.mark.parametrize("path", EXPORT, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_inside_export_an_import_only_points_down(path: Path) -> None:
    room = path.relative_to(PACKAGE / "export").with_suffix("").parts[0]
    assert room in EXPORT_FLOOR_OF, f"{path} stands on no floor of export: add it to EXPORT_FLOORS and to docs/architecture.md"
    assert export_upward(room, path.read_text()) == []


def test_an_upward_import_inside_export_is_seen() -> None:
    assert export_upward("parity", "from chordkit.export.targets import lower") == [
        "chordkit.export.targets",
        "chordkit.export.targets.lower",
    ]
    assert export_upward("program", "from chordkit.export import bundle") == ["chordkit.export.bundle"]
    assert export_upward("bundle", "from chordkit.export.targets import lower") == []


def inner_modules(importer: str, source: str) -> list[str]:
    """Modules inside a folder of export that ``source``, the module ``importer`` outside of that folder, imports past the folder's face."""
    found = []
    for name in imported_with_names(source):
        parts = name.split(".")
        if (
            name.startswith("chordkit.export.")
            and len(parts) > 3
            and (PACKAGE / "export" / "/".join(parts[2:])).with_suffix(".py").is_file()
        ):
            face = ".".join(parts[:3])
            exported = (PACKAGE / "export" / parts[2] / "__init__.py").read_text()
            # A name that the face exports may be that of a module inside (`compare`).
            if importer != face and not importer.startswith(f"{face}.") and f'"{parts[3]}"' not in exported:
                found.append(name)
    return sorted(found)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_folder_of_export_is_entered_through_its_face(path: Path) -> None:
    importer = ".".join(("chordkit", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    assert inner_modules(importer, path.read_text()) == []


def test_an_import_past_a_face_is_seen() -> None:
    past = "from chordkit.export.bundle import container\nfrom chordkit.export.targets.litert.graph import View"
    assert inner_modules("chordkit.cli.bundle", past) == ["chordkit.export.bundle.container", "chordkit.export.targets.litert.graph"]
    assert inner_modules("chordkit.export.bundle.reader", "from chordkit.export.bundle import container") == []
    assert inner_modules("chordkit.demo", "from chordkit.export.parity import compare") == []


# --- kernels, contracts, commands -------------------------------------------------------------------------------------

KERNELS = [path for path in _modules() if path.is_relative_to(PACKAGE / "kernels")]
FOR_KERNELS = {"errors", "files", "inputs", "progress", "quantization", "strategy", "kernels"}


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_kernels_need_the_contracts_alone(path: Path) -> None:
    names = imported_with_names(path.read_text())
    of_chordkit = {name.split(".")[1] for name in names if name.startswith("chordkit.")}
    # The learner's binding takes and gives what its reference has.
    assert of_chordkit <= FOR_KERNELS | ({"coda"} if path == PACKAGE / "kernels" / "learner.py" else set())
    if path == PACKAGE / "kernels" / "build.py":  # setuptools runs it by itself, before there is a package
        assert not of_chordkit
    if "executorch" not in path.relative_to(PACKAGE).parts:
        assert not {name.split(".")[0] for name in names} & {"torch", "executorch"}
        assert not any(name.startswith("chordkit.kernels.executorch") for name in names)


@pytest.mark.parametrize("package", ["quantization", "strategy", "patching"])
def test_the_contracts_need_numpy_alone(package: str) -> None:
    for path in (PACKAGE / package).rglob("*.py"):
        roots = {name.split(".")[0] for name in imported_with_names(path.read_text())}
        assert roots <= set(sys.stdlib_module_names) | {"numpy", "chordkit"}, path


def test_a_command_never_imports_another() -> None:
    shared = {"apart", "bulk", "cli", "command", "groups", "output", "options", "main", "project"}
    for path in (PACKAGE / "cli").glob("*.py"):
        if path.stem not in ("main", "__init__"):
            names = {name.split(".")[2] for name in _imported(ast.parse(path.read_text())) if name.startswith("chordkit.cli.")}
            assert names <= shared, path


def test_no_product_module_is_named_like_a_test() -> None:
    assert [path for path in _modules() if path.stem.startswith("test") or path.stem.endswith("_test")] == []


def test_no_file_is_longer_than_400_lines() -> None:
    sources = [
        path
        for suffix in ("py", "c", "h", "cc", "S", "sh")
        for top in PACKAGE.iterdir()
        if top.is_dir()
        for path in top.rglob(f"*.{suffix}")
    ]
    assert len(sources) > 200
    assert {path: lines for path in sources if (lines := len(path.read_text().splitlines())) > 400} == {}
