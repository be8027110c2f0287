"""Simple baselines say what they are said to say, and measuring scores is measuring states."""

import numpy as np
import pytest
import torch

from chordkit.data import Dataset, Split, split, synthesize
from chordkit.evaluation.baselines import EASE_ITEMS, baselines
from chordkit.evaluation.measure import measure_scores
from chordkit.evaluation.retrieval import nearest_candidates


@pytest.fixture(scope="module")
def parts() -> Split:
    return split(synthesize(1, users=60, items=40, mean_length=14, max_length=25), 1, 1, 1)


def scores_of(parts: Split, name: str) -> torch.Tensor:
    found = {each.name: each for each in baselines(parts)}[name]
    return torch.cat([scores for _, scores in found.batches(parts.test)])


def test_popularity_counts_the_training_part(parts: Split) -> None:
    counts = np.bincount(np.concatenate(parts.train), minlength=41)
    scores = scores_of(parts, "popularity")
    assert scores.shape == (60, 41) and (scores[:, 1:] == torch.from_numpy(counts[1:]).float()).all()
    assert torch.isneginf(scores[:, 0]).all()


def test_the_last_item_is_answered_by_what_followed_it(parts: Split) -> None:
    scores, test = scores_of(parts, "last item"), parts.test
    for row in (0, 7, 59):
        last = test.full_history(row)[-1]
        followed = np.zeros(41)
        for sequence in parts.train:
            np.add.at(followed, sequence[1:][sequence[:-1] == last], 1)
        found = scores[row].numpy()[1:]
        assert (np.floor(found) == followed[1:]).all(), "popularity is never worth an occurrence"
        unseen = followed[1:] == 0
        counts = np.bincount(np.concatenate(parts.train), minlength=41)[1:][unseen]
        assert (np.argsort(-found[unseen], kind="stable") == np.argsort(-counts, kind="stable")).all()


def test_item_knn_orders_as_its_candidates_are_ordered(parts: Split) -> None:
    scores, test = scores_of(parts, "item-kNN"), parts.test
    candidates = nearest_candidates(test, parts.train, 40, 5)
    for row in range(len(test)):
        seen = np.setdiff1d(test.full_history(row), test.targets[row])
        each = scores[row].clone()
        each[torch.from_numpy(seen).long()] = -torch.inf
        assert each.topk(5).indices.tolist() == candidates[row].tolist()


def test_ease_is_the_minimum_of_its_loss(parts: Split) -> None:
    """Steck 2019, equation 8: ||X - XB||^2 + penalty ||B||^2 with a zero diagonal; at the minimum the gradient off the diagonal is 0."""
    ease = {each.name: each for each in baselines(parts)}["EASE"]
    penalty = float(ease.label.split("penalty ")[1].split(":")[0])
    taken = torch.zeros(60, 41, dtype=torch.float64)
    for row, sequence in enumerate(parts.train):
        taken[row, torch.from_numpy(sequence).long()] = 1.0
    # Every item on its own as a history gives the rows of B.
    weights = _weights(parts, ease.scores)
    assert weights.diagonal().abs().max() == 0
    gradient = taken.T @ (taken @ weights - taken) + penalty * weights
    gradient.fill_diagonal_(0)
    assert gradient[1:, 1:].abs().max() < 1e-3 * (taken.T @ taken).max()


def _weights(parts: Split, scores) -> torch.Tensor:
    flat = np.arange(41, dtype=np.int32)
    part = type(parts.test)(
        np.zeros((41, 1), np.int32), np.zeros(41, np.int32), np.arange(41, dtype=np.int32), flat, np.arange(41), np.arange(1, 42)
    )
    return scores(part, slice(None)).double()


def test_a_large_catalogue_goes_without_ease(monkeypatch: pytest.MonkeyPatch, parts: Split) -> None:
    assert EASE_ITEMS >= 1000
    monkeypatch.setattr("chordkit.evaluation.baselines.EASE_ITEMS", 39)
    assert [each.name for each in baselines(parts)] == ["popularity", "last item", "item-kNN"]


def test_where_items_follow_each_other_the_last_one_knows() -> None:
    starts = np.random.default_rng(0).integers(0, 30, 200)
    chain = Dataset.from_sequences("chain", [(start + np.arange(8)) % 30 + 1 for start in starts])
    parts = split(chain, 1, 1, 1)
    found = {each.name: measure_scores(each.batches(parts.test), parts.test, {}).values["hr5"].mean() for each in baselines(parts)}
    assert found["last item"] == 1.0 > found["popularity"]
