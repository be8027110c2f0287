"""No history follows itself: else the engine's memory of the last one is measured as if it were a rerank."""

import numpy as np
import pytest

from chordkit.errors import InputError
from chordkit.export.parity import Ids
from chordkit.runtime_bench.walk import walk_of

A, B = [0, 2, 3], [1, 4, 4]


def _walk(*histories: list[int]) -> tuple[Ids, Ids]:
    return np.array(histories, np.int32), np.tile(np.array([1, 2, 3, 4], np.int32), (len(histories), 1))


@pytest.mark.parametrize("histories", [[A], [A, A], [A, A, A], [A, B, A], [A, B, B], [[0, 0, 2], [0, 0, 3], [0, 0, 3]]], ids=str)
def test_no_history_follows_itself_not_even_from_the_end_to_the_beginning(histories: list[list[int]]) -> None:
    given, candidates = _walk(*histories)
    walk = walk_of(given, candidates)
    assert (walk.histories != np.roll(walk.histories, 1, axis=0)).any(axis=1).all()
    np.testing.assert_array_equal(walk.histories[:: walk.step], given)
    np.testing.assert_array_equal(walk.candidates[:: walk.step], candidates)
    # As long, of known items, and the same but for the newest.
    np.testing.assert_array_equal(walk.histories[1 :: walk.step, :-1], given[:, :-1])
    assert np.isin(walk.histories[:, -1], candidates).all()


def test_histories_that_differ_from_the_one_before_stay_as_they_are() -> None:
    given, candidates = _walk(A, B)
    walk = walk_of(given, candidates)
    assert (walk.histories is given, walk.candidates is candidates, walk.step) == (True, True, 1)


def test_one_item_alone_cannot_be_varied() -> None:
    with pytest.raises(InputError, match="too few items"):
        walk_of(np.array([[0, 1]], np.int32), np.array([[1]], np.int32))
