"""The simulated disk loses what a real one may lose, and keeps what a real one must keep."""

import random
from collections.abc import Callable

import pytest

from chordkit.release.simulation.disk import PowerLost, SimulatedDisk

OLD, NEW = b"old content", b"another one that is new"


def replace_whole(disk: SimulatedDisk, sync: bool = True) -> None:
    """The transaction of every file that has to be old or new."""
    disk.write("part", NEW)
    if sync:
        disk.sync("part")
    disk.rename("part", "file")
    disk.sync_folder()


def replace_in_place(disk: SimulatedDisk) -> None:
    disk.write("file", NEW)
    disk.sync("file")


def outcomes(change: Callable[[SimulatedDisk], None]) -> tuple[list[set[bytes | None]], int]:
    """After a loss of power before each step of ``change``, and at its end: what the file may hold; and the number of steps."""
    found: list[set[bytes | None]] = []
    step = 0
    while True:
        held: set[bytes | None] = set()
        for seed in range(40):
            disk = SimulatedDisk()
            disk.write("file", OLD)
            disk.sync("file")
            disk.sync_folder()
            disk.lose_power_at = step
            try:
                change(disk)
                ended = True
            except PowerLost:
                ended = False
            disk.restart(random.Random(seed))
            held.add(disk.read("file") if "file" in disk.names() else None)
        found.append(held)
        if ended:
            return found, step
        step += 1


def test_a_file_that_is_written_beside_synced_and_renamed_is_old_or_new_after_a_loss_of_power_at_every_step() -> None:
    found, steps = outcomes(replace_whole)
    assert steps == 5  # create, write, sync, rename, sync the folder
    assert all(held <= {OLD, NEW} for held in found)
    assert found[:4] == [{OLD}] * 4 and found[4] == {OLD, NEW}
    assert found[5] == {NEW}


@pytest.mark.parametrize("change", [lambda disk: replace_whole(disk, sync=False), replace_in_place], ids=["not synced", "in place"])
def test_a_file_that_is_not_synced_or_written_in_place_is_torn_by_some_loss_of_power(change: Callable[[SimulatedDisk], None]) -> None:
    found, _ = outcomes(change)
    torn = set().union(*found) - {OLD, NEW}
    assert any(data is not None and data == NEW[: len(data)] and 0 < len(data) < len(NEW) for data in torn)
    assert any(data is not None and len(data) == len(NEW) and data.endswith(b"\0") for data in torn)


def test_a_name_lasts_only_when_its_folder_was_synced() -> None:
    kept = set()
    for seed in range(40):
        disk = SimulatedDisk()
        for name in ("a", "b"):
            disk.write(name, name.encode())
            disk.sync(name)
        disk.sync_folder()
        disk.delete("a")
        disk.rename("b", "c")
        disk.restart(random.Random(seed))
        kept.add(tuple(sorted(disk.names())))
        assert all(disk.read(name) == {"a": b"a"}.get(name, b"b") for name in disk.names())
    assert kept == {("a", "b"), ("a", "c"), ("b",), ("c",)}
