"""Phones against a channel and those who are after it: none does wrong, and the judge sees a phone that leaves out a check."""

import importlib.util
import random
from collections.abc import Iterator
from typing import Any

import pytest

if importlib.util.find_spec("tuf") is None or importlib.util.find_spec("sqlalchemy") is None:
    pytest.skip("the packages of a channel are not installed: pip install 'chordkit[release]'", allow_module_level=True)

from chordkit.release.phone import Phone
from chordkit.release.simulation import BEGIN, FAULTS, Fault, Pace, Scenario, Tally, remembering
from chordkit.release.simulation.disk import PowerLost, SimulatedDisk
from chordkit.release.simulation.mirrors import Line, honest
from chordkit.release.simulation.simulation import BAD_MIRRORS
from chordkit.release.words import PhoneFacts

pytestmark = pytest.mark.long
PHONES, REPLAYED = 150, 50
DAY = 86_400
# Of these each shows dozens of times among so few phones; benchmarks/release.py plants all of them.
PLANTED = (
    "signatures of metadata", "expiry", "new roots", "self-check", "kills", "sync of the folder", "another bundle where one is damaged",
)  # fmt: skip


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scenario, Tally]]:
    """Four months, and what 150 phones did."""
    with remembering():
        scenario = Scenario(tmp_path_factory.mktemp("simulated"), Pace(refresh_days=3, look_hours=24))
        simulation = scenario.simulation(PHONES)
        scenario.run(simulation)
        yield scenario, simulation.tally


def test_no_phone_does_wrong_and_all_are_up_to_date_in_the_end(lived: tuple[Scenario, Tally]) -> None:
    _, tally = lived
    assert tally.wrongs == {} and tally.settled == PHONES


def test_everything_that_can_go_wrong_did(lived: tuple[Scenario, Tally]) -> None:
    scenario, tally = lived
    assert set(tally.visits) == {"good", *BAD_MIRRORS} and min(tally.visits.values()) > 20
    assert tally.lost > 50 and tally.rotten > 5
    assert {"adopted", "current", "refused", "failed", "power lost"} == set(tally.outcomes)
    states = {each.release.number: each.state for each in scenario.channel.registry.releases()}
    assert (states[2], states[6], states[8]) == ("live", "rolled back", "staged")
    roots = [path for path in scenario.history.folders[-1] if path.endswith("root.json")]
    assert len(roots) == 11


def test_a_release_that_fails_on_small_devices_was_stopped_by_their_reports(lived: tuple[Scenario, Tally]) -> None:
    scenario, tally = lived
    stop = next(stop for stop in scenario.stops if stop.release == 5)
    assert stop.basis_points == 10_000 and "self-checks failed" in stop.why and 52 < stop.day < 64
    # The rest never asked for it again.
    assert 0 < tally.failed[5] < PHONES / 3


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name in PLANTED], ids=lambda fault: fault.name)
def test_the_judge_sees_a_phone_without(fault: Fault, lived: tuple[Scenario, Tally]) -> None:
    scenario, _ = lived
    with fault.planted():
        simulation = scenario.simulation(REPLAYED, seed=1)
        scenario.replay(simulation)
    assert simulation.tally.wrongs[fault.shows] > 0


def test_the_same_phones_without_a_fault_do_no_wrong(lived: tuple[Scenario, Tally]) -> None:
    scenario, _ = lived
    simulation = scenario.simulation(REPLAYED, seed=1)
    scenario.replay(simulation)
    assert simulation.tally.wrongs == {}


def test_power_lost_before_every_step_leaves_the_old_release_or_the_new_one(lived: tuple[Scenario, Tally]) -> None:
    scenario, _ = lived
    facts = PhoneFacts("3.5.1", "x86_64", ("native",), "large")
    old, new = BEGIN + 10 * DAY, BEGIN + 50 * DAY

    def phone(disk: SimulatedDisk) -> Phone:
        return Phone(scenario.app, facts, disk, lambda: b"i" * 16)

    def look(disk: SimulatedDisk, time: int) -> Any:
        line = Line(honest(scenario.history.folders[scenario.history.index(time)]))
        return phone(disk).update(line.fetch, time)

    found: set[int] = set()
    for step in range(40):
        for seed in range(6):
            disk = SimulatedDisk()
            assert look(disk, old).release == 1
            disk.lose_power_at = step
            try:
                look(disk, new)
                ended = True
            except PowerLost:
                ended = False
            disk.restart(random.Random(seed))
            opened, release = phone(disk).open()
            assert release == phone(disk).state().release and release in (1, 4)
            assert opened.manifest.counter == {1: 2, 4: 5}[release]
            found.add(release)
            # What is left of it stands in nobody's way.
            look(disk, new)
            assert phone(disk).open()[1] == 4 and set(disk.names()) == phone(disk).state().files | {"state"}
        if ended:
            break
    assert found == {1, 4} and step == 10  # a bundle and a state: create, write, sync, rename, sync the folder
