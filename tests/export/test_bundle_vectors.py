"""Test vectors: drawn from real histories, every candidate lawful, and refused when they were tampered with."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from chordkit.errors import BundleError, DataError
from chordkit.export.parity import VectorSet, draw, problem_with, read_vectors


def _split(users: int, items: int, seed: int = 0, length: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    histories = generator.integers(1, items + 1, (users, length)).astype(np.int32)
    histories[np.arange(length) < generator.integers(0, length, (users, 1))] = 0
    return histories, generator.integers(1, items + 1, users).astype(np.int32)


@given(st.integers(1, 30), st.integers(2, 60), st.integers(1, 60), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_row_has_its_target_and_others_of_the_catalogue_once_each(users: int, items: int, count: int, seed: int) -> None:
    histories, targets = _split(users, items)
    wide = min(items, 20)
    drawn = draw(histories, targets, items, count=count, candidates=wide, seed=seed)
    assert drawn.candidates.shape == (count, wide)
    assert problem_with(drawn, items) is None
    assert all(len(set(row)) == wide for row in drawn.candidates.tolist())
    wanted = drawn.candidates[np.arange(count), drawn.targets]
    known = {(tuple(history), target) for history, target in zip(histories.tolist(), targets.tolist(), strict=True)}
    assert {(tuple(history), target) for history, target in zip(drawn.histories.tolist(), wanted.tolist(), strict=True)} <= known


def test_users_repeat_only_when_there_are_too_few() -> None:
    histories = np.arange(1, 41, dtype=np.int32)[:, None]
    targets = np.ones(40, np.int32)
    assert len(np.unique(draw(histories, targets, 50, count=40, candidates=5).histories)) == 40
    _, times = np.unique(draw(histories, targets, 50, count=100, candidates=5).histories, return_counts=True)
    assert set(times.tolist()) == {2, 3}


def test_the_target_has_no_favourite_column_and_the_others_no_favourite_item() -> None:
    histories, _ = _split(100, 20)
    drawn = draw(histories, np.full(100, 7, np.int32), 20, count=4000, candidates=5)
    columns = np.bincount(drawn.targets, minlength=5)
    assert abs(columns - 800).max() < 5 * np.sqrt(4000 * 0.2 * 0.8)
    others = np.bincount(drawn.candidates.ravel(), minlength=21)
    assert others[7] == 4000
    expected = 4000 * 4 / 19
    assert abs(np.delete(others, [0, 7]) - expected).max() < 5 * np.sqrt(expected)


def test_the_same_seed_draws_the_same() -> None:
    histories, targets = _split(30, 40)
    first, second, other = (draw(histories, targets, 40, count=30, candidates=10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.candidates, second.candidates)
    assert (first.candidates != other.candidates).any()


def test_what_cannot_be_drawn_is_said() -> None:
    histories, targets = _split(3, 50)
    with pytest.raises(DataError, match="50 items, fewer than the 100 candidates"):
        draw(histories, targets, 50)
    with pytest.raises(DataError, match="no user with a held-out item"):
        draw(histories[:0], targets[:0], 50, candidates=5)


def _vectors() -> VectorSet:
    histories, targets = _split(8, 30)
    return draw(histories, targets, 30, count=8, candidates=6).with_scores({"fp32": lambda h, c: c * 0.5, "int8": lambda h, c: c * 0.25})


def test_vectors_survive_the_file() -> None:
    vectors = _vectors()
    again = read_vectors(vectors.to_bytes(), "x")
    assert again.to_bytes() == vectors.to_bytes()
    assert list(again.scores) == ["fp32", "int8"]
    assert again.scores["fp32"].dtype == np.float32
    assert len(again.head(3).scores["int8"]) == 3


def test_users_take_turns_and_nobody_has_one_too() -> None:
    first, second = np.ones(3, np.float32), np.full(3, 2, np.float32)
    drawn = _vectors().with_users([first, second])
    assert drawn.users is not None and drawn.users.dtype == np.float32
    assert drawn.users[:, 0].tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    # The scores that there were are of other inputs.
    assert not drawn.scores and len(drawn.inputs) == 3
    scored = drawn.with_scores({"fp32": lambda h, c, u: c * u[:, :1]})
    assert np.ptp(scored.scores["fp32"][2]) == 0 < np.ptp(scored.scores["fp32"][0])
    again = read_vectors(scored.to_bytes(), "x")
    np.testing.assert_array_equal(again.users, drawn.users)
    assert again.head(2).users.shape == (2, 3)  # type: ignore[union-attr]
    assert read_vectors(_vectors().to_bytes(), "x").users is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": np.zeros((8, 3))}, "users of the test vectors"),
        ({"users": np.zeros(8, np.float32)}, "users of the test vectors"),
        ({"users": np.zeros((7, 3), np.float32)}, "not one vector of finite numbers for each history"),
        ({"users": np.zeros((8, 0), np.float32)}, "not one vector of finite numbers for each history"),
        ({"users": np.full((8, 3), np.inf, np.float32)}, "not one vector of finite numbers for each history"),
        ({"histories": np.zeros((8, 6), np.int64)}, "histories of the test vectors"),
        ({"candidates": np.ones(8, np.int32)}, "candidates of the test vectors"),
        ({"scores/fp32": np.zeros((8, 6))}, "scores/fp32 of the test vectors"),
        ({"scores/fp32": np.zeros((8, 5), np.float32)}, "different lengths"),
        ({"scores/fp32": np.full((8, 6), np.nan, np.float32)}, "not finite"),
        ({"targets": np.full(8, 6, np.int32)}, "outside the columns 0..5"),
        ({"candidates": np.zeros((8, 6), np.int32)}, "outside the catalogue"),
        ({"histories": np.full((8, 6), -1, np.int32)}, "outside the catalogue"),
        ({"histories": np.zeros((8, 6), np.int32)}, "history: it holds no item"),
        ({"histories": np.full((8, 6), [1, 2, 3, 0, 0, 0], np.int32)}, "history: its last slot is empty"),
        ({"histories": np.full((8, 6), [0, 1, 2, 0, 3, 4], np.int32)}, "history: an empty slot"),
        ({"weights": np.zeros(1)}, "an array 'weights' that this version does not know"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    vectors = _vectors()
    arrays = {"histories": vectors.histories, "candidates": vectors.candidates, "targets": vectors.targets}
    arrays |= {f"scores/{name}": scores for name, scores in vectors.scores.items()}
    with pytest.raises(BundleError, match=message):
        read_vectors(save({**arrays, **change}), "x")


def test_bytes_that_are_no_safetensors_are_refused() -> None:
    for data in (b"", b"\0" * 100, b"\xff" * 100, _vectors().to_bytes()[:-1]):
        with pytest.raises(BundleError, match="not a safetensors file"):
            read_vectors(data, "x")


def test_an_id_beyond_the_catalogue_is_found_when_the_catalogue_is_known() -> None:
    vectors = _vectors()
    beyond = vectors.candidates.copy()
    beyond[0, 0] = 31
    assert problem_with(vectors, 30) is None
    assert "1..30" in (problem_with(dataclasses.replace(vectors, candidates=beyond), 30) or "")
