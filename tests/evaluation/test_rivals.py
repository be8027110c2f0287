"""The rivals: what each one is, what it costs, and how old a strategy is."""

from dataclasses import replace

import numpy as np
import pytest

from chordkit.backbones import Backbone, make_master
from chordkit.data import Dataset, split
from chordkit.evaluation import Models, aged, rivals, train_models
from chordkit.evaluation.rivals import phone_bytes, without_newest
from chordkit.hypernetwork import make_strategies


@pytest.fixture(scope="module")
def models(dataset: Dataset, backbone: Backbone, options, folder) -> Models:
    return train_models(dataset, options(), 0, folder, backbone=backbone)


def test_a_history_without_its_newest_items_keeps_at_least_one(questions) -> None:
    part = questions((0, [1, 2, 3, 4, 5], 6), (1, [7, 8], 9))
    assert without_newest(part, 0, 4).tolist() == [[2, 3, 4, 5], [0, 0, 7, 8]]
    assert without_newest(part, 2, 4).tolist() == [[0, 1, 2, 3], [0, 0, 0, 7]]
    assert without_newest(part, 50, 4).tolist() == [[0, 0, 0, 1], [0, 0, 0, 7]]


def test_an_aged_strategy_is_that_of_the_older_history(dataset: Dataset, models: Models) -> None:
    part = split(dataset, 6, 2, 2).test
    network, pool = models.personal.hypernetwork, models.personal.options.pools[-1]
    for age in (0, 3):
        old = aged(models, part, age)
        assert old.key == f"own_age{age}"
        assert (old.widths == make_strategies(network, without_newest(part, age, pool))).all()
    assert (aged(models, part, 3).widths != aged(models, part, 0).widths).any()


def test_every_rival_is_there_and_costs_what_it_says(dataset: Dataset, models: Models) -> None:
    part = split(dataset, 6, 2, 2).test
    found = {rival.key: rival for rival in rivals(models, part)}
    assert next(iter(found)) == "own" and set(found) == {
        "own", "other", "mean", "random", "static", "own_vector", "static_vector", "fp32_vector", "sensitivity",
        "uniform2", "uniform4", "uniform8", "fp32", "fp32_long", "duet", "start",
    }  # fmt: skip
    for key in ("own", "other", "mean", "random", "static", "own_vector", "static_vector", "sensitivity"):
        assert found[key].bits == pytest.approx(3.0, rel=0.005) and found[key].products == 1.0
        assert found["uniform2"].phone_bytes < found[key].phone_bytes < found["uniform4"].phone_bytes
    assert {key for key, rival in found.items() if rival.personal} == {
        "own", "other", "own_vector", "static_vector", "fp32_vector", "duet",
    }  # fmt: skip
    channels = models.personal.master.channel_table.channels
    assert found["own"].wire_bytes == 24 + -(-channels // 4) and found["static"].wire_bytes == 0
    assert found["static_vector"].wire_bytes == 28 + 16 == found["own_vector"].wire_bytes - found["own"].wire_bytes
    # Four pairs of int8 factors for 16 x 16 weights, a scale each.
    assert found["duet"].wire_bytes == 24 + 4 * 2 * (16 + 4) and found["duet"].phone_bytes == found["uniform8"].phone_bytes
    assert found["fp32"].backbone.config.max_length == 6 and found["fp32_long"].backbone.config.max_length == 10


def test_a_user_gets_another_users_strategy_and_never_the_own(dataset: Dataset, models: Models) -> None:
    part = split(dataset, 6, 2, 2).test
    found = {rival.key: rival for rival in rivals(models, part)}
    own, other = found["own"].widths, found["other"].widths
    assert own is not None and other is not None and (own != other).any(axis=1).mean() > 0.9
    # Rows of one user all get what one and the same other user has.
    first = np.unique(part.users, return_index=True)[1]
    assert {row.tobytes() for row in other} <= {row.tobytes() for row in own[first]}


def test_a_channel_that_is_off_costs_no_bytes_and_no_products(dataset: Dataset, models: Models) -> None:
    part = split(dataset, 6, 2, 2).test
    budget = replace(models.personal.options, average_bits=2.0, widths=(0, 8)).budget
    own = rivals(models, part, budget)[0]
    assert own.bits == pytest.approx(2.0, rel=0.005) and own.products == pytest.approx(0.25, rel=0.01)
    master = make_master(models.personal.backbone)
    table = master.channel_table
    everything, nothing = (phone_bytes(master, np.full(table.channels, width, np.uint8)) for width in (8, 0))
    # One byte a weight, and an fp32 scale a channel.
    assert everything - nothing == int(table.in_features.sum()) + 4 * table.channels
