"""Where users truly need different channels, training finds strategies that are worth having; where the profile is blind, not."""

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig, build
from chordkit.data import Dataset, split
from chordkit.evaluation import Models, measure, rivals
from chordkit.evaluation.experiment import per_user
from chordkit.hypernetwork import HypernetworkOptions, TrainedHypernetwork, diversity, train_hypernetwork
from chordkit.training import bootstrap

pytestmark = pytest.mark.long

CIRCLE = 12
LENGTH = 6


def two_peoples(seed: int, users: int = 200, length: int = 26) -> Dataset:
    """Users of two kinds walk around one circle of items, in opposite directions.

    Now and then they show a badge of their kind (items 13..16 or 17..20). What follows an item of the circle depends on
    the kind alone, so one kind's best network is the worst for the other.
    """
    random = np.random.default_rng(seed)
    sequences = []
    for user in range(users):
        kind, place, sequence = user % 2, int(random.integers(CIRCLE)), []
        for _ in range(length):
            if random.random() < 0.3:
                sequence.append(CIRCLE + 1 + 4 * kind + int(random.integers(4)))
            else:
                place = (place + (1 if kind else -1)) % CIRCLE
                sequence.append(1 + place)
        sequences.append(sequence)
    return Dataset.from_sequences("two peoples", sequences, ["", *map(str, range(1, CIRCLE + 9))])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return two_peoples(0)


@pytest.fixture(scope="module")
def models(dataset: Dataset) -> Models:
    backbone = build(SASRecConfig(items=dataset.items, max_length=LENGTH, dim=16, blocks=1, heads=2))
    settings = {
        "pools": (6,),
        "stride": 6,
        "backbone_init": "random",
        "without": (),
        "floor": 1.0,
        "warmup": 0,
        "dropout": None,
        "feature_dropout": 0.0,
        "epochs": 14,
        "patience": 14,
        "lr": 1e-2,
        "backbone_lr": 1e-2,
        "hidden": 8,
        "batch": 64,
    }

    def train(**changes: bool) -> TrainedHypernetwork:
        return train_hypernetwork(dataset, backbone, options=HypernetworkOptions(**(settings | changes)))

    personal = train()
    return Models(personal=personal, static=train(personal=False), start=personal.backbone)


@pytest.fixture(scope="module")
def gains(dataset: Dataset, models: Models) -> dict[str, float]:
    """Lower ends of the 95 % intervals of NDCG@10, own minus each rival: noise fails, and a mean above zero does not pass."""
    part = split(dataset, LENGTH, held_out=3).test
    table = models.personal.hypernetwork.table
    found = {
        each.key: per_user(measure(each.backbone, each.states(part, table), part, {}), part)["ndcg10"] for each in rivals(models, part)
    }
    return {key: bootstrap((found["own"] - values).astype(np.float64)[:, None])[0].low for key, values in found.items()}


@pytest.mark.parametrize("rival", ["other", "mean", "static", "random", "start"])
def test_own_strategy_beats(gains: dict[str, float], rival: str) -> None:
    assert gains[rival] > 0.0


def test_strategies_differ_more_between_users_than_between_moments_of_one_user(dataset: Dataset, models: Models) -> None:
    part = split(dataset, LENGTH, held_out=3).test
    first_rows = np.unique(part.users, return_index=True)[1]
    spread = diversity(models.personal.hypernetwork, part.recent(6)[first_rows])
    assert spread.between_users > spread.between_moments > 0.0
    assert spread.channel_entropy > 0.5
