"""SHA-256 and CRC-32: known answers, and the CPU's instructions against the portable forms, here and on an emulated arm64."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from chordkit.kernels import build as libchord

pytestmark = pytest.mark.checkout

PROGRAM = Path(__file__).parent / "native" / "checksum.c"
CPUS = ([], ["qemu-aarch64-static", "-cpu", "max"])


@pytest.mark.parametrize("emulator", CPUS, ids=("this one", "arm64"))
def test_checksums_are_the_known_ones_with_the_cpus_instructions_and_without(emulator: list[str], tmp_path: Path) -> None:
    compiler = "aarch64-linux-gnu-gcc" if emulator else "cc"
    for tool in (compiler, *emulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    program = tmp_path / "checksum"
    built = subprocess.run(
        [compiler, *libchord.flags(), "-O1", "-static", str(PROGRAM), "-o", str(program)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([*emulator, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if emulator or platform.machine() == "aarch64":
        assert done.stdout == "SHA-256 instructions, CRC-32 instructions\n"
