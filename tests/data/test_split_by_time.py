"""Splits by time, checked against a slow and obvious version; nothing is trained on that came later than what it is asked."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.data import Dataset, learned_of, prepare, split, split_identity, split_statistics, synthesize
from chordkit.data.cut import Cut, find_cut
from chordkit.data.times import Clock, moment, shown
from chordkit.errors import DataError

DAY = 86_400 * 10**6
USERS = st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20)), min_size=3, max_size=9), min_size=1, max_size=6)


def timed(users: list[list[tuple[int, int]]], clock: str = "as the file counts") -> Dataset:
    """(item, time) of each user, in any order of time."""
    ordered = [sorted(user, key=lambda event: event[1]) for user in users]
    return Dataset.from_sequences(
        "timed",
        [[item for item, _ in user] for user in ordered],
        ["", *"abcdef"],
        times=[[time for _, time in user] for user in ordered],
        provenance={"times": clock},
    )


@settings(max_examples=150, deadline=None)
@given(users=USERS, moments=st.tuples(st.integers(1, 20), st.integers(1, 20)), held_out=st.integers(1, 5), validation=st.integers(1, 5))
def test_each_part_is_what_a_loop_over_the_events_finds(
    users: list[list[tuple[int, int]]], moments: tuple[int, int], held_out: int, validation: int
) -> None:
    dataset = timed(users)
    valid, test = moments
    train: list[list[int]] = []
    asked: dict[str, list[tuple[int, list[int], int]]] = {"valid": [], "test": []}
    for user, sequence in enumerate(dataset.sequences):
        assert dataset.times is not None
        times = dataset.times[dataset.offsets[user] : dataset.offsets[user + 1]]
        train.append([int(item) for item, time in zip(sequence, times, strict=True) if time < valid])
        counts = {"valid": validation, "test": held_out}
        for place, time in enumerate(times):
            part = "test" if time >= test else "valid" if time >= valid else None
            if part and place and counts[part]:
                counts[part] -= 1
                asked[part].append((user, sequence[:place].tolist(), int(sequence[place])))
    text = f"{valid},{test}"
    every = np.concatenate([dataset.times])
    fits = valid < test and (every < valid).any() and ((every >= valid) & (every < test)).any() and (every >= test).any()
    if not fits or not asked["valid"] or not asked["test"]:
        with pytest.raises(DataError, match="split_at"):
            split(dataset, 3, held_out, validation, text)
        return
    parts = split(dataset, 3, held_out, validation, text)
    assert [sequence.tolist() for sequence in parts.train] == train
    for name, wanted in asked.items():
        part = getattr(parts, name)
        found = [(int(user), part.full_history(row).tolist(), int(part.targets[row])) for row, user in enumerate(part.users)]
        assert found == wanted
        assert part.histories.tolist() == [[0] * (3 - len(history[-3:])) + history[-3:] for _, history, _ in wanted]


def test_dates_and_shares_are_moments_of_the_data_set() -> None:
    days = timed([[(1, day * DAY) for day in range(10)]], "microseconds since 1970")
    assert find_cut(days, "1970-01-05,1970-01-09") == Cut(4 * DAY, 8 * DAY)
    assert find_cut(days, " 1970-01-05T02:00:00+02:00 , 1970-01-09T12:00") == Cut(4 * DAY, 8 * DAY + DAY // 2)
    assert find_cut(days, "80%,1970-01-10") == find_cut(days, "80.0 %,90%") == Cut(8 * DAY, 9 * DAY)
    assert find_cut(timed([[(1, time) for time in range(10)]]), "3,70%") == Cut(3, 7)
    assert find_cut(timed([[(1, time) for time in range(100)]]), "29%,58%") == Cut(29, 58)
    ranks = timed([[(1, time) for time in range(10)]], "ranks of the file's times")
    assert find_cut(ranks, "50%,70%") == Cut(5, 7)
    # What is of one moment stays together, whatever the share.
    assert find_cut(timed([[(1, 1)] * 5 + [(1, 2)] * 4 + [(1, 3)]]), "70%,95%") == Cut(2, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1970-01-05", "is not two moments; give two of them, as 2015-01-01,2015-06-01, or two shares"),
        ("5,8", "'5' is not a date such as 2015-01-01"),
        ("1970-01-05,soon", "'soon' is not a date"),
        ("1970-13-05,1970-01-07", "no time"),
        ("1970-01-09,1970-01-05", "leaves 8 interactions to train, 0 to validate and 6 to test; the first is of 1970-01-01T00:00:00Z"),
        ("1969-01-01,1970-01-05", "leaves 0 interactions to train"),
        ("1970-01-05,1980-01-01", "leaves 4 interactions to train, 6 to validate and 0 to test"),
        ("0%,50%", "'0%' of 10 interactions leave none on one side"),
        ("50%,100%", "'100%' of 10 interactions"),
    ],
)
def test_moments_that_cannot_cut_are_refused(text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        split(timed([[(1, day * DAY) for day in range(10)]], "microseconds since 1970"), 3, at=text)


def test_a_data_set_that_knows_no_times_says_so_with_the_mend() -> None:
    with pytest.raises(DataError, match="data set 'synthetic' has no times, only the order within each user; prepare it again from a file"):
        split(synthesize(0, users=5, items=20, mean_length=5), at="80%,90%")
    count = timed([[(1, time) for time in range(10)]])
    with pytest.raises(DataError, match="'2015-01-01' is not a whole number, as the file counts"):
        split(count, at="2015-01-01,9")
    with pytest.raises(DataError, match=r"only the order of its times is known; .*80%,90%"):
        split(timed([[(1, time) for time in range(10)]], "ranks of the file's times"), at="3,9")


def test_a_part_that_nobody_can_be_asked_in_is_refused() -> None:
    with pytest.raises(DataError, match="no user has an item to validate with another one before it"):
        split(timed([[(1, 0), (2, 1), (3, 9)], [(1, 5), (2, 8), (3, 9)]]), at="5,6")


def test_statistics_say_what_falls_into_each_part() -> None:
    dataset = timed([[(1, 0), (2, 1), (3, 2), (1, 5), (4, 8), (2, 9)], [(1, 6), (2, 8), (6, 9)], [(1, 5), (2, 6), (3, 6)]])
    found = split_statistics(dataset, split(dataset, 3, 2, 2, "5,8"), "5,8")
    assert found == {
        "valid_from": "5",
        "test_from": "8",
        "train_users": 1,
        "train_interactions": 3,
        "valid_users": 2,
        "valid_targets": 3,
        "test_users": 2,
        "test_targets": 4,
        "test_users_untrained": 1,
        "test_targets_untrained": 2,  # 4 and 6
    }


@settings(max_examples=100, deadline=None)
@given(
    users=USERS, trained=st.tuples(st.integers(1, 5), st.integers(1, 5), st.booleans()), asked=st.tuples(st.integers(1, 5), st.booleans())
)
def test_what_a_model_has_learned_from_is_known_whichever_way_it_was_split(
    users: list[list[tuple[int, int]]], trained: tuple[int, int, bool], asked: tuple[int, bool]
) -> None:
    dataset = timed(users)
    try:
        cuts = [("40%,70%" if by_time else None) for by_time in (trained[2], asked[1])]
        learned, test = split(dataset, 3, *trained[:2], cuts[0]).train, split(dataset, 3, asked[0], 1, cuts[1]).test
    except DataError:
        return
    wanted = sum(len(test.full_history(row)) < len(learned[user]) for row, user in enumerate(test.users))
    identity = json.loads(json.dumps(split_identity(dataset, *trained[:2], cuts[0])))
    assert learned_of(dataset, identity, test) == wanted


def test_a_split_of_other_data_or_times_or_none_at_all_says_nothing() -> None:
    dataset = timed([[(1, time) for time in range(10)]])
    part, good = split(dataset, 3).test, split_identity(dataset, 1, 1, "50%,70%")
    assert learned_of(dataset, good, part) == 0 and learned_of(dataset, split_identity(dataset, 5, 1), part) == 0
    cut = good["split_at"]
    for bad in (
        None, [], {}, good | {"fingerprint": "00"}, good | {"held_out": 9}, good | {"held_out": "1"}, good | {"split_at": None},
        good | {"split_at": {**cut, "times": "00"}}, good | {"split_at": {**cut, "more": 1}},
    ):  # fmt: skip
        assert learned_of(dataset, bad, part) is None
    assert learned_of(dataset, good | {"split_at": {"valid": 10**40, "test": 7, "times": cut["times"]}}, part) == 1
    assert learned_of(Dataset.from_sequences("bare", dataset.sequences, dataset.item_ids), good, part) is None


def test_a_moment_that_was_told_is_read_back() -> None:
    for time in (0, -1, 1_400_000_000_123_456, 1_400_000_000_000_000):
        assert moment(shown(time, Clock.EPOCH), Clock.EPOCH) == moment(shown(time, Clock.COUNT), Clock.COUNT) == time


def test_two_texts_of_one_moment_are_one_split_and_other_times_another() -> None:
    events: list[list[tuple[int, int]]] = [[(1, time * DAY) for time in range(10)]]
    days = timed(events, "microseconds since 1970")

    def identity(dataset: Dataset, at: str | None) -> dict[str, Any]:
        return split_identity(dataset, 1, 1, at)

    assert identity(days, "80%,90%") == identity(days, "1970-01-09,1970-01-10") != identity(days, "70%,90%")
    assert identity(days, None) == {"fingerprint": days.fingerprint, "held_out": 1, "validation": 1}
    later = timed([[(1, time * DAY + (time == 4)) for time in range(10)]], "microseconds since 1970")
    assert later.fingerprint == days.fingerprint and identity(later, "80%,90%") != identity(days, "80%,90%")


def test_a_prepared_file_can_be_cut_by_its_dates() -> None:
    table = {"user": ["a", "a", "a", "b", "b", "b"], "item": list("xyzxyz"), "time": [f"2015-01-{day:02d}" for day in (1, 5, 9, 2, 6, 10)]}
    parts = split(prepare(table), 2, at="2015-01-05,2015-01-09")
    assert [sequence.tolist() for sequence in parts.train] == [[1], [1]]
    assert (parts.valid.targets.tolist(), parts.test.targets.tolist()) == ([2, 2], [3, 3])
