"""The hint names the highest release that a phone may get, as far as the phone says what it is."""

from typing import Any

import pytest

from chordkit.release import Cohort, Release, Stage
from chordkit.release.hint import hint
from chordkit.release.records import STATES, RegisteredRelease
from chordkit.release.report import Report

PHONE = Report(1, "none", runtime="native", abi="arm64-v8a", app="3.4.0")


def registered(number: int, state: Any = "live", basis_points: int = 10_000, **cohort: Any) -> RegisteredRelease:
    stage = Stage("00" * 16, basis_points)
    return RegisteredRelease(Release(number, 0, "0" * 16, "0" * 64, "a.chord", 1, stage, Cohort(**cohort)), state, 0)


@pytest.mark.parametrize("state", STATES)
def test_a_release_that_is_not_offered_is_not_named(state: Any) -> None:
    assert hint([registered(1), registered(2, state, 10_000)], PHONE) == (2 if state in ("staged", "live") else 1)
    assert hint([registered(1), registered(2, state, 0)], PHONE) == 1
    assert hint([registered(2, state, 0)], PHONE) is None


@pytest.mark.parametrize(
    ("cohort", "named"),
    [
        ({"app_from": "3.4"}, True),
        ({"app_from": "3.4.0.1"}, False),
        ({"app_below": "3.10"}, True),
        ({"app_below": "3.4"}, False),
        ({"abi": ("x86", "arm64-v8a")}, True),
        ({"abi": ("x86",)}, False),
        ({"runtime": ("litert", "native")}, True),
        ({"runtime": ("litert",)}, False),
        ({"device": ("small",)}, True),
        ({"device": ("large",)}, False),
    ],
)
def test_a_release_for_others_is_not_named_to_a_phone_that_says_what_it_is(cohort: dict[str, Any], named: bool) -> None:
    releases = [registered(1), registered(2, **cohort)]
    assert hint(releases, PHONE, "small") == (2 if named else 1)
    assert hint(releases, Report(0, "none")) == 2  # it may be
