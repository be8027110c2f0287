"""The shared objects for Android that are built without the NDK: what they export, what they need, how they lie in memory."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chordkit.kernels.build import LIBCHORD

pytestmark = pytest.mark.checkout

TOOLS = ("clang-19", "ld.lld-19", "llvm-readelf-19")
ABIS = {"arm64-v8a": "AArch64", "x86_64": "X86-64"}
PAGE = 16384
ARM64_LIMIT = 100_000

for tool in TOOLS:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("android")
    subprocess.run([str(LIBCHORD / "build_android.sh"), str(folder)], check=True, stdout=subprocess.DEVNULL)
    return {abi: folder / abi / "libchord.so" for abi in ABIS}


def readelf(path: Path, *options: str) -> str:
    return subprocess.run(["llvm-readelf-19", *options, str(path)], check=True, capture_output=True, text=True).stdout


def public_functions() -> set[str]:
    header = (LIBCHORD / "include" / "chord.h").read_text(encoding="utf-8")
    return set(re.findall(r"^CHORD_API [^(]*?(chord_\w+)\(", header, flags=re.MULTILINE))


@pytest.mark.parametrize("abi", ABIS)
def test_exactly_the_functions_of_the_header_are_exported(libraries: dict[str, Path], abi: str) -> None:
    rows = [line.split() for line in readelf(libraries[abi], "--dyn-syms", "-W").splitlines()]
    exported = {row[7] for row in rows if len(row) == 8 and row[4] == "GLOBAL" and row[6] != "UND"}
    assert exported == public_functions()


@pytest.mark.parametrize("abi", ABIS)
def test_segments_are_aligned_to_16_kb_pages(libraries: dict[str, Path], abi: str) -> None:
    loads = [line.split() for line in readelf(libraries[abi], "-l", "-W").splitlines() if line.split()[:1] == ["LOAD"]]
    assert loads
    for _, offset, address, *_, alignment in loads:
        assert int(alignment, 16) == PAGE
        assert int(offset, 16) % PAGE == int(address, 16) % PAGE


@pytest.mark.parametrize("abi", ABIS)
def test_only_libc_and_libm_are_needed(libraries: dict[str, Path], abi: str) -> None:
    dynamic = readelf(libraries[abi], "-d", "-W")
    assert set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) <= {"libc.so", "libm.so"}
    assert "[libchord.so]" in dynamic
    assert ABIS[abi] in readelf(libraries[abi], "-h")


@pytest.mark.parametrize("abi", ABIS)
def test_nothing_is_writable_and_executable_and_the_library_is_stripped(libraries: dict[str, Path], abi: str) -> None:
    text = readelf(libraries[abi], "-l", "-S", "-W")
    assert not re.search(r"LOAD .*RWE", text)
    assert ".symtab" not in text
    assert ".debug_info" not in text


def test_the_phone_library_is_small(libraries: dict[str, Path]) -> None:
    assert libraries["arm64-v8a"].stat().st_size < ARM64_LIMIT
