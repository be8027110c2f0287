"""Where the truth is known, nothing is better than it, and what is reached of it is a share."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from chordkit.backbones import default_config
from chordkit.data import Dataset, SplitPart, World, split, synthesize, world_behind
from chordkit.evaluation import Measured, RowResult, SeedResult, measure
from chordkit.evaluation.experiment import per_user
from chordkit.evaluation.truth import attainable, oracles
from chordkit.hypernetwork import Diversity
from chordkit.training import bootstrap, default_options, train_backbone

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthesize(0, users=300, items=120, mean_length=40.0)


@pytest.fixture(scope="module")
def world(dataset: Dataset) -> World:
    found = world_behind(dataset)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def part(dataset: Dataset) -> SplitPart:
    return split(dataset, 50, held_out=5).test


@pytest.fixture(scope="module")
def known(world: World, part: SplitPart) -> dict[str, Measured]:
    return oracles(world, part)


def gain(first: Measured, second: Measured, part: SplitPart, name: str) -> float:
    """Lower end of the interval of the paired difference."""
    return bootstrap((per_user(first, part)[name] - per_user(second, part)[name]).astype(np.float64)[:, None])[0].low


@pytest.mark.parametrize("name", ["masked_likelihood", "masked_ndcg10"])
def test_who_knows_the_taste_knows_more_than_any_model(dataset: Dataset, part: SplitPart, known: Mapping[str, Measured], name: str) -> None:
    options = default_options("sasrec", epochs=8, batch=512, lr=4e-3, averaging=0.95)
    backbone = train_backbone(dataset, default_config("sasrec", dataset.items, dim=32), options, held_out=5).backbone
    with torch.no_grad():
        states = backbone.encode(torch.from_numpy(part.histories).long())
    model = measure(backbone, states, part, {})
    assert gain(known["taste"], model, part, name) > 0
    assert gain(known["taste"], known["context"], part, name) > 0


def test_an_oracle_is_a_distribution_over_what_the_user_has_not_seen(world: World, part: SplitPart, known: Mapping[str, Measured]) -> None:
    row = 7
    last = part.flat[part.stops[row : row + 1] - 1].astype(np.int64) - 1
    likely = world.next_item(part.users[row : row + 1].astype(np.int64), last)[0]
    unseen = np.setdiff1d(np.arange(len(likely)), part.full_history(row) - 1)
    expected = np.log(likely[part.targets[row] - 1] / likely[unseen].sum())
    assert known["taste"].values["masked_likelihood"][row] == pytest.approx(expected, rel=1e-12)
    assert known["taste"].top[row].tolist() == (unseen[np.argsort(-likely[unseen])][:10] + 1).tolist()


def result(rows: Mapping[str, Mapping[str, np.ndarray]]) -> SeedResult:
    found = tuple(RowResult(key, key, False, 2.0, 1.0, 0, 0, 1.0, 1.0, 1.0, 1.0, values, values) for key, values in rows.items())
    return SeedResult(0, found, Diversity(2, 0.0, 0.0, 5, 0.0, 0.0, 0.0), np.ones(300, np.int64))


@pytest.mark.parametrize("reached", [0.0, 0.25, 1.0])
def test_the_share_is_what_was_reached_of_what_there_is(
    world: World, part: SplitPart, known: Mapping[str, Measured], reached: float
) -> None:
    taste, context = (per_user(known[name], part) for name in ("taste", "context"))
    own = {name: context[name] + reached * (taste[name] - context[name]) for name in taste}
    for each in attainable(result({"own": own, "static": context}), world, part):
        assert each.share.value == pytest.approx(reached, abs=1e-6)
        # Everybody reaches the same share: nothing is left to vary.
        assert each.share.high - each.share.low == pytest.approx(0.0, abs=1e-6)
        assert each.taste.value > each.context.value


def test_the_interval_of_the_share_covers_what_users_vary_by(world: World, part: SplitPart, known: Mapping[str, Measured]) -> None:
    taste, context = (per_user(known[name], part) for name in ("taste", "context"))
    noise = np.random.default_rng(0).standard_normal(len(context["masked_ndcg10"]))
    own = {name: context[name] + 0.5 * noise.astype(np.float32) for name in taste}
    for each in attainable(result({"own": own, "static": context}), world, part):
        # 1.96 standard errors to each side, of the gain's noise alone; the bootstrap of 300 users is within a quarter of that.
        expected = 2 * 1.96 * 0.5 * noise.std() / np.sqrt(len(noise)) / (each.taste.value - each.context.value)
        assert each.share.high - each.share.low == pytest.approx(expected, rel=0.25)
