"""Splits and windows, checked against slow and obvious versions of themselves."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.data import Dataset, left_pad, split, windows
from chordkit.errors import DataError

SEQUENCES = st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=20), min_size=1, max_size=6)


def padded(items: list[int], width: int) -> list[int]:
    recent = items[-width:]
    return [0] * (width - len(recent)) + recent


def test_last_item_is_the_test_and_the_one_before_is_validation() -> None:
    parts = split(Dataset.from_sequences("d", [[1, 2, 3, 4, 5], [5, 4, 3]]), max_length=3)
    assert [list(sequence) for sequence in parts.train] == [[1, 2, 3], [5]]
    assert parts.valid.histories.tolist() == [[1, 2, 3], [0, 0, 5]]
    assert parts.valid.targets.tolist() == [4, 4]
    assert parts.test.histories.tolist() == [[2, 3, 4], [0, 5, 4]]
    assert parts.test.targets.tolist() == [5, 3]
    assert parts.test.full_history(0).tolist() == [1, 2, 3, 4]
    assert parts.test.histories.dtype == parts.test.targets.dtype == parts.test.users.dtype == np.int32


@settings(max_examples=60, deadline=None)
@given(sequences=SEQUENCES, max_length=st.integers(1, 8), held_out=st.integers(1, 5))
def test_every_interaction_is_in_exactly_one_part(sequences: list[list[int]], max_length: int, held_out: int) -> None:
    parts = split(Dataset.from_sequences("d", sequences), max_length, held_out)
    for user, sequence in enumerate(sequences):
        rows = np.flatnonzero(parts.test.users == user)
        assert len(rows) == min(held_out, len(sequence) - 2)
        assert [*parts.train[user], parts.valid.targets[user], *parts.test.targets[rows]] == sequence
        assert parts.valid.histories[user].tolist() == padded(parts.train[user].tolist(), max_length)
        for row in rows:
            before = parts.test.full_history(int(row)).tolist()
            assert parts.test.histories[row].tolist() == padded(before, max_length)
            assert [*before, parts.test.targets[row]] == sequence[: len(before) + 1]


@settings(max_examples=60, deadline=None)
@given(sequences=SEQUENCES, held_out=st.integers(1, 5), validation=st.integers(2, 5))
def test_with_several_validation_items_at_most_half_of_a_history_is_held_out(
    sequences: list[list[int]], held_out: int, validation: int
) -> None:
    parts = split(Dataset.from_sequences("d", sequences), 4, held_out, validation)
    for user, sequence in enumerate(sequences):
        tested, validated = np.flatnonzero(parts.test.users == user), np.flatnonzero(parts.valid.users == user)
        assert 1 <= len(tested) <= held_out and 1 <= len(validated) <= validation
        assert len(tested) + len(validated) <= max(2, len(sequence) // 2)
        assert [*parts.train[user], *parts.valid.targets[validated], *parts.test.targets[tested]] == sequence


def test_a_part_knows_longer_histories_and_single_users() -> None:
    part = split(Dataset.from_sequences("d", [[1, 2, 3, 4, 5, 6], [5, 4, 3]]), max_length=2, held_out=2).test
    assert part.histories.tolist() == [[3, 4], [4, 5], [5, 4]]
    assert part.recent(5).tolist() == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [0, 0, 0, 5, 4]]
    row, items = split(Dataset.from_sequences("d", [[1, 2, 1, 2], [5, 4, 3]]), max_length=2).test.seen(slice(0, 2))
    assert (row.tolist(), items.tolist()) == ([0, 0, 1, 1], [1, 1, 5, 4])  # 2 was seen, but it is what came next
    one = part.of_users(np.array([1]))
    assert one.targets.tolist() == [3] and one.recent(3).tolist() == [[0, 5, 4]]


@settings(max_examples=60, deadline=None)
@given(sequences=SEQUENCES, max_length=st.integers(1, 8), stride=st.integers(1, 8))
def test_windows_cover_every_transition(sequences: list[list[int]], max_length: int, stride: int) -> None:
    stride = min(stride, max_length)
    expected = []
    for sequence in sequences:
        end = len(sequence)
        expected.append(padded(sequence[:end], max_length + 1))
        while end > max_length + 1:
            end -= stride
            expected.append(padded(sequence[:end], max_length + 1))
    found = windows([np.array(sequence, np.int32) for sequence in sequences], max_length, stride)
    assert found.dtype == np.int32
    assert found.tolist() == expected
    wanted = {pair for sequence in sequences for pair in pairwise(sequence)}
    assert wanted == {(a, b) for row in expected for a, b in pairwise(row) if a}


def test_a_single_item_gives_no_window() -> None:
    assert windows([np.array([7]), np.array([1, 2])], 3, 1).tolist() == [[0, 0, 1, 2]]
    with pytest.raises(DataError, match="two interactions"):
        windows([np.array([7])], 3, 1)


def test_left_pad_keeps_the_most_recent_items() -> None:
    assert left_pad([np.array([1, 2, 3, 4]), np.array([], np.int32), np.array([9])], 2).tolist() == [[3, 4], [0, 0], [0, 9]]


@pytest.mark.parametrize(("max_length", "held_out"), [(0, 1), (5, 0), (5, 6)])
def test_impossible_splits_are_refused(max_length: int, held_out: int) -> None:
    with pytest.raises(DataError):
        split(Dataset.from_sequences("d", [[1, 2, 3]]), max_length, held_out)


@pytest.mark.parametrize(("max_length", "stride"), [(0, 1), (5, 0), (5, 6)])
def test_impossible_windows_are_refused(max_length: int, stride: int) -> None:
    with pytest.raises(DataError):
        windows([np.array([1, 2, 3])], max_length, stride)
