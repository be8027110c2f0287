"""The wheel: whole, importable under one name only, and quick to say --help. ``make test-wheel`` runs the other tests against it."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("export", "kernels", "runtime_bench")
Script = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def wheel(script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    check_wheel = script("scripts/check_wheel.py")
    check_wheel.copy_of_what_git_would_ship(folder / "source")
    return check_wheel.build(folder / "source", folder)


@pytest.fixture(scope="module")
def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.checkout
def test_the_wheel_holds_every_module_schema_and_template_and_only_the_name_chordkit(members: dict[str, bytes]) -> None:
    top = {name.split("/")[0] for name in members}
    assert {name for name in top if not name.endswith(".dist-info")} == {"chordkit"}
    folders = [path for path in (ROOT / "chordkit").iterdir() if path.is_dir()]
    needed = [path for folder in folders for kind in ("*.py", "*.json", "*.j2") for path in folder.rglob(kind)]
    needed += (ROOT / "chordkit").glob("*.py")
    needed += (ROOT / "chordkit" / "runtime_bench").rglob("*.c")
    assert {path.relative_to(ROOT).as_posix() for path in needed} <= members.keys()
    assert all(any(name.startswith(f"chordkit/{linked}/") for name in members) for linked in LINKED)


@pytest.mark.checkout
def test_the_wheel_holds_what_the_executorch_operators_are_compiled_from(members: dict[str, bytes]) -> None:
    from chordkit.kernels import build as libchord
    from chordkit.kernels.executorch import library as executorch_ops

    lists = [libchord.LIBCHORD / name for name in ("sources.txt", "flags.txt")]
    needed = [*executorch_ops.sources(), *executorch_ops.headers(), executorch_ops.EXPORTS, *lists]
    # Byte for byte: builds of these sources (sanitizers, Arm, Android) are tested in the checkout alone.
    for path in needed:
        assert members.get(f"chordkit/kernels/{path.relative_to(libchord.HERE).as_posix()}") == path.read_bytes(), path


@pytest.mark.checkout
def test_an_empty_environment_runs_the_installed_wheel(wheel: Path, script: Script, tmp_path: Path) -> None:
    check_wheel = script("scripts/check_wheel.py")
    python = check_wheel.install(wheel, tmp_path / "empty")
    check_wheel.check_origin(python, tmp_path)
    command = [python.with_name("chordkit"), "--help"]
    helped = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=check_wheel.clean_environment())
    for verb in ("data", "train", "strategy", "evaluate", "export", "bundle", "validate", "bench", "devices", "report", "demo"):
        assert verb in helped.stdout


def test_help_does_not_wait_for_torch_or_a_runtime() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from chordkit.cli.main import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([m for m in ('torch', 'executorch', 'onnxruntime', 'ai_edge_litert', 'polars') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
