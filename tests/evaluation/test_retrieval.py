"""Candidates to rerank are unseen, are never the target, and are those that a dense item-kNN gives."""

import numpy as np
import pytest

from chordkit.data import Dataset, Split, SplitPart, split
from chordkit.evaluation import nearest_candidates, random_candidates


@pytest.fixture(scope="module")
def parts(dataset: Dataset) -> Split:
    return split(dataset, 10, 2, 2)


def draw(kind: str, parts: Split, part: SplitPart, items: int, count: int) -> np.ndarray:
    return random_candidates(part, items, count, seed=3) if kind == "random" else nearest_candidates(part, parts.train, items, count)


@pytest.mark.parametrize("kind", ["random", "nearest"])
def test_no_candidate_is_seen_or_the_target_or_there_twice(kind: str, dataset: Dataset, parts: Split) -> None:
    drawn = draw(kind, parts, parts.test, dataset.items, 40)
    assert drawn.shape == (len(parts.test), 40)
    for row, ids in enumerate(drawn):
        assert len(set(ids)) == 40 and ids.min() >= 1 and ids.max() <= dataset.items
        assert not set(ids) & set(parts.test.full_history(row)) - {parts.test.targets[row]}
        assert kind == "nearest" or parts.test.targets[row] not in ids


@pytest.mark.parametrize("kind", ["random", "nearest"])
@pytest.mark.parametrize("count", [150, 400])
def test_where_items_are_few_they_are_there_again(kind: str, count: int, dataset: Dataset, parts: Split) -> None:
    drawn = draw(kind, parts, parts.test, dataset.items, count)
    for row, ids in enumerate(drawn):
        past, target = set(parts.test.full_history(row).tolist()), int(parts.test.targets[row])
        expected = set(range(1, dataset.items + 1)) - past
        assert set(ids.tolist()) == (expected | {target} if kind == "nearest" else expected - {target})


def test_random_candidates_are_drawn_evenly_by_their_seed(dataset: Dataset, parts: Split) -> None:
    drawn = random_candidates(parts.test, dataset.items, 40, seed=3)
    assert (drawn == random_candidates(parts.test, dataset.items, 40, seed=3)).all()
    assert (drawn != random_candidates(parts.test, dataset.items, 40, seed=4)).any()
    # 80 rows draw 40 of some 130 open items: 25 times each, with a standard deviation of about 4.
    times = np.bincount(drawn.ravel(), minlength=dataset.items + 1)[1:]
    assert times.min() > 3 and times.max() < 48


def test_the_nearest_are_those_of_a_dense_item_knn(dataset: Dataset, parts: Split) -> None:
    bought = np.zeros((len(parts.train), dataset.items + 1))
    for user, sequence in enumerate(parts.train):
        bought[user, sequence] = 1.0
    norms = np.sqrt(np.maximum(bought.sum(axis=0), 1.0))
    cosine = (bought.T @ bought) / np.outer(norms, norms)
    drawn = nearest_candidates(parts.test, parts.train, dataset.items, 20)
    for row, ids in enumerate(drawn):
        past = parts.test.full_history(row)
        recent = past[-50:]
        near = sum(cosine[item] * age**-0.5 for age, item in enumerate(recent[::-1], 1))
        near[[0, *(item for item in past if item != parts.test.targets[row])]] = -np.inf
        # Ties may fall either way: what is handed over is as near as what could have been.
        assert near[ids] == pytest.approx(np.sort(near)[::-1][:20], abs=1e-5)
    popular = np.argsort(-norms)[:20]
    assert (np.sort(drawn[0]) != np.sort(popular)).any()
