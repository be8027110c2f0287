"""Ranks, metrics and intervals against definitions worked out by hand."""

import math

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, initialise
from chordkit.data import Dataset, split
from chordkit.training import bootstrap, evaluate, paired_difference, rank_targets, summarise

ITEMS = 8


def part_of(sequences, held_out=1, max_length=4):
    dataset = Dataset.from_sequences("tiny", sequences, item_ids=["", *map(str, range(1, ITEMS + 1))])
    return split(dataset, max_length, held_out).test


def fixed(scores):
    """A score function that gives every history the same scores of items 1..8."""
    row = torch.tensor([99.0, *scores], dtype=torch.float64)
    return lambda histories: row.expand(len(histories), -1)


def test_the_rank_counts_better_items_and_not_the_padding_column():
    part = part_of([[1, 2, 3], [1, 2, 8], [1, 2, 5]])
    assert rank_targets(fixed([8, 7, 6, 5, 4, 3, 2, 1]), part).tolist() == [3, 8, 5]


def test_ties_and_nan_count_against_the_model():
    part = part_of([[1, 2, 3]])
    assert rank_targets(fixed([0.0] * ITEMS), part).tolist() == [ITEMS]
    assert rank_targets(fixed([math.nan] * ITEMS), part).tolist() == [ITEMS]
    assert rank_targets(fixed([1, 0, 1, 1, 0, 0, 0, 0]), part).tolist() == [3]


def test_masking_removes_everything_ever_seen_but_never_the_target():
    # max_length is 4: item 1 has left the window, and still must not compete. The target 7 was seen before.
    part = part_of([[1, 7, 2, 3, 4, 5, 7]])
    scores = [8, 7, 6, 5, 4, 3, 2, 1]
    assert rank_targets(fixed(scores), part).tolist() == [7]
    assert rank_targets(fixed(scores), part, masked=True).tolist() == [2]


def test_negatives_are_unseen_seeded_and_as_many_as_asked():
    part = part_of([[1, 2, 8]] * 400)
    scores = [8, 7, 6, 5, 4, 3, 2, 1]
    # The target is the worst item: its rank is 1 + the number of drawn negatives.
    assert set(rank_targets(fixed(scores), part, negatives=3).tolist()) == {4}
    assert set(rank_targets(fixed(scores), part, negatives=100).tolist()) == {6}
    middle = part_of([[1, 2, 5]] * 400)
    ranks = rank_targets(fixed(scores), middle, negatives=3, seed=1)
    assert np.array_equal(ranks, rank_targets(fixed(scores), middle, negatives=3, seed=1))
    assert not np.array_equal(ranks, rank_targets(fixed(scores), middle, negatives=3, seed=2))
    # 3 of {3, 4, 6, 7, 8} are drawn, 2 of which are better: 1 + 3 * 2/5 on average, sd of the mean below 0.6 / sqrt(400).
    assert abs(ranks.mean() - 2.2) < 4 * 0.6 / 20


def test_hr_and_ndcg_follow_their_definitions():
    metrics = summarise(np.array([1, 4, 7, 30]), np.arange(4), "full")
    assert metrics.hr5.value == 2 / 4
    assert metrics.hr10.value == 3 / 4
    assert metrics.ndcg5.value == pytest.approx((1 + 1 / math.log2(5)) / 4)
    assert metrics.ndcg10.value == pytest.approx((1 + 1 / math.log2(5) + 1 / math.log2(8)) / 4)


def test_a_user_with_several_rows_counts_once():
    part = part_of([[1, 2, 3, 4, 5, 6], [1, 2, 3]], held_out=3)
    assert part.users.tolist() == [0, 0, 0, 1]
    metrics = summarise(np.array([1, 100, 100, 1]), part.users, "full")
    assert metrics.per_user["hr10"].tolist() == [pytest.approx(1 / 3), 1.0]
    assert metrics.to_json()["users"] == 2


def test_a_backbone_and_its_score_function_rank_alike_in_any_batching(monkeypatch):
    from chordkit.training import metrics as module

    backbone = initialise(build(SASRecConfig(ITEMS, max_length=4, dim=32)))
    generator = np.random.default_rng(0)
    part = part_of([generator.integers(1, ITEMS + 1, size=6) for _ in range(30)])
    whole = rank_targets(backbone, part, masked=True)
    assert np.array_equal(whole, rank_targets(lambda h: backbone.score_all(backbone.encode(h)), part, masked=True))
    monkeypatch.setattr(module, "_BATCH_SCORES", 7 * (ITEMS + 1))
    # Batched matrix products may round differently; ranks of well-separated scores may not change.
    assert (whole != rank_targets(backbone, part, masked=True)).sum() == 0
    assert evaluate(backbone, part).protocol == "full"


def test_the_interval_covers_the_mean_in_19_of_20_samples():
    generator = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        sample = (generator.random((300, 1)) < 0.3).astype(np.float64)
        estimate = bootstrap(sample, resamples=400, seed=trial)[0]
        inside += estimate.low <= 0.3 <= estimate.high
    # Binomial(200, 0.95): 190 +- 3.1; five standard deviations.
    assert 174 <= inside <= 200


def test_the_paired_difference_is_narrower_than_the_difference_of_intervals():
    generator = np.random.default_rng(0)
    base = generator.normal(size=500)
    paired = paired_difference(base + 0.1 + 0.01 * generator.normal(size=500), base)
    assert paired.low < paired.value < paired.high
    assert 0.09 < paired.low < paired.high < 0.11
    assert bootstrap(base[:, None])[0].high - bootstrap(base[:, None])[0].low > 0.1
    with pytest.raises(ValueError, match="same users"):
        paired_difference(base, base[:-1])
