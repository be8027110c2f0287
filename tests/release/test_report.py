"""``Chord-Report``: one way to write it, everything else is refused, and what is counted tells no phone from another."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import ReleaseError
from chordkit.release.report import ABIS, MOST_BYTES, RUNTIMES, Report, ReportKey

TEXT = "release=12,counter=12,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed"
numbers = st.integers(0, 2**53 - 1)
letters = st.sampled_from("abcxyzABCXYZ0189")
words = st.builds(str.__add__, letters, st.text(st.one_of(letters, st.sampled_from("._-")), max_size=31))
versions = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
reports = st.builds(
    Report,
    release=numbers,
    check=st.sampled_from(["passed", "failed", "none"]),
    counter=st.none() | numbers,
    runtime=st.none() | words,
    abi=st.none() | words,
    app=st.none() | versions,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(reports)
def test_what_is_written_is_read_and_written_again(report: Report) -> None:
    text = report.header()
    assert Report.parse(text) == report and text.isascii() and len(text) <= MOST_BYTES


def test_the_header_of_the_document_is_read() -> None:
    assert Report.parse(TEXT) == Report(12, "passed", 12, "native", "arm64-v8a", "3.4.0")
    assert Report.parse("release=0,check=none") == Report(0, "none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "release=12",
        "check=passed",
        "release=12,check=maybe",
        "release=12,check=passed,",
        " release=12,check=passed",
        "release=12, check=passed",
        "release=12,check=passed\n",
        "release=012,check=passed",
        "release=-1,check=passed",
        "release=١٢,check=passed",
        "release=9007199254740992,check=passed",
        "release=12,counter=9007199254740992,check=passed",
        "check=passed,release=12",
        "release=12,runtime=native,counter=1,check=passed",
        "release=12,release=12,check=passed",
        "release=12,user=7,check=passed",
        "release=12,runtime=,check=passed",
        "release=12,runtime=nat ive,check=passed",
        "release=12,abi=x,y,check=passed",
        f"release=12,abi={'x' * 33},check=passed",
        "release=12,app=3.4.0.0.0,check=passed",
        "release=12,app=3..4,check=passed",
        "release=12,app=3.04,check=passed",
        "release=12,app=2147483648,check=passed",
        TEXT + "x" * MOST_BYTES,
    ],
)
def test_what_is_not_written_so_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"^report: "):
        Report.parse(text)


def test_a_report_that_no_header_can_carry_is_not_made() -> None:
    for wrong in ({"runtime": "a,b"}, {"release": -1}, {"release": 2**53}, {"app": "three"}, {"check": "maybe"}, {"abi": ""}):
        with pytest.raises(ReleaseError):
            replace(Report.parse(TEXT), **wrong)


def test_no_damaged_header_is_read_as_anything_but_what_it_says() -> None:
    chance = random.Random(5)
    alphabet = "releascountrimbpdfvx0123456789=,.-_ \n\x00é"
    read = 0
    for _ in range(20_000):
        letters = list(TEXT)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(letters))
            letters[place : place + chance.randint(0, 2)] = chance.choices(alphabet, k=chance.randint(0, 2))
        text = "".join(letters)
        try:
            report = Report.parse(text)
        except ReleaseError:
            continue
        read += 1
        assert report.header() == text
    assert 1000 < read < 19_000


def test_what_is_counted_has_no_more_kinds_than_there_are_runtimes_and_abis() -> None:
    assert Report.parse(TEXT).key == ReportKey(12, "native", "arm64-v8a", "passed")
    assert Report(12, "failed", runtime="mine", abi="s390x").key == Report(12, "failed").key == ReportKey(12, "other", "other", "failed")
    assert Report(12, "none").key is None and Report(0, "failed").key is None
    chance = random.Random(1)
    said = [Report(1, "passed", runtime=chance.choice([*RUNTIMES, str(n)]), abi=chance.choice([*ABIS, str(n)])) for n in range(2000)]
    assert len({report.key for report in said}) == (len(RUNTIMES) + 1) * (len(ABIS) + 1)
