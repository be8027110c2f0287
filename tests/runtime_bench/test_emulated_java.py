"""Debian's Java for arm64 in a folder."""

import os
import subprocess
from pathlib import Path

import pytest

from chordkit.runtime_bench.elf import elf_abi
from chordkit.runtime_bench.emulated import COMMAND, lock, prepared
from chordkit.runtime_bench.emulated import java as emulated_java
from chordkit.runtime_bench.emulated.java import Java


@pytest.fixture(scope="module")
def java() -> Java:
    found = emulated_java.prepared_java()
    if found is None:
        pytest.skip(f"there is no arm64 Java; `{emulated_java.COMMAND}` makes it")
    return found


def test_its_table_pins_arm64_packages_of_one_release_once() -> None:
    rows = lock.load(emulated_java.TABLE).packages
    assert {(row.arch, row.suite) for row in rows} == {("arm64", "bookworm")}
    assert len({row.name for row in rows}) == len(rows) > 1
    assert all(len(bytes.fromhex(row.sha256)) == 32 and row.bytes > 0 for row in rows)


def test_nothing_in_it_leads_out_of_it(java: Java) -> None:
    links = [path for path in java.tree.rglob("*") if path.is_symlink()]
    assert links
    # What leads to nothing (documentation that was left out) leads nowhere else either.
    outside = [path for path in links if not Path(os.path.normpath(path.parent / os.readlink(path))).is_relative_to(java.tree)]
    assert outside == []


def test_it_runs_on_an_emulated_processor(java: Java) -> None:
    machine = prepared()
    if machine is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    assert elf_abi(java.program) == "arm64-v8a"
    command = [*java.on(machine.qemu_user, "cortex-a53"), "-XshowSettings:properties", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "os.arch = aarch64" in done.stderr
