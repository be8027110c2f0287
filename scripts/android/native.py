"""``libchord_jni.so``: the engine, the verifier and their Java side in one library, for phones and for the JVMs of the tests."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chordkit.kernels import build
from scripts.android.layout import ABIS, JNI, LIBCHORD
from scripts.android.process import program, run
from scripts.android.tools import jdk_headers, require_compilers

NAME = "libchord_jni.so"
EXPORTS = JNI / "exports.map"
"""The linker's list of what is seen from outside: the functions of Java's native methods."""


def sources() -> list[Path]:
    """What the library is compiled from, each file once."""
    parts = [LIBCHORD / part / "sources.txt" for part in ("verify", "learn", "personal")]
    patterns = [line for part in parts for line in part.read_text().splitlines() if line and not line.startswith("#")]
    others = [path for pattern in patterns for path in sorted(LIBCHORD.glob(pattern))]
    return [*dict.fromkeys([*build.sources(), *others]), *sorted(JNI.glob("*.c"))]


def for_android(folder: Path) -> dict[str, Path]:
    """Build for every ABI; the libraries by ABI.

    Raises:
        BuildError: a compiler is missing, or a source does not compile.
    """
    require_compilers()
    command: list[str | Path] = ["sh", LIBCHORD / "build_android.sh", folder, JNI]
    run(command, f"building {NAME}", {"JNI_HEADERS": ":".join(map(str, jdk_headers()))})
    return {abi: folder / abi / NAME for abi in ABIS}


def for_host(folder: Path, debug: Sequence[str] = ()) -> Path:
    """Build for this machine's JVM. ``debug``: flags of the compiler besides, a sanitizer's for instance.

    Raises:
        BuildError: there is no C compiler, or a source does not compile.
    """
    return _build(program("cc", "gcc libc6-dev"), folder, debug)


def for_arm64(folder: Path) -> Path:
    """Build for a JVM on arm64 Linux, emulated or real.

    Raises:
        BuildError: the compiler is missing, or a source does not compile.
    """
    return _build(program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"), folder)


def _build(compiler: str, folder: Path, debug: Sequence[str] = ()) -> Path:
    objects = folder / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    headers = [f"-I{path}" for path in (*jdk_headers(), LIBCHORD / "include")]

    def one(source: Path) -> Path:
        path = objects / f"{source.parent.name}-{source.stem}.o"
        run([compiler, *build.flags(), "-fPIC", "-Werror", *debug, *headers, "-c", source, "-o", path], f"compiling {source.name}")
        return path

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(one, sources()))
    link = ["-shared", f"-Wl,--version-script={EXPORTS}", "-Wl,-z,defs", *debug]
    run([compiler, *link, "-o", folder / NAME, *made, "-lm"], f"linking {NAME}")
    return folder / NAME
