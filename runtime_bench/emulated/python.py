"""The emulated machine's Python: Debian's packages and aarch64 wheels in a folder, which qemu-user uses as it is."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from chordkit.errors import DeviceError
from chordkit.runtime_bench.emulated import packages, wheels

INTERPRETER = PurePosixPath("usr/bin/python3.11")
MODULES = PurePosixPath("usr/local/lib/python3.11/dist-packages")
LIBRARY = PurePosixPath("opt/executorch-library")
"""Where the C++ libraries of the current ExecuTorch are in it: XNNPACK, operators, no Python and no torch."""

_LOADER = "lib/ld-linux-aarch64.so.1"
_PRELOADED = ("libexecutorch_backend_xnnpack.so", "libexecutorch_kernels_optimized.so", "libexecutorch_kernels_quantized.so")
"""Register themselves with libexecutorch.so when they are loaded."""

_LEFT_OUT = ("usr/share", "usr/lib/python3.11/test", "usr/lib/python3.11/ensurepip", "usr/lib/python3.11/idlelib", "etc")


def python_tree(folder: Path, debs: Sequence[Path], wheel_files: Sequence[Path], library: Path, qemu: Path) -> None:
    """Make the tree in the empty ``folder``: Python, the wheels' modules, ExecuTorch's libraries, and places where other things are put.

    Args:
        folder: becomes the root of the machine's Python.
        debs: Debian's packages of Python and what it links with.
        wheel_files: numpy and the runtimes.
        library: ExecuTorch's folder of C++ libraries.
        qemu: qemu-aarch64, by which that Python compiles its own modules, once instead of at every start of a machine.

    Raises:
        DeviceError: a package is damaged, or that Python does not run.
    """
    packages.unpack(debs, folder)
    for name in _LEFT_OUT:
        shutil.rmtree(folder / name, ignore_errors=True)
    modules = folder / MODULES
    modules.mkdir(parents=True)
    wheels.unpack(wheel_files, modules, lambda path: "tests" not in path.parts[:-1])
    for name in ("proc", "sys", "dev", "data", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(library, folder / LIBRARY)
    compile_modules(folder, [folder / "usr/lib/python3.11", modules], qemu)


def executorch_package(folder: Path, wheel_files: Sequence[Path]) -> None:
    """Unpack what a C++ program for ExecuTorch is compiled and linked with: ``executorch/include`` and ``executorch/lib``.

    Raises:
        DeviceError: the wheel is damaged.
    """
    wheels.unpack(wheel_files, folder, lambda path: path.parts[:2] in (("executorch", "include"), ("executorch", "lib")))


def executorch_prefix(root: str) -> tuple[str, ...]:
    """What starts a program that is linked with ``libexecutorch.so`` and finds XNNPACK and all operators there.

    Args:
        root: of the tree as the program's machine sees it, without a slash at its end.
    """
    preload = " ".join(f"{root}/{LIBRARY}/{name}" for name in _PRELOADED)
    return (f"{root}/{_LOADER}", "--library-path", f"{root}/{LIBRARY}", "--preload", preload)


def compile_modules(python: Path, folders: Sequence[Path], qemu: Path) -> None:
    """Compile modules by the tree's own Python. The same bytes each time: no times in them, no random order.

    Raises:
        DeviceError: that Python does not run.
    """
    code = "import compileall, py_compile, sys; mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
    code += "for folder in sys.argv[1:]: compileall.compile_dir(folder, quiet=2, invalidation_mode=mode)"
    command = [str(qemu), "-L", str(python), str(python / INTERPRETER), "-s", "-c", code, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONHASHSEED": "0"})
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{python}: the emulated machine's Python does not run: {words}; prepare it anew")
