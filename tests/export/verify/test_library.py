"""The C verifier as a library: what it needs of a system, and what it shows."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chordkit.kernels import build as libchord

HEADER = libchord.LIBCHORD / "include" / "chord_verify.h"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)

pytestmark = pytest.mark.checkout


def _symbols(library: Path, *options: str) -> set[str]:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    listed = subprocess.run(["nm", "-D", *options, str(library)], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].partition("@")[0] for line in listed.splitlines()}


def test_it_shows_what_its_header_says_and_allocates_nothing(compile_verifier: Callable[..., Path]) -> None:
    library = compile_verifier("libchord_verify_alone.so", "-shared", "-U_FORTIFY_SOURCE")
    announced = set(re.findall(r"^CHORD_API .*?\b(chord_\w+)\(", HEADER.read_text(), flags=re.MULTILINE))
    assert len(announced) == 6 and _symbols(library, "--defined-only") == announced
    needed = {name for name in _symbols(library, "--undefined-only") if not name.startswith(("_", "__"))}
    assert needed <= {"memcpy", "memcmp", "memset", "strcmp", "strlen", "vsnprintf"}


@pytest.mark.skipif(CLANG is None, reason="clang is not installed")
@pytest.mark.parametrize("target", ["aarch64-linux-android29", "armv7a-linux-androideabi29"])
def test_it_is_compiled_for_android_without_the_ndk(target: str, verifier_sources: list[Path]) -> None:
    libc = ["-nostdlibinc", "-isystem", str(libchord.LIBCHORD / "android" / "include")]
    strict = ["-Werror", "-Wconversion", "-Wshadow", "-fsyntax-only"]
    for source in verifier_sources:
        done = subprocess.run(
            [str(CLANG), f"--target={target}", *libchord.flags(), *libc, *strict, str(source)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
