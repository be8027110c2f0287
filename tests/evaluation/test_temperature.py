"""A likelihood is that at the temperature which suits the model, so that a model is not judged by how sure it is of itself."""

import numpy as np
import pytest
import torch

from chordkit.evaluation import measure
from chordkit.evaluation.measure import Temperatures, fit_temperatures
from chordkit.hypernetwork.likelihood import best_temperature, mean_likelihood

ITEMS = 30


@pytest.fixture
def drawn(questions):
    """Scores, and questions whose targets were drawn from them at temperature 2; every user has seen three other items."""
    generator = np.random.default_rng(3)
    scores = 3.0 * generator.normal(size=(3000, ITEMS + 1)).astype(np.float32)
    shares = np.exp(scores[:, 1:].astype(np.float64) / 2.0)
    targets = 1 + (shares.cumsum(axis=1) < generator.random((3000, 1)) * shares.sum(axis=1, keepdims=True)).sum(axis=1)
    pasts = [[item for item in generator.permutation(ITEMS)[:4] + 1 if item != target][:3] for target in targets]
    return torch.from_numpy(scores), questions(
        *[(row, past, int(target)) for row, (past, target) in enumerate(zip(pasts, targets, strict=True))]
    )


@pytest.mark.parametrize("masked", [False, True])
def test_the_temperature_that_targets_were_drawn_at_is_found_again(masked: bool, drawn, scorer) -> None:
    scores, part = drawn
    # Standard error over 2,048 rows whose scores have a standard deviation of 3 at that temperature: below 0.05.
    assert best_temperature(scorer(ITEMS), scores, part, masked=masked) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("factor", [0.05, 1.0, 9.0])
def test_no_other_temperature_is_better_however_sure_a_model_is(masked: bool, factor: float, drawn, scorer) -> None:
    scores, part = drawn
    part = part.of_users(np.arange(2000))
    scores = factor * scores[:2000]
    best = best_temperature(scorer(ITEMS), scores, part, masked=masked)
    found = mean_likelihood(scorer(ITEMS), scores, part, masked=masked, temperature=best)
    for other in best * np.geomspace(0.5, 2.0, 21):
        # Relative steps of 1e-4 leave the maximum flat to 1e-8; float32 sums to 1e-6.
        assert mean_likelihood(scorer(ITEMS), scores, part, masked=masked, temperature=float(other)) <= found + 1e-5
    assert best / factor == pytest.approx(best_temperature(scorer(ITEMS), scores / factor, part, masked=masked), rel=1e-3)


def test_what_is_measured_is_the_likelihood_at_the_temperature_and_at_one(drawn, scorer) -> None:
    scores, part = drawn
    temperatures = fit_temperatures(scorer(ITEMS), scores, part)
    found = measure(scorer(ITEMS), scores, part, {}, temperatures).values
    for masked, name, temperature in ((False, "likelihood", temperatures.full), (True, "masked_likelihood", temperatures.masked)):
        for key, at in ((name, temperature), (f"raw_{name}", 1.0)):
            assert found[key].mean() == pytest.approx(mean_likelihood(scorer(ITEMS), scores, part, masked=masked, temperature=at), abs=1e-5)
        assert found[name].mean() > found[f"raw_{name}"].mean() + 0.1
    assert (measure(scorer(ITEMS), scores, part, {}).values["likelihood"] == found["raw_likelihood"]).all()


@pytest.mark.parametrize("scores", [torch.full((2, ITEMS + 1), torch.nan), torch.zeros(2, ITEMS + 1)])
def test_scores_that_say_nothing_leave_the_temperature_at_one(scores: torch.Tensor, scorer, questions) -> None:
    part = questions((0, [1, 2], 3), (1, [4], 5))
    assert fit_temperatures(scorer(ITEMS), scores, part) == Temperatures(1.0, 1.0)


def test_a_model_that_is_always_right_has_a_finite_temperature(scorer, questions) -> None:
    part = questions((0, [1, 2], 3), (1, [4], 5))
    scores = torch.zeros(2, ITEMS + 1)
    scores[0, 3] = scores[1, 5] = 1.0
    found = fit_temperatures(scorer(ITEMS), scores, part)
    assert 0.0 < found.full <= 1.0 and mean_likelihood(scorer(ITEMS), scores, part, temperature=found.full) > -np.log(ITEMS)
