"""What a release, a cohort, a stage, a difference and a kill say, and what is none of them."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as draw

from chordkit.errors import ReleaseError
from chordkit.release.words import Cohort, Difference, Killed, PhoneFacts, Release, Stage, app_version, require_target_name

PHONE = PhoneFacts(app="3.4.0", abi="arm64-v8a", runtimes=("native", "litert"), device="small")
COHORT = Cohort("3.4.0", "4", ("arm64-v8a",), ("litert", "executorch"), ("small", "medium"))
RELEASE = Release(12, 7, "46afccc803a06ae9", "ab" * 32, "shop-12.chord", 160_000, Stage("00" * 16, 500), COHORT, rollback_of=11)
KILLED = Killed("46afccc803a06ae9", "0123456789abcdef", 5, 9)
DIFFERENCE = Difference("aa" * 32, "bb" * 32, 12, "shop-12-from-11.chordd", 19_000, "cc" * 32)


def test_what_is_written_reads_back() -> None:
    assert Release.from_json(RELEASE.to_json(), RELEASE.name, RELEASE.length) == RELEASE
    plain = replace(RELEASE, cohort=Cohort(), rollback_of=None)
    assert Release.from_json(plain.to_json(), plain.name, plain.length) == plain
    assert not {"cohort", "rollback_of"} & plain.to_json().keys()
    for killed in (KILLED, replace(KILLED, key=None)):
        assert Killed.from_json(killed.to_json()) == killed
    assert Difference.from_json(DIFFERENCE.to_json(), DIFFERENCE.name, DIFFERENCE.length, DIFFERENCE.digest) == DIFFERENCE


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        (Cohort(), True),
        (COHORT, True),
        (Cohort(app_from="3.4"), True),
        (Cohort(app_from="3.4.0.1"), False),
        (Cohort(app_below="3.4.0"), False),
        (Cohort(app_below="3.10"), True),
        (Cohort(abi=("x86_64",)), False),
        (Cohort(runtime=("executorch",)), False),
        (Cohort(device=("large",)), False),
    ],
)
def test_a_cohort_holds_whom_it_names(bound: Cohort, holds: bool) -> None:
    assert bound.matches(PHONE) is holds


@given(draw.lists(draw.integers(0, 2**31 - 1), min_size=1, max_size=4), draw.lists(draw.integers(0, 2**31 - 1), min_size=1, max_size=4))
def test_versions_compare_part_by_part(one: list[int], other: list[int]) -> None:
    filled = [parts + [0] * (4 - len(parts)) for parts in (one, other)]
    versions = [app_version(".".join(map(str, parts))) for parts in (one, other)]
    assert (versions[0] < versions[1]) is (filled[0] < filled[1])


@pytest.mark.parametrize("text", ["", "1.", ".1", "1..2", "01", "1.2.3.4.5", "2147483648", "-1", "1a", " 1", "1\n", "١"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"^release: app version: "):
        app_version(text)


@given(draw.binary(min_size=16, max_size=16), draw.binary(min_size=16, max_size=16), draw.integers(0, 9_999))
def test_a_stage_only_grows(salt: bytes, install_id: bytes, basis_points: int) -> None:
    smaller, larger = (Stage(salt.hex(), points).holds(install_id) for points in (basis_points, basis_points + 1))
    assert larger or not smaller
    assert not Stage(salt.hex(), 0).holds(install_id)
    assert Stage(salt.hex(), 10_000).holds(install_id)


def test_a_stage_holds_about_its_part() -> None:
    stage = Stage("5a" * 16, 2_500)
    count = sum(stage.holds(hashlib.sha256(bytes([i % 256, i // 256])).digest()[:16]) for i in range(4_096))
    # Binomial(4096, 1/4): standard deviation 27.7; six of them.
    assert abs(count - 1_024) < 167


def test_a_kill_holds_its_family_alone() -> None:
    assert KILLED.holds(KILLED.fingerprint, "0123456789abcdef", 5)
    assert KILLED.holds(KILLED.fingerprint, "0123456789abcdef", 9)
    assert not KILLED.holds(KILLED.fingerprint, "0123456789abcdef", 4)
    assert not KILLED.holds(KILLED.fingerprint, "0123456789abcdef", 10)
    assert not KILLED.holds(KILLED.fingerprint, "f" * 16, 5)
    assert not KILLED.holds("f" * 16, "0123456789abcdef", 5)
    assert replace(KILLED, key=None).holds(KILLED.fingerprint, "f" * 16, 5)


def _changed(path: str, value: Any) -> dict[str, Any]:
    whole = RELEASE.to_json()
    place, *names = whole, *path.split(".")
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("release", 0),
        ("release", True),
        ("release", 2**53),
        ("release", "12"),
        ("counter", -1),
        ("fingerprint", "46AFCCC803A06AE9"),
        ("bundle", "ab"),
        ("stage", None),
        ("stage.salt", "0" * 31),
        ("stage.basis_points", 10_001),
        ("stage.percent", 1),
        ("cohort", []),
        ("cohort.app", {}),
        ("cohort.app.from", "3.x"),
        ("cohort.app.from", "4.0"),
        ("cohort.app.to", "4"),
        ("cohort.abi", []),
        ("cohort.abi", "arm64-v8a"),
        ("cohort.abi", ["arm64-v8a", "arm64-v8a"]),
        ("cohort.runtime", [1]),
        ("cohort.device", ["a b"]),
        ("cohort.device", [f"d{i}" for i in range(33)]),
        ("cohort.country", ["de"]),
        ("rollback_of", None),
        ("rollback_of", 12),
        ("urgent", True),
    ],
)
def test_what_is_no_release_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ReleaseError, match=r"^release: "):
        Release.from_json(_changed(path, value), RELEASE.name, RELEASE.length)


@pytest.mark.parametrize("field", ["release", "counter", "fingerprint", "bundle", "stage"])
def test_a_missing_field_is_named(field: str) -> None:
    value = RELEASE.to_json()
    del value[field]
    with pytest.raises(ReleaseError, match=f"'{field}' is missing"):
        Release.from_json(value, RELEASE.name, RELEASE.length)


@pytest.mark.parametrize(
    "value",
    [
        {"fingerprint": "46afccc803a06ae9", "from": 0, "to": 1},
        {"fingerprint": "46afccc803a06ae9", "from": 2, "to": 1},
        {"fingerprint": "46afccc803a06ae9", "from": 1, "to": 2, "key": None},
        {"fingerprint": "46afccc803a06ae9", "from": 1, "to": 2, "user": "42"},
        {"fingerprint": "46afccc803a06ae9", "from": 1},
        "46afccc803a06ae9",
    ],
)
def test_what_is_no_kill_is_refused(value: Any) -> None:
    with pytest.raises(ReleaseError, match=r"^release: killed"):
        Killed.from_json(value)


@pytest.mark.parametrize(
    "name",
    ["", ".chord", "../shop.chord", "a/b.chord", "a\\b.chord", "a..chord", "a..b.chord", ".a.chord", "a.chord\n", "a b.chord", "ä.chord",
     "a.chordd", "a.zip", "-a.chord", "a.b.c.d.e.chord", "a" * 65 + ".chord"],
)  # fmt: skip
def test_a_name_cannot_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(ReleaseError, match=r"^release: name: "):
        require_target_name(name, ".chord")
