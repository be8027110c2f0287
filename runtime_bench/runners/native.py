"""``chord_runner``, the program that measures the native engine: compiled where it is needed, once for a set of sources and a compiler.

It is static, so that it runs on any Linux of its architecture, Android's included.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.kernels import build as libchord
from chordkit.runtime_bench.elf import check_abi
from chordkit.runtime_bench.runners.cache import kept

NAME = "chord_runner"
ABIS = ("arm64-v8a", "x86_64")
_HERE = {"aarch64": "arm64-v8a", "x86_64": "x86_64"}
_FLAGS = ("-g0", "-static")
LAYERS = Path(__file__).with_name("profile_layers.c")
_TIMEOUT_S = 600


def native_program(abi: str, profiled: bool = False) -> Path:
    """The program for ``abi``, compiled when the cache has none yet (some 10 s).

    ``profiled``: for :mod:`chordkit.runtime_bench.runners.profile`, with its symbols and with the places of the layers; the same code.

    For arm64 it takes clang-19 and lld-19 with the libraries of gcc-aarch64-linux-gnu, which makes the faster kernels, else that gcc.

    Raises:
        DeviceError: there is no compiler for it (the sentence has the packages), it refuses, or chordkit knows no such ABI.
    """
    command = c_compiler(abi)
    program = shutil.which(command[0])
    version = _run([*command, "--version"]).partition("\n")[0]
    tool = libchord.LIBCHORD / "tools" / "runner"
    files = [*libchord.sources(), *libchord.headers(), *sorted(tool.glob("*.[ch]"))]
    digest = hashlib.sha256(repr((abi, command, program, version, libchord.flags(), _FLAGS, profiled)).encode())
    for file in [*files, LAYERS] if profiled else files:
        digest.update(os.path.relpath(file, libchord.HERE).encode() + b"\0" + file.read_bytes() + b"\0")

    def make(path: Path) -> None:
        sources = [str(file) for file in (*libchord.tool("runner"), *libchord.sources())]
        more = ["-Wl,--wrap=chord_session_open,--wrap=chord_adopt", f"-I{libchord.LIBCHORD / 'src'}", str(LAYERS)] if profiled else ["-s"]
        _run([*command, *libchord.flags(), *_FLAGS, *more, "-o", str(path), *sources, "-lm"])
        check_abi(path, abi)

    return kept(f"{NAME}-{abi}{'-profiled' if profiled else ''}", digest.hexdigest(), make)


def c_compiler(abi: str) -> list[str]:
    """The C compiler for ``abi`` as the beginning of a command.

    Raises:
        DeviceError: there is none.
    """
    if abi not in ABIS:
        raise DeviceError(f"the native engine is not built for {abi}; devices of {' and '.join(ABIS)} can be measured")
    if abi == _HERE.get(platform.machine()):
        for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
            if name and shutil.which(name.split()[0]):
                return name.split()
        raise DeviceError("the native engine's program needs a C compiler: apt-get install gcc")
    if abi == "x86_64":
        if shutil.which("x86_64-linux-gnu-gcc"):
            return ["x86_64-linux-gnu-gcc"]
        raise DeviceError(f"the native engine's program for {abi} needs a compiler: apt-get install gcc-x86-64-linux-gnu")
    gcc = "aarch64-linux-gnu-gcc"
    if not shutil.which(gcc):
        raise DeviceError(f"the native engine's program for {abi} needs a compiler: apt-get install gcc-aarch64-linux-gnu clang-19 lld-19")
    if not (shutil.which("clang-19") and shutil.which("ld.lld-19")):
        return [gcc]
    libraries = str(Path(_run([gcc, "-print-libgcc-file-name"]).strip()).parent)
    root = "/usr/aarch64-linux-gnu"
    places = ["-isystem", f"{root}/include", f"-B{libraries}", f"-L{libraries}", f"-L{root}/lib"]
    return ["clang-19", "-Wno-unused-command-line-argument", "--target=aarch64-linux-gnu", *places, "-fuse-ld=lld-19"]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{command[0]}: the compiler does not answer ({error}); install it anew") from None
    if done.returncode != 0:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-300:])
        raise DeviceError(f"the native engine's program cannot be compiled with {command[0]}: {complaint}")
    return done.stdout
