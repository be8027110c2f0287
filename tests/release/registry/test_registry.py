"""The registry keeps what it is told, all of it or nothing, from one process or several."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from chordkit.errors import RegistryUnreachable, ReleaseError
from chordkit.release import Cohort, Difference, Killed, Release, Stage
from chordkit.release.registry import Event, Health, RegisteredRelease, Registry, database, reading
from chordkit.release.report import ReportKey

NOW = 1_800_000_000
COHORT = Cohort("3.4.0", "4.0", ("arm64-v8a", "x86_64"), ("native",), ("small",))


def release(number: int, **changes: Any) -> Release:
    usual = Release(
        number, 2**53 - 1 - number, "46afccc803a06ae9", f"{number:064x}", f"shop-{number}.chord", 160_000, Stage("5a" * 16, 100)
    )
    return replace(usual, **changes)


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry.open(url, now=lambda: NOW + 0.9)


def fill(registry: Registry, count: int) -> None:
    with registry.transaction() as transaction:
        for number in range(1, count + 1):
            transaction.add(release(number), "staged")


def test_what_is_put_in_comes_out_after_opening_it_again(registry: Registry, url: str) -> None:
    second = release(2, cohort=COHORT, rollback_of=1, stage=Stage("0f" * 16, 10_000))
    with registry.transaction() as transaction:
        assert transaction.next_number() == 1
        transaction.add(release(1), "staged")
        transaction.add(second, "live")
        transaction.note("published", "Ann", 1)
        transaction.note("keys rotated", "Bo")
        assert [each.release for each in transaction.releases()] == [release(1), second]
    again = Registry.open(url)
    assert again.releases() == (RegisteredRelease(release(1), "staged", NOW), RegisteredRelease(second, "live", NOW))
    assert again.events() == (Event(NOW, "keys rotated", "Bo", None), Event(NOW, "published", "Ann", 1))
    assert again.events(1) == again.events()[:1]
    assert [each.offered for each in again.releases()] == [True, True]


def test_a_stage_changes_and_nothing_else(registry: Registry) -> None:
    fill(registry, 2)
    with registry.transaction() as transaction:
        transaction.set_stage(1, 0, "stopped")
    found = registry.releases()
    assert found[0] == RegisteredRelease(release(1, stage=Stage("5a" * 16, 0)), "stopped", NOW) and not found[0].offered
    assert found[1] == RegisteredRelease(release(2), "staged", NOW)


def test_an_exception_leaves_nothing_of_its_transaction(registry: Registry) -> None:
    fill(registry, 1)
    with pytest.raises(ZeroDivisionError), registry.transaction() as transaction:
        transaction.add(release(2), "live")
        transaction.set_stage(1, 10_000, "live")
        transaction.set_versions({"root": 4})
        transaction.kill(Killed("46afccc803a06ae9", None, 1, 5))
        transaction.note("published", "Ann", 2)
        _ = 1 // 0
    assert registry.releases() == (RegisteredRelease(release(1), "staged", NOW),)
    assert (registry.versions(), registry.killed(), registry.events()) == ({}, (), ())


def test_what_cannot_be_is_refused(registry: Registry) -> None:
    fill(registry, 2)
    for wrong, message in (
        (lambda t: t.add(release(2), "live"), "release 2: the registry's next one is 3"),
        (lambda t: t.add(release(4), "live"), "release 4: the registry's next one is 3"),
        (lambda t: t.add(release(3), "gone"), "'gone' is no state"),
        (lambda t: t.set_stage(3, 10, "live"), "release 3: the registry has none"),
        (lambda t: t.set_stage(2, 10_001, "live"), "basis_points"),
        (lambda t: t.add_difference(difference(3)), "release 3: the registry has none"),
        (lambda t: [t.add_difference(difference(2)) for _ in range(2)], r"a-2\.chordd: the registry has a difference of this name"),
        (lambda t: t.set_versions({"mirror": 1}), "'mirror' is no role"),
        (lambda t: t.set_versions({"root": 0}), "version 0 is below 1"),
        (lambda t: t.unkill(Killed("46afccc803a06ae9", None, 1, 5)), "no such family"),
    ):
        with pytest.raises(ReleaseError, match=message), registry.transaction() as transaction:
            wrong(transaction)
    assert [each.state for each in registry.releases()] == ["staged", "staged"] and registry.differences() == ()


def difference(number: int, name: str = "a") -> Difference:
    return Difference("a" * 64, "b" * 64, number, f"{name}-{number}.chordd", 19_000, "c" * 64)


def test_differences_belong_to_their_release(registry: Registry) -> None:
    fill(registry, 2)
    with registry.transaction() as transaction:
        for each in (difference(2), difference(1, "b"), difference(1)):
            transaction.add_difference(each)
        assert transaction.differences() == (difference(1), difference(1, "b"), difference(2))
    assert registry.differences() == (difference(1), difference(1, "b"), difference(2))


def test_families_are_killed_and_given_back(registry: Registry) -> None:
    every, one = Killed("46afccc803a06ae9", None, 1, 2**53 - 1), Killed("46afccc803a06ae9", "00" * 8, 7, 7)
    with registry.transaction() as transaction:
        for family in (one, every, one):
            transaction.kill(family)
        assert transaction.killed() == (every, one)
    with registry.transaction() as transaction:
        transaction.unkill(every)
    assert registry.killed() == (one,)


def test_versions_only_grow(registry: Registry) -> None:
    with registry.transaction() as transaction:
        transaction.set_versions({"root": 1, "targets": 7})
        transaction.set_versions({"targets": 7, "snapshot": 2})
    with pytest.raises(ReleaseError, match="targets: version 6 is below 7"), registry.transaction() as transaction:
        transaction.set_versions({"targets": 6})
    assert registry.versions() == {"root": 1, "targets": 7, "snapshot": 2}


def test_reports_are_added_up_for_the_releases_that_there_are(registry: Registry) -> None:
    fill(registry, 2)
    on_arm, on_x86 = ReportKey(1, "native", "arm64-v8a", "passed"), ReportKey(1, "litert", "x86", "failed")
    assert registry.count({}) == 0
    assert registry.count({on_arm: 3, on_x86: 1, replace(on_arm, release=3): 5, replace(on_x86, release=2**53 - 1): 2}) == 7
    assert registry.count({on_arm: 4, replace(on_arm, check="failed"): 2}) == 0
    assert registry.health(1) == (Health("litert", "x86", 0, 1), Health("native", "arm64-v8a", 7, 2))
    assert registry.health(2) == registry.health(3) == ()


WRITER = """
import sys
from chordkit.release import Release, Stage
from chordkit.release.registry import Registry
from chordkit.release.report import ReportKey
registry, who = Registry.open(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(15):
    with registry.transaction() as transaction:
        number = transaction.next_number()
        transaction.add(Release(number, 0, "0" * 16, "0" * 64, f"{who}.chord", 1, Stage("0" * 32, 0)), "live")
        transaction.note("published", who, number)
    registry.count({ReportKey(1, "native", abi, "passed"): 1 for abi in ("x86", "x86_64", "arm64-v8a")})
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_open_an_empty_registry_and_write_at_once_take_turns(url: str) -> None:
    processes = [start(WRITER, url, f"process-{number}") for number in range(3)]
    for each in processes:
        assert each.stdout is not None and each.stdout.readline() == "ready\n", each.communicate()[1]
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    assert [(each.communicate()[1], each.returncode) for each in processes] == [("", 0)] * 3
    registry = Registry.open(url)
    names = [each.release.name for each in registry.releases()]
    assert [each.release.number for each in registry.releases()] == list(range(1, 46))
    assert sorted(names) == sorted([f"process-{number}.chord" for number in range(3)] * 15)
    assert [f"{event.who}.chord" for event in reversed(registry.events())] == names
    assert registry.health(1) == tuple(Health("native", abi, 45, 0) for abi in ("arm64-v8a", "x86", "x86_64"))


KILLED = """
import sys, time
from chordkit.release import Release, Stage
from chordkit.release.registry import Registry
registry = Registry.open(sys.argv[1])
def add(transaction):
    number = transaction.next_number()
    transaction.add(Release(number, 0, "0" * 16, "0" * 64, "a.chord", 1, Stage("0" * 32, 0)), "live")
    transaction.note("published", "Ann", number)
    transaction.set_versions({"targets": number})
with registry.transaction() as transaction:
    add(transaction)
with registry.transaction() as transaction:
    add(transaction)
    print("inside", flush=True)
    time.sleep(600)
"""


def test_a_process_killed_inside_a_transaction_leaves_all_before_it_and_nothing_of_it(url: str) -> None:
    process = start(KILLED, url)
    assert process.stdout is not None and process.stdout.readline() == "inside\n", process.communicate()[1]
    process.kill()
    process.communicate()
    registry = Registry.open(url)
    with registry.transaction() as transaction:  # which ends with an error where somebody holds a lock
        assert transaction.next_number() == 2 and transaction.versions() == {"targets": 1}
        transaction.add(release(2), "live")
    assert [each.release.number for each in registry.releases()] == [1, 2] and len(registry.events()) == 1


def test_a_reader_does_not_wait_and_a_writer_not_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    registry, other = Registry.open(url), Registry.open(url)
    fill(registry, 1)
    with registry.transaction() as transaction:
        transaction.add(release(2), "live")
        assert len(other.releases()) == 1
        with pytest.raises(RegistryUnreachable, match=r"the registry cannot be used now: .*; try again"), other.transaction():
            pass
    with database.Database(url).reading() as connection:
        seen = reading.highest(connection)
        with other.transaction() as transaction:  # which a reader does not keep from its end
            transaction.add(release(3), "live")
        assert seen == 2
    assert len(registry.releases()) == 3


def test_addresses_that_are_none_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, however long it may be" * 50)
    for wrong, message in (
        ("releases", "'releases' is no address of a database; give sqlite:///"),
        ("mysql://a:secret@b/c", r"mysql://a:\*\*\*@b/c is none that can be one"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (f"sqlite:///{tmp_path}/a/b", f"there is no folder {tmp_path}/a"),
        (f"sqlite:///{tmp_path}/text", "it cannot be opened: file is not a database"),
    ):
        with pytest.raises(ReleaseError, match=message):
            Registry.open(wrong)


def test_a_file_that_is_gone_is_missed_and_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "a registry? 100%.sqlite"
    registry = Registry.open(f"sqlite:///{tmp_path}/a registry%3F 100%25.sqlite")
    fill(registry, 1)
    file.rename(tmp_path / "moved")
    with pytest.raises(RegistryUnreachable, match="unable to open database file"):
        registry.releases()
    assert not file.exists()
    (tmp_path / "moved").rename(file)
    assert len(registry.releases()) == 1


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(RegistryUnreachable, match="the registry cannot be used now") as raised:
        Registry.open(f"postgresql://ann:secret@/releases?host={tmp_path}")
    assert "secret" not in str(raised.value)


def test_a_service_needs_no_more_rights_than_its_document_says(postgresql: Any) -> None:
    import psycopg

    url = postgresql()
    registry = Registry.open(url)
    fill(registry, 1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop role if exists service")
        connection.execute("create role service login")
        connection.execute("grant usage on schema public to service")
        connection.execute("grant select on all tables in schema public to service")
        connection.execute("grant insert, update on reports to service")
    service = Registry.open(url.replace("chordkit@", "service@"), create=False)
    for _ in range(2):
        assert service.count({ReportKey(1, "native", "x86", "passed"): 2}) == 0 and len(service.releases()) == 1
    assert registry.health(1) == (Health("native", "x86", 4, 0),)
    with pytest.raises(ReleaseError, match="permission denied"), service.transaction() as transaction:
        transaction.set_stage(1, 0, "stopped")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop owned by service")
        connection.execute("drop role service")
