"""Where users truly need different channels, training finds strategies that are worth having; where the profile is blind, not."""

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig, build
from chordkit.data import Dataset, split
from chordkit.hypernetwork import Comparison, HypernetworkOptions, compare_strategies, train_hypernetwork

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
def comparison() -> Comparison:
    dataset = two_peoples(0)
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
    own = train_hypernetwork(dataset, backbone, options=HypernetworkOptions(**settings))
    static = train_hypernetwork(dataset, backbone, options=HypernetworkOptions(**settings, personal=False))
    return compare_strategies(own, split(dataset, LENGTH, held_out=3).test, static=static)


# The lower end of the 95 % interval, so that noise fails these tests and a mean above zero does not pass them.
@pytest.mark.parametrize("rival", ["other", "mean", "static", "weight_norm", "random_mix", "uniform4", "fp32"])
def test_own_strategy_beats(comparison: Comparison, rival: str) -> None:
    assert comparison.difference(rival).low > 0.0


def test_strategies_differ_more_between_users_than_between_moments_of_one_user(comparison: Comparison) -> None:
    assert comparison.diversity.between_users > comparison.diversity.between_moments > 0.0
    assert comparison.diversity.channel_entropy > 0.5
