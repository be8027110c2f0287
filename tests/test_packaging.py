"""The wheel: whole, importable under one name only, and quick to say --help."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("export", "kernels", "runtime_bench")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy of what git would ship, so that build leftovers of the checkout cannot leak into the wheel.
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    for name in listed.decode().split("\0"):
        origin, copy = ROOT / name, source / name
        if not name or not (origin.is_symlink() or origin.is_file()):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_symlink():
            copy.symlink_to(os.readlink(origin))
        else:
            copy.write_bytes(origin.read_bytes())
            copy.chmod(origin.stat().st_mode)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)], check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_schema_and_template_and_only_the_name_chordkit(wheel: Path) -> None:
    members = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in members}
    assert {name for name in top if not name.endswith(".dist-info")} == {"chordkit"}
    folders = [path for path in (ROOT / "chordkit").iterdir() if path.is_dir()]
    needed = [path for folder in folders for kind in ("*.py", "*.json", "*.j2") for path in folder.rglob(kind)]
    needed += (ROOT / "chordkit").glob("*.py")
    assert {path.relative_to(ROOT).as_posix() for path in needed} <= members
    assert all(any(name.startswith(f"chordkit/{linked}/") for name in members) for linked in LINKED)


def test_the_wheel_holds_what_the_executorch_operators_are_compiled_from(wheel: Path) -> None:
    from chordkit.kernels import build as libchord
    from chordkit.kernels.executorch import library as executorch_ops

    lists = [libchord.LIBCHORD / name for name in ("sources.txt", "flags.txt")]
    needed = [*executorch_ops.sources(), *executorch_ops.headers(), executorch_ops.EXPORTS, *lists]
    members = set(zipfile.ZipFile(wheel).namelist())
    assert {f"chordkit/kernels/{path.relative_to(libchord.HERE).as_posix()}" for path in needed} <= members


def test_an_empty_environment_runs_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "empty"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    # The dependencies are lent by this interpreter's site-packages (a .pth line; editable installs there are not followed), so
    # that the test needs no network; chordkit itself comes from the wheel alone.
    (environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "lent.pth").write_text(
        sysconfig.get_paths()["purelib"] + "\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    located = subprocess.run(
        [python, "-c", "import chordkit.export, chordkit.kernels, chordkit.runtime_bench as r; print(r.__file__)"],
        check=True, capture_output=True, text=True, cwd=tmp_path, env=clean,
    )  # fmt: skip
    assert located.stdout.startswith(str(environment))
    command = [environment / "bin" / "chordkit", "--help"]
    helped = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=clean)
    for verb in ("data", "train", "strategy", "export", "bundle", "validate", "bench", "devices", "report", "demo"):
        assert verb in helped.stdout


def test_help_does_not_wait_for_torch_or_a_runtime() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from chordkit.cli.main import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([m for m in ('torch', 'executorch', 'onnxruntime', 'ai_edge_litert', 'polars') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
