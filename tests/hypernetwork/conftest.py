"""Tiny data sets and models for the tests of this folder."""

from collections.abc import Callable

import numpy as np
import pytest

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, build, initialise
from chordkit.data import Dataset, left_pad, synthesize
from chordkit.hypernetwork import HypernetworkOptions, TrainedHypernetwork, train_hypernetwork

LENGTH = 12


def make_backbone(items: int, architecture: str = "sasrec") -> Backbone:
    """A backbone of some hundred channels or less, dim 8 (Caser) or 16 (SASRec)."""
    if architecture == "caser":
        return initialise(build(CaserConfig(items=items, max_length=LENGTH, dim=8, heights=(2, 3), filters=6, vertical_filters=2)), seed=1)
    return initialise(build(SASRecConfig(items=items, max_length=LENGTH, dim=16, blocks=1, heads=2)), seed=1)


def make_options(**changes: object) -> HypernetworkOptions:
    """Options for seconds of training; the random backbone unless said otherwise."""
    settings: dict[str, object] = {"backbone_init": "random", "epochs": 2, "batch": 32, "hidden": 8, "pools": (3, 6, 12), "stride": 6}
    settings |= {"without": (), "window": 0}
    return HypernetworkOptions(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """60 users, 50 items."""
    return synthesize(3, users=60, items=50, mean_length=20.0, max_length=30)


@pytest.fixture(scope="session")
def options() -> Callable[..., HypernetworkOptions]:
    """Makes options from changes to those of seconds."""
    return make_options


@pytest.fixture
def backbone(dataset: Dataset) -> Backbone:
    """An untrained SASRec for ``dataset``."""
    return make_backbone(dataset.items)


@pytest.fixture(scope="session")
def trained(dataset: Dataset) -> TrainedHypernetwork:
    """Two epochs on ``dataset`` with a random frozen backbone."""
    return train_hypernetwork(dataset, make_backbone(dataset.items), options=make_options())


@pytest.fixture(scope="session")
def trained_caser(dataset: Dataset) -> TrainedHypernetwork:
    """The same for Caser, whose layers have unequal in_features."""
    return train_hypernetwork(dataset, make_backbone(dataset.items, "caser"), options=make_options())


@pytest.fixture(scope="session")
def histories(dataset: Dataset) -> np.ndarray:
    """The most recent items of every user, int32 [users, LENGTH]."""
    return left_pad(dataset.sequences, LENGTH)
