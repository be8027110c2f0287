"""Runs the tests against the wheel: ``make test-wheel``, or ``python scripts/check_wheel.py [options of pytest]``.

The wheel is built from what git would ship and installed into an environment of its own; beside the tests no source is left that
could be imported, compiled or read in its place. All of its files are the checkout's, byte for byte, and no module, schema or template
is missing; so the folders whose tests ask only what Python computes (``COMPUTED``), and tests elsewhere that take long and ask no more
(``long``), have nothing to ask of it. Those that are about the checkout itself carry the marker ``checkout`` and stay out as well.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "wheel"
COMPUTED = ("backbones", "catalogue", "coda", "data", "evaluation", "hypernetwork", "importing", "jobs", "training")
"""Of the tests: compiled code, files of the package, other programs and the command line have no part in them."""


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


NEEDED = (".py", ".json", ".j2", ".typed")
"""What of the package every wheel has; of the C sources those that are compiled where they are used (``setup.cfg``)."""


def check_contents(wheel: Path, source: Path) -> None:
    """Hold that the package in ``wheel`` is that of ``source``: the same bytes, nothing else but the compiled engine, all of its modules.

    Raises:
        SystemExit: a file differs, is too much or is missing.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    for name, data in members.items():
        if not Path(name).name.startswith("_native.abi3.") and (not (source / name).is_file() or (source / name).read_bytes() != data):
            raise SystemExit(f"{wheel}: {name} is not the checkout's")
    needed = {
        str((Path("chordkit") / folder.name / path.relative_to(folder)) if folder.is_dir() else folder.relative_to(source))
        for folder in (source / "chordkit").iterdir()
        for path in (folder.rglob("*") if folder.is_dir() else [folder])
        if path.suffix in NEEDED
    }
    if missing := sorted(needed - members.keys()):
        raise SystemExit(f"{wheel}: {', '.join(missing)} is missing")


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
    check_contents(wheel, source)
    alone.mkdir()
    for name in ("pyproject.toml", "tests"):
        (source / name).rename(alone / name)
    shutil.rmtree(source)
    python = install(wheel, FOLDER / "environment")
    check_origin(python, alone)
    left_out = [f"--ignore=tests/{folder}" for folder in COMPUTED]
    command = [python, "-m", "pytest", "-m", "not checkout and not long", *left_out, *options]
    return subprocess.run(command, cwd=alone, env=clean_environment()).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
