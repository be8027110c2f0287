"""The one contract for what a re-ranker is asked, and the function that pads: each rule missed once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chordkit
from chordkit.errors import InputError
from chordkit.inputs import checked_candidates, checked_history, pad_history

ITEMS = 9
GOOD = [[0, 0, 3], [1, 2, 3], [0, 9, 9], [7]]
WRONG = {
    "empty": ([0, 0, 0], "history: it holds no item"),
    "right-padded": ([1, 2, 0], "history: its last slot is empty; zeros stand only in front and the newest item last"),
    "with a gap": ([1, 0, 2], "history: an empty slot .* stands behind an item; .* as chordkit.pad_history makes it"),
    "with a gap behind padding": ([0, 1, 0, 2], "history: an empty slot"),
    "without a slot": (np.zeros(0, np.int32), "history: it has no slot"),
    "of numbers with a point": ([1.0, 2.0], "history: ids of type float64"),
    "of truth values": ([True, True], "history: ids of type bool"),
    "of text": (["1"], "history: ids of type"),
    "negative": ([-1, 2], "history: an id is negative"),
    "negative int32": (np.array([-1, 2], np.int32), "history: the id -1 is not an item"),
    "beyond int32": ([1, 2**32 + 1], "history: .* larger than int32"),
    "of an unknown item": ([1, ITEMS + 1], "history: the id 10 is not an item; ids lie in 0..9"),
    "a number": (3, "history"),
}


@pytest.mark.parametrize("history", GOOD, ids=str)
def test_a_history_with_zeros_in_front_is_taken_as_it_is(history: list[int]) -> None:
    given_ids = np.array(history, np.int32)
    assert checked_history(given_ids, ITEMS) is given_ids
    for other in (history, np.array(history, np.uint8), np.repeat(np.array(history), 2)[::2]):
        taken = checked_history(other, ITEMS)
        assert taken.dtype == np.int32 and taken.flags.c_contiguous and taken.tolist() == history


@pytest.mark.parametrize("name", WRONG)
def test_any_other_history_is_refused_with_the_reason(name: str) -> None:
    history, reason = WRONG[name]
    with pytest.raises(InputError, match=reason):
        checked_history(history, ITEMS)


@pytest.mark.parametrize("name", ["empty", "right-padded", "with a gap"])
def test_one_wrong_history_of_a_batch_is_seen(name: str) -> None:
    history, reason = WRONG[name]
    batch = [[0, 0, 1], history, [1, 2, 3]]
    with pytest.raises(InputError, match=reason):
        checked_history(batch, ITEMS)
    assert checked_history([batch[0], batch[2]], ITEMS).shape == (2, 3)


def test_candidates_are_items() -> None:
    assert checked_candidates([1, 9, 9], ITEMS, 3).tolist() == [1, 9, 9]
    for wrong, reason in (
        ([1, 0, 2], "candidates: the id 0 is not an item; ids lie in 1..9"),
        ([1, 10, 2], "the id 10"),
        ([1, 2], r"\[2\] ids"),
    ):
        with pytest.raises(InputError, match=reason):
            checked_candidates(wrong, ITEMS, 3)


@given(st.lists(st.integers(1, ITEMS), min_size=1, max_size=12), st.integers(1, 9), st.integers(0, 4))
def test_what_is_padded_is_taken_and_keeps_the_newest_items(items: list[int], length: int, zeros: int) -> None:
    padded = pad_history([0] * zeros + items, length)
    assert padded.dtype == np.int32 and padded.shape == (length,)
    assert padded.tolist() == [0] * max(0, length - len(items)) + items[-length:]
    assert checked_history(padded, ITEMS, length) is padded


def test_what_cannot_be_padded_is_refused() -> None:
    assert chordkit.pad_history is pad_history
    for name in (
        "empty",
        "right-padded",
        "with a gap",
        "without a slot",
        "of numbers with a point",
        "of truth values",
        "beyond int32",
        "a number",
    ):
        with pytest.raises(InputError, match="history"):
            pad_history(WRONG[name][0], 5)
    for wrong, length in ((np.ones((1, 3), int), 5), ([], 5), ([1, 2], 0)):
        with pytest.raises(InputError, match="history"):
            pad_history(wrong, length)
