"""Seeds are pooled into one answer that finds what was planted and ships what is worth its bytes."""

import json
from itertools import pairwise

import numpy as np
import pytest

from chordkit.evaluation import HEADLINE, summarise_seeds
from chordkit.evaluation.summary import halves

USERS = 200


@pytest.fixture
def noise() -> np.ndarray:
    """What users differ by, which a paired difference must not see."""
    return np.random.default_rng(0).normal(0, 5, USERS)


def jitter(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, USERS)


def test_a_planted_difference_is_found_with_its_sign_on_all_users_and_on_both_halves(plant, noise: np.ndarray) -> None:
    summary = summarise_seeds([plant({"own": noise + 1.0 + jitter(1), "static": noise, "fp32": noise + 2.0})])
    for measure in HEADLINE:
        for users in ("all", "choice", "confirmation"):
            gain = summary.difference("own", "static", measure, users)
            assert gain.low > 0.9 and gain.high < 1.1
            assert summary.difference("own", "fp32", measure, users).high < -0.9
    # The interval of the line itself is that of users who differ by 5.
    line = summary.line("own").values["masked_ndcg10"]
    assert line.high - line.low > 1.0


def test_the_halves_are_two_equal_and_disjoint_sets_of_users(plant, noise: np.ndarray) -> None:
    chosen = halves(USERS)
    assert chosen.sum() == USERS // 2 and (chosen == halves(USERS)).all()
    gain = np.where(chosen, 1.0, -1.0)
    summary = summarise_seeds([plant({"own": noise + gain, "static": noise})])
    assert summary.difference("own", "static", "likelihood", "choice").value == pytest.approx(1.0, abs=1e-5)
    assert summary.difference("own", "static", "likelihood", "confirmation").value == pytest.approx(-1.0, abs=1e-5)
    # It is the choice half that decides, and the other that says what became of it.
    assert summary.verdict.ship == "own"
    assert summary.verdict.choice.value > 0 > summary.verdict.confirmation.value


def test_seeds_are_averaged_before_users_are_drawn(plant, noise: np.ndarray) -> None:
    results = [plant({"own": noise + 3.0, "static": noise}, seed=0), plant({"own": noise - 1.0, "static": noise}, seed=1)]
    summary = summarise_seeds(results)
    assert summary.seeds == 2 and summary.difference("own", "static", "n100_ndcg10").value == pytest.approx(1.0, abs=1e-5)
    first, second = summary.line("own").seeds["likelihood"]
    assert first - second == pytest.approx(4.0, abs=1e-5)


@pytest.mark.parametrize(
    ("gains", "ship"),
    [
        ({"own": 0.0}, "static"),
        ({"own": 0.5}, "own"),
        ({"own": -0.5}, "static"),
        ({"own": 0.5, "static_vector": 0.5, "own_vector": 0.5}, "own"),
        ({"own": 0.1, "static_vector": 0.5, "own_vector": 0.5}, "static_vector"),
        ({"own": 0.1, "static_vector": 0.2, "own_vector": 0.9}, "own_vector"),
    ],
)
def test_the_verdict_is_the_simplest_that_nothing_is_surely_better_than(
    gains: dict[str, float], ship: str, plant, noise: np.ndarray
) -> None:
    # The same jitter for all: what has one gain differs from its like by nothing.
    values = {"static": noise + jitter(9)} | {key: noise + gain + jitter(0) for key, gain in gains.items()}
    summary = summarise_seeds([plant({"own": values.pop("own"), **values})])
    assert summary.verdict.ship == ship
    assert ("not worth it" in summary.verdict.sentence) is (ship == "static")


def test_without_a_static_rival_nothing_is_claimed(plant, noise: np.ndarray) -> None:
    verdict = summarise_seeds([plant({"own": noise, "mean": noise})]).verdict
    assert verdict.ship == "own" and "not known" in verdict.sentence and verdict.choice is None


def test_where_training_masked_only_the_masked_likelihood_decides(plant, noise: np.ndarray) -> None:
    result = plant({"own": noise, "static": noise})
    own = result.rows[0]
    for part in (own.test, own.valid):
        part["likelihood"] = part["likelihood"] + 1.0
    assert summarise_seeds([result]).verdict.ship == "own"
    masked = summarise_seeds([result], seen_masked=True).verdict
    assert masked.ship == "static" and masked.measure == "masked_likelihood"


def test_a_gain_of_long_histories_is_seen_in_their_group(plant, noise: np.ndarray) -> None:
    lengths = np.arange(USERS, dtype=np.int64) + 3
    gain = np.where(lengths > 153, 2.0, 0.0) + jitter(2)
    groups = summarise_seeds([plant({"own": noise + gain, "static": noise}, lengths)]).lengths
    assert [group.users for group in groups] == [50, 50, 50, 50]
    assert groups[0].shortest == 3 and groups[-1].longest == USERS + 2
    assert all(a.longest < b.shortest for a, b in pairwise(groups))
    assert groups[-1].differences["likelihood"].low > 1.8 and groups[0].differences["likelihood"].high < 0.2


def test_the_document_is_plain_json_without_nan(plant, noise: np.ndarray) -> None:
    result = plant({"own": noise, "static": noise})
    object.__setattr__(result.rows[0], "stability", float("nan"))
    text = json.dumps(summarise_seeds([result]).to_json(), allow_nan=False)
    assert json.loads(text)["lines"][0]["stability"] is None
