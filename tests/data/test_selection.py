"""What is kept of a file, and what is told of the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.data import Dataset, prepare, statistics
from chordkit.data.selection import Condition, once
from chordkit.errors import DataError

HEADER = "user,item,time,event,rating\n"
ROWS = [
    "a,x,100,view,5", "a,x,200,view,4", "a,y,300,buy,3", "a,x,400,view,2", "a,z,500,basket,1",
    "b,y,100,view,5", "b,z,100,view,5", "b,y,300,view,5", "c,x,50,,5",
]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in ROWS))
    return path


def as_read(dataset: Dataset) -> dict[str, str]:
    return {user: "".join(dataset.item_ids[item] for item in row) for user, row in zip(dataset.user_ids, dataset.sequences, strict=True)}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"a": "xxyxz", "b": "yzy"}),
        ({"where": ["event=view"]}, {"a": "xxx", "b": "yzy"}),
        ({"where": ["event = view", "event=basket"]}, {"a": "xxxz", "b": "yzy"}),
        ({"where": ["event!=view", "event!="], "min_rating": 0}, None),
        ({"where": ["event!=buy", "event!=basket"]}, {"a": "xxx", "b": "yzy"}),
        ({"where": ["event!=buy", "user=a"]}, {"a": "xxxz"}),
        ({"start": "200"}, {"a": "xyxz"}),
        ({"start": "200", "end": "500"}, {"a": "xyx"}),
        ({"dedupe": "first"}, {"a": "xyz"}),
        ({"dedupe": "last"}, {"a": "yxz"}),
        ({"dedupe": "consecutive"}, {"a": "xyxz", "b": "yzy"}),
        ({"sample_users": 1, "seed": 0, "where": ["user!=c"]}, {"a": "xxyxz"}),
        ({"min_rating": 3}, {"a": "xxy", "b": "yzy"}),
    ],
)
def test_what_is_kept(log: Path, options: dict[str, Any], wanted: dict[str, str] | None) -> None:
    if wanted is None:
        with pytest.raises(
            DataError, match=r"none of 3 users has 3 interactions left after event is not view or , rating is at least 0; lower"
        ):
            prepare(log, **options)
    else:
        assert as_read(prepare(log, **options)) == wanted


def test_every_step_says_what_it_left_out(log: Path) -> None:
    dataset = prepare(log, where=["event!=basket"], min_rating=2, start="60", dedupe="consecutive")
    steps = dataset.provenance["dropped"]
    assert [(step["kept"], step["interactions"], step["users"], step["items"]) for step in steps] == [
        ("event is not basket", 1, 0, 0),
        ("rating is at least 2", 0, 0, 0),
        ("not before 60", 1, 1, 0),
        ("of a run of one item the first", 1, 0, 0),
        ("users of at least 3 interactions", 0, 0, 0),
    ]
    assert prepare(log, k_core=2).provenance["dropped"][-1]["kept"] == "users of at least 3 interactions, items of at least 2"


def test_ties_and_repeats_are_told(log: Path) -> None:
    told = statistics(prepare(log))
    assert (told["ties"], told["repeated"]) == (1, 3)


def test_dates_bound_times_in_every_unit(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for unit in (1, 10**3, 10**6, 10**9):
        times = [(1_400_000_000 + 86_400 * day) * unit for day in range(6)]  # 2014-05-13T16:53:20Z, ...
        path.write_text("user,item,time\n" + "".join(f"1,{day},{time}\n" for day, time in enumerate(times)))
        assert as_read(prepare(path, start="2014-05-14", end="2014-05-18T16:53:20Z")) == {"1": "1234"}
        assert as_read(prepare(path, start="2014-05-14T18:53:20+02:00", end=str(times[4]))) == {"1": "123"}
    path.write_text("user,item,time\n" + "".join(f"1,{day},{day}\n" for day in range(6)))
    with pytest.raises(DataError, match="from: the file's times are no dates; give a number"):
        prepare(path, start="2014-05-14")
    with pytest.raises(DataError, match="to: 'noon' is no time"):
        prepare(path, end="noon")
    path.write_text("user,item,time\n" + "".join(f"1,{day},1700000000.123456789{day}\n" for day in range(6)))
    with pytest.raises(DataError, match="from: the file's times have too many digits"):
        prepare(path, start="1700000000")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"where": ["event"]}, "where: 'event' is no condition; write COLUMN=VALUE"),
        ({"where": ["kind=view"]}, "where: no column 'kind'; present are 'user', 'item', 'time', 'event', 'rating'"),
        ({"dedupe": "all"}, "dedupe: 'all' is not one of first, last, consecutive"),
        ({"sample_users": 0}, "sample_users must be 1 or more"),
        ({"where": ["event=nothing"]}, "where: of no interaction event is nothing; the column has values such as 'view'"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(log: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        prepare(log, **options)


def test_a_sequence_file_has_nothing_to_choose_by(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("1 1 2 3 3\n2 2 2 1 3\n")
    for option, value in (("where", ["a=b"]), ("start", "1"), ("end", "1"), ("min_rating", 1)):
        with pytest.raises(DataError, match="a sequence file has no ratings, times or other columns; leave"):
            prepare(path, **{option: value})
    assert as_read(prepare(path, dedupe="consecutive")) == {"1": "123", "2": "213"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40), st.sampled_from(["first", "last", "consecutive"]))
def test_once_is_what_a_loop_over_the_events_keeps(events: list[tuple[int, int]], which: Any) -> None:
    events.sort(key=lambda event: event[0])
    users, items = np.array(events, np.int64).reshape(-1, 2).T
    wanted = []
    for place, event in enumerate(events):
        others = {"first": events[:place], "last": events[place + 1 :], "consecutive": events[place - 1 : place] if place else []}
        wanted.append(event not in others[which])
    assert once(users, items, which).tolist() == wanted


def test_a_draw_of_users_is_the_seeds_alone(tmp_path: Path) -> None:
    path, rows = tmp_path / "x.csv", [f"{user},{item},{item}\n" for user in range(40) for item in range(4)]
    path.write_text("user,item,time\n" + "".join(rows))
    drawn = prepare(path, sample_users=10, seed=3)
    path.write_text("user,item,time\n" + "".join(reversed(rows)))
    assert drawn.user_ids == prepare(path, sample_users=10, seed=3).user_ids != prepare(path, sample_users=10, seed=4).user_ids
    assert len(drawn.user_ids) == 10


def test_a_condition_may_hold_signs_in_its_value() -> None:
    assert Condition.parse("a=b=c") == Condition("a", True, "b=c")
    assert Condition.parse("a!=b") == Condition("a", False, "b")
    assert Condition.parse("a=") == Condition("a", True, "")
