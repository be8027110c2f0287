"""``chord_executorch_bench``, the program that measures ExecuTorch's files without Python: compiled once for a set of sources, a compiler
and an ExecuTorch, and linked with that ExecuTorch's libraries, which are on the device.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.kernels import build as libchord
from chordkit.kernels.executorch import library
from chordkit.runtime_bench.elf import check_abi
from chordkit.runtime_bench.runners.cache import kept
from chordkit.runtime_bench.runners.native import c_compiler

NAME = "chord_executorch_bench"
_MACHINES = {"arm64-v8a": "aarch64", "x86_64": "x86_64"}


def executorch_program(abi: str, package: Path, version: str) -> Path:
    """The program for ``abi``, compiled when the cache has none yet (some 20 s).

    Args:
        abi: of the device.
        package: ExecuTorch for it: a folder with ``include`` and ``lib``.
        version: of that, for the records.

    Raises:
        DeviceError: there is no compiler for it (the sentence has the packages), it refuses, or chordkit knows no such ABI.
    """
    c_command = c_compiler(abi)
    try:
        command = library.compiler(_MACHINES[abi])
    except MissingRuntimeError as error:
        raise DeviceError(str(error)) from None
    flags = (library.C_FLAGS, library.CXX_FLAGS, library.BENCH_LIBRARIES)
    digest = hashlib.sha256(repr((abi, command, c_command, flags, version)).encode())
    for name in (command[0], c_command[0]):
        digest.update(f"{shutil.which(name)} {_version(name)}".encode())
    runner = libchord.LIBCHORD / "tools" / "runner"
    for file in [*library.sources(), *library.headers(), *library.bench_sources(), runner / "runner.h"]:
        digest.update(os.path.relpath(file, libchord.HERE).encode() + b"\0" + file.read_bytes() + b"\0")

    def make(path: Path) -> None:
        try:
            library.compile_bench(path, command, c_command, package, version)
        except MissingRuntimeError as error:
            raise DeviceError(str(error)) from None
        check_abi(path, abi)

    return kept(f"{NAME}-{abi}", digest.hexdigest(), make)


def _version(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace").stdout.partition("\n")[0]
