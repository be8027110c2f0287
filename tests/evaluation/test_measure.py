"""Every measure is what a ranking by hand gives: ties, masked items, candidates, likelihoods, targets that were seen before."""

from importlib import import_module

import numpy as np
import pytest
import torch

from chordkit.data import SplitPart
from chordkit.evaluation import measure
from chordkit.evaluation.experiment import per_user, stability

ITEMS = 30


def by_hand(scores: np.ndarray, part: SplitPart, candidates: np.ndarray) -> list[dict[str, float]]:
    """Ranks and likelihoods of every row, in loops."""
    found = []
    for row in range(len(part)):
        own, target, past = scores[row], int(part.targets[row]), set(part.full_history(row).tolist())
        others = [item for item in range(1, ITEMS + 1) if item != target]
        unseen = [item for item in others if item not in past]

        def rank(items, own=own, target=target) -> int:
            return 1 + sum(not own[item] < own[target] for item in items)

        def log_share(items, own=own, target=target) -> float:
            return float(own[target] - np.log(np.exp(own[[*items, target]].astype(np.float64)).sum()))

        best = sorted(range(1, ITEMS + 1), key=lambda item, own=own: -own[item])
        found.append(
            {
                "": rank(others),
                "masked_": rank(unseen),
                "n100_": rank(candidates[row].tolist()),
                "likelihood": log_share(others),
                "masked_likelihood": log_share(unseen),
                "seen10": np.mean([item in past for item in best[:10]]),
                "top": [item for item in best if item not in past][:10],
            }
        )
    return found


def random_part(questions, generator: np.random.Generator, rows: int = 60) -> SplitPart:
    pasts = [generator.integers(1, ITEMS + 1, generator.integers(1, 15)).tolist() for _ in range(rows)]
    # Every third target was seen before.
    targets = [past[0] if row % 3 == 0 else int(generator.integers(1, ITEMS + 1)) for row, past in enumerate(pasts)]
    return questions(*[(row // 2, past, target) for row, (past, target) in enumerate(zip(pasts, targets, strict=True))])


@pytest.mark.parametrize("tied", [False, True])
def test_ranks_and_likelihoods_are_those_of_a_ranking_by_hand(tied: bool, scorer, questions) -> None:
    generator = np.random.default_rng(7)
    part = random_part(questions, generator)
    scores = generator.normal(size=(len(part), ITEMS + 1)).astype(np.float32)
    if tied:
        scores = np.round(scores)  # some five values for thirty items
    candidates = generator.integers(1, ITEMS, (len(part), 8)).astype(np.int32)
    # Never the target: whatever is not below it is one farther.
    candidates += candidates >= part.targets[:, None]
    hand = by_hand(scores, part, candidates)
    found = measure(scorer(ITEMS), torch.from_numpy(scores), part, {"n100": candidates})
    for prefix in ("", "masked_", "n100_"):
        ranks = np.array([each[prefix] for each in hand])
        assert len(set(ranks)) > 5
        for k in (5, 10):
            assert found.values[f"{prefix}hr{k}"].tolist() == (ranks <= k).tolist()
            assert found.values[f"{prefix}ndcg{k}"] == pytest.approx(np.where(ranks <= k, 1 / np.log2(ranks + 1), 0))
    for name in ("likelihood", "masked_likelihood"):
        # float32 sums of thirty exponentials of numbers around 1.
        assert found.values[name] == pytest.approx([each[name] for each in hand], abs=1e-5)
    if not tied:
        assert found.values["seen10"] == pytest.approx([each["seen10"] for each in hand])
        assert [row.tolist() for row in found.top] == [each["top"] for each in hand]


def test_a_model_that_gives_one_score_to_everything_has_the_worst_rank(scorer, questions) -> None:
    part = questions((0, [1, 2], 3), (1, [4], 5))
    found = measure(scorer(ITEMS), torch.zeros(2, ITEMS + 1), part, {"n100": np.tile(np.arange(10, 30, dtype=np.int32), (2, 1))})
    assert not any(found.values[f"{prefix}hr10"].any() for prefix in ("", "masked_", "n100_"))
    assert found.values["likelihood"] == pytest.approx([-np.log(ITEMS)] * 2)
    assert found.values["masked_likelihood"] == pytest.approx([-np.log(ITEMS - 2), -np.log(ITEMS - 1)])


def test_scores_that_are_no_numbers_have_the_worst_rank(scorer, questions) -> None:
    part = questions((0, [1, 2], 3))
    good = torch.arange(ITEMS + 1).float()[None]
    good[0, 3] = 100.0
    candidates = {"n100": np.arange(10, 30, dtype=np.int32)[None]}
    assert measure(scorer(ITEMS), good, part, candidates).values["hr5"].all()
    for broken in (good.index_fill(1, torch.tensor([3]), torch.nan), torch.full_like(good, torch.nan)):
        found = measure(scorer(ITEMS), broken, part, candidates)
        assert not any(found.values[f"{prefix}hr10"].any() for prefix in ("", "masked_", "n100_"))


def test_what_a_first_stage_does_not_hand_over_is_missed(scorer, questions) -> None:
    part = questions((0, [1, 2], 3), (1, [1, 2], 3))
    scores = torch.arange(ITEMS + 1).float().repeat(2, 1)
    scores[:, 3] = 100.0
    handed = np.array([[5, 6, 3, 7], [5, 6, 8, 7]], np.int32)
    assert measure(scorer(ITEMS), scores, part, {"hard": handed, "n100": handed}).values["hard_hr5"].tolist() == [1.0, 0.0]
    assert measure(scorer(ITEMS), scores, part, {"n100": handed}).values["n100_hr5"].tolist() == [1.0, 1.0]


def test_the_measures_do_not_depend_on_how_rows_are_batched(scorer, questions, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    part = random_part(questions, generator)
    scores = torch.from_numpy(generator.normal(size=(len(part), ITEMS + 1)).astype(np.float32))
    candidates = {"hard": generator.integers(1, ITEMS + 1, (len(part), 8)).astype(np.int32)}
    whole = measure(scorer(ITEMS), scores, part, candidates)
    # By its path: the package exports a function of the module's name.
    monkeypatch.setattr(import_module("chordkit.evaluation.measure"), "_BATCH_SCORES", 7 * (ITEMS + 1))
    pieces = measure(scorer(ITEMS), scores, part, candidates)
    assert (whole.top == pieces.top).all()
    assert {name: values.tolist() for name, values in whole.values.items()} == {n: v.tolist() for n, v in pieces.values.items()}


def test_a_users_value_is_the_mean_over_the_users_rows(scorer, questions) -> None:
    part = questions((0, [1], 2), (0, [1, 2], 3), (1, [4], 5))
    scores = torch.arange(ITEMS + 1).float().repeat(3, 1)
    scores[0, 2] = scores[2, 5] = 100.0
    found = per_user(measure(scorer(ITEMS), scores, part, {}), part)
    assert found["hr5"].tolist() == [0.5, 1.0]


def test_stability_is_what_stays_of_a_users_list() -> None:
    top = np.array([[1, 2, 3, 4], [2, 1, 9, 8], [5, 6, 7, 8], [5, 6, 7, 1]])
    users = np.array([0, 0, 1, 1])
    assert stability(top, users) == pytest.approx((0.5 + 0.75) / 2)
    assert np.isnan(stability(top, np.arange(4)))
