"""Runs the tests against the wheel: ``make test-wheel``, or ``python scripts/check_wheel.py [options of pytest]``.

The wheel is built from what git would ship and installed into an environment of its own; beside the tests no source is left that
could be imported, compiled or read in its place. Tests that are about the checkout itself carry the marker ``checkout`` and stay out,
and so do long ones that have nothing to ask of a wheel (``long``).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "wheel"


def copy_of_what_git_would_ship(folder: Path) -> None:
    """Copy it to ``folder``, so that build leftovers of the checkout cannot leak into the wheel."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        origin, copy = ROOT / name, folder / name
        if origin.is_symlink() or origin.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, copy, follow_symlinks=False)


def build(source: Path, folder: Path) -> Path:
    """The wheel of ``source``, built into ``folder`` with the packages of this interpreter.

    Raises:
        SystemExit: the build failed; with what it said.
    """
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode:
        raise SystemExit(built.stdout)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path) -> Path:
    """Make an environment that holds ``wheel`` alone and return its interpreter.

    The dependencies are lent by this interpreter's site-packages through a .pth line, so that no network is needed. What is installed
    there as editable is not followed: nobody reads the .pth files of a lent folder.
    """
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, env=clean_environment())
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def clean_environment() -> dict[str, str]:
    """The environment variables without those that point Python to other places."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def check_origin(python: Path, folder: Path) -> None:
    """Hold that what ``python`` imports in ``folder`` is the installed package, with its compiled engine.

    Raises:
        SystemExit: it is another one, or lacks the engine (tests would skip what they cannot import).
    """
    where = "import chordkit, chordkit.kernels._native as engine; print(chordkit.__file__, engine.__file__, sep='\\n')"
    found = subprocess.run([python, "-c", where], cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    if found.returncode or not all(Path(line).is_relative_to(python.parents[1]) for line in found.stdout.splitlines()):
        raise SystemExit(f"{python}: chordkit is not the whole of what the wheel installed: {found.stdout}")
    print(f"testing {found.stdout.split()[0]}", flush=True)


def main(options: list[str]) -> int:
    """Build, install, test; returns pytest's exit status."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    source, alone = FOLDER / "source", FOLDER / "alone"
    copy_of_what_git_would_ship(source)
    wheel = build(source, FOLDER)
    alone.mkdir()
    for name in ("pyproject.toml", "tests"):
        (source / name).rename(alone / name)
    shutil.rmtree(source)
    python = install(wheel, FOLDER / "environment")
    check_origin(python, alone)
    return subprocess.run(
        [python, "-m", "pytest", "-m", "not checkout and not long", *options], cwd=alone, env=clean_environment()
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
