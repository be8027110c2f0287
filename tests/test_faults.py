"""ENOSPC and EIO at every call of two commands that writes; ``benchmarks/attack/faults.py`` walks all commands."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.checkout, pytest.mark.skipif(shutil.which("gcc") is None, reason="the failing disk is a library in C; needs gcc")]


@pytest.fixture(scope="module")
def faults(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("benchmarks/attack/faults.py")


@pytest.fixture(scope="module")
def nursery(faults: ModuleType) -> Iterator[object]:
    with faults.nursery(faults.LIGHT) as made:
        yield made


@pytest.mark.parametrize("name", ["data prepare", "bundle key"])
def test_a_disk_that_fails_at_any_call_costs_one_sentence_and_no_file(
    faults: ModuleType, nursery: object, name: str, clicks: Callable[..., None], tmp_path: Path
) -> None:
    clicks(tmp_path / "clicks.csv", users=20, items=30)
    tally = faults.walk(nursery, name, tmp_path, tmp_path / "work")
    assert tally.broken == []
    made = {"data prepare": 1, "bundle key": 2}[name]
    # Opened, written, synced, named, the folder synced; and its folder made.
    assert tally.calls == 6 * made and tally.runs == 12 * made
    place = {"data prepare": "rename", "bundle key": "link"}[name]
    assert set(tally.kinds) == {f"{error} {call}" for error in ("EIO", "ENOSPC") for call in ("mkdir", "open", "write", "fsync", place)}
