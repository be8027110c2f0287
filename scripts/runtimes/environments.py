"""Environments for old runtimes: a wheel from the registry, unpacked into a folder of its own, beside the numpy that it was built for.

A folder first on ``sys.path`` of a Python without site-packages is all that these runtimes need of an environment, and costs no second
installation. Wheels are fetched once and kept.
"""

import importlib.util
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from chordkit import files
from chordkit.runtime_bench import emulated
from chordkit.runtime_bench.emulated.python import INTERPRETER, MODULES
from chordkit.runtime_bench.emulated.wheels import PLATFORMS, PYTHON

_TIMEOUT_S = 600


class Unavailable(Exception):
    """An environment cannot be had, with the reason in one line."""


@dataclass(frozen=True)
class Package:
    """A package that runs files of a target.

    Attributes:
        name: at the registry.
        target: whose files it runs.
        runtime: what the worker calls it.
        oldest: the first version that is tried.
        old_numpy: versions before this one were built for numpy 1; None = none was.
        torch: tensors of torch carry its inputs, from this version on of the torch that this script runs with; None = none do.
        emulated: the torch of versions before that one, which the registry has without CUDA for arm64 alone: they run under emulation.
    """

    name: str
    target: str
    runtime: str
    oldest: str
    old_numpy: str | None = None
    torch: str | None = None
    emulated: Mapping[str, str] = field(default_factory=dict)


_TORCH_OF = {"1.0.0": "2.9.1", "1.0.1": "2.9.1", "1.1.0": "2.10.0", "1.2.0": "2.10.0"}

PACKAGES = (
    Package("tflite-runtime", "litert", "tflite", "2.14.0", old_numpy="3"),
    Package("ai-edge-litert", "litert", "litert", "1.0.0", old_numpy="1.3"),
    Package("onnxruntime", "onnx", "onnx", "1.17.0", old_numpy="1.19"),
    Package("executorch", "executorch", "executorch", "1.0.0", torch="1.4", emulated=_TORCH_OF),
    Package("openvino", "openvino", "openvino", "2025.0.0"),
)
OLD_NUMPY, NEW_NUMPY = "1.26.4", "2.4.6"


@dataclass(frozen=True)
class Environment:
    """Where one version of a runtime is.

    Attributes:
        package: the runtime's; version: of it.
        paths: folders for ``sys.path``.
        beside: what runs with it, by package.
        python: how its Python is started.
        emulated: whether that is an emulated arm64 one.
    """

    package: Package
    version: str
    paths: tuple[Path, ...]
    beside: dict[str, str]
    python: tuple[str, ...] = (sys.executable,)
    emulated: bool = False


def find_package(name: str) -> Package:
    """The package called ``name``.

    Raises:
        KeyError: there is none.
    """
    return {package.name: package for package in PACKAGES}[name]


def versions(package: Package) -> list[str]:
    """The released versions that this Python can have from the registry, oldest first.

    Raises:
        Unavailable: the registry does not answer.
    """
    told = _pip("index", "versions", package.name)
    found = re.search(r"Available versions: (.+)", told)
    if found is None:
        raise Unavailable(f"{package.name}: the registry names no versions")
    known = sorted((Version(each.strip()) for each in found[1].split(",")), key=lambda version: version)
    return [str(version) for version in known if version >= Version(package.oldest) and not version.is_prerelease]


def prepare(package: Package, version: str, folder: Path) -> Environment:
    """The environment of one version under ``folder``, fetched and unpacked if it is not there yet.

    Raises:
        Unavailable: a wheel cannot be had for this Python, or a part is missing.
    """
    if package.torch is not None and Version(version) < Version(package.torch):
        return _emulated(package, version, folder)
    old = package.old_numpy is not None and Version(version) < Version(package.old_numpy)
    numpy = OLD_NUMPY if old else NEW_NUMPY
    paths = [_unpacked(package.name, version, folder), _unpacked("numpy", numpy, folder)]
    beside = {"numpy": numpy}
    if package.torch is not None:
        import torch

        paths.append(Path(torch.__file__).parents[1])
        beside = {"torch": str(torch.__version__).partition("+")[0]}
    return Environment(package, version, tuple(paths), beside)


def _emulated(package: Package, version: str, folder: Path) -> Environment:
    """One with the aarch64 wheels of the package and of its torch, and the emulated machine's Python and numpy."""
    torch, machine = package.emulated.get(version), emulated.prepared()
    if torch is None:
        raise Unavailable(
            "it was built with a torch that the registry has for no processor without CUDA, and does not load with an older one"
        )
    if machine is None:
        raise Unavailable(f"its torch has a build without CUDA for arm64 alone, and there is no emulated machine; run `{emulated.COMMAND}`")
    numpy = machine.python_tree / MODULES
    here = Path(importlib.util.find_spec("typing_extensions").origin).parent  # type: ignore[union-attr, arg-type]  # what torch imports
    paths = (_unpacked(package.name, version, folder, "aarch64"), _unpacked("torch", torch, folder, "aarch64"), numpy, here)
    python = (str(machine.qemu_user), "-L", str(machine.python_tree), str(machine.python_tree / INTERPRETER))
    return Environment(package, version, paths, {"torch": torch}, python, emulated=True)


def installed(package: Package, version: str) -> Environment:
    """The environment that this script itself runs in, which has ``version`` installed."""
    import numpy

    site = Path(numpy.__file__).parents[1]
    return Environment(package, version, (site,), {"numpy": numpy.__version__})


def _pip(*arguments: str) -> str:
    if importlib.util.find_spec("pip") is None:
        raise Unavailable("pip is not installed here")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip {arguments[0]} took more than {_TIMEOUT_S} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise Unavailable(f"pip {arguments[0]}: {lines[-1]}")
    return done.stdout


def _unpacked(name: str, version: str, folder: Path, machine: str = platform.machine()) -> Path:
    here = machine == platform.machine()
    python = f"{sys.version_info[0]}.{sys.version_info[1]}" if here else PYTHON
    place = folder / "environments" / f"{name}-{version}-cp{python.replace('.', '')}-{machine}"
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        other = [] if here else ["--python-version", python, *(word for each in PLATFORMS for word in ("--platform", each))]
        _pip("download", "--quiet", "--no-deps", "--only-binary", ":all:", *other, "--dest", temporary, f"{name}=={version}")
        (wheel,) = Path(temporary).glob("*.whl")
        unpacked = Path(temporary) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        try:
            files.rename(unpacked, place)
        except OSError:
            if not place.is_dir():  # another process was faster
                raise
    return place
