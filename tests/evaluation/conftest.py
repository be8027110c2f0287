"""A data set and models of seconds, and a stand-in for a backbone whose hidden states are its scores."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, SASRecConfig, build, initialise
from chordkit.data import Dataset, SplitPart, synthesize
from chordkit.estimate import Estimate
from chordkit.evaluation import ExperimentOptions, RowResult, SeedResult, run_experiment
from chordkit.evaluation.summary import MEASURES
from chordkit.hypernetwork import HypernetworkOptions
from chordkit.hypernetwork.diversity import Diversity

SEEDS = (0, 1)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """40 users, 150 items."""
    return synthesize(3, users=40, items=150, mean_length=16.0, max_length=24)


@pytest.fixture(scope="session")
def backbone(dataset: Dataset) -> Backbone:
    """An untrained SASRec for ``dataset``."""
    return initialise(build(SASRecConfig(items=dataset.items, max_length=10, dim=16, blocks=1, heads=1)), seed=1)


def tiny_options(**changes: Any) -> ExperimentOptions:
    """Options for a second a model."""
    personal = HypernetworkOptions(epochs=1, batch=32, hidden=8, pools=(3, 12), stride=4, window=6)
    return ExperimentOptions(**({"personal": personal, "seeds": SEEDS, "held_out": 2, "validation": 2, "ages": (3,)} | changes))


@pytest.fixture(scope="session")
def options() -> Callable[..., ExperimentOptions]:
    return tiny_options


@pytest.fixture(scope="session")
def folder(dataset: Dataset, backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a finished experiment."""
    folder = tmp_path_factory.mktemp("experiment")
    run_experiment(dataset, tiny_options(), folder, backbone=backbone)
    return folder


@pytest.fixture(scope="session")
def results(dataset: Dataset, backbone: Backbone, folder: Any) -> list[SeedResult]:
    return run_experiment(dataset, tiny_options(), folder, backbone=backbone)


@pytest.fixture(scope="session")
def scorer() -> Callable[[int], Any]:
    """Makes a backbone of so many items whose hidden states are the scores [rows, items + 1] themselves."""
    return lambda items: SimpleNamespace(
        config=SimpleNamespace(items=items), item_embedding=torch.nn.Embedding(items + 1, items + 1), score_all=torch.clone
    )


@pytest.fixture(scope="session")
def questions() -> Callable[..., SplitPart]:
    """Makes a part of a split from (user, past items, target) rows."""

    def make(*rows: tuple[int, list[int], int], length: int = 4) -> SplitPart:
        flat = np.concatenate([np.array([*past, target], np.int32) for _, past, target in rows])
        lengths = np.array([len(past) for _, past, _ in rows])
        starts = np.cumsum(lengths + 1) - lengths - 1
        targets = np.array([target for _, _, target in rows], np.int32)
        users = np.array([user for user, _, _ in rows], np.int32)
        empty = SplitPart(np.zeros((len(rows), length), np.int32), targets, users, flat, starts, starts + lengths)
        return SplitPart(empty.recent(length), targets, users, flat, starts, starts + lengths)

    return make


def planted(values: dict[str, np.ndarray], lengths: np.ndarray | None = None, seed: int = 0) -> SeedResult:
    """A result whose rows have one value a user for every measure, on test and validation items alike."""
    users = len(next(iter(values.values())))
    rows = tuple(
        RowResult(key, key, False, 3.0, 1.0, 1000, 0, 0.5, 0.5, 1.0, 1.0, dict.fromkeys(MEASURES, each), dict.fromkeys(MEASURES, each))
        for key, each in ((key, each.astype(np.float32)) for key, each in values.items())
    )
    spread = Diversity(users, 0.4, 0.2, 5, 0.5, 1.0, 0.0)
    return SeedResult(seed, rows, spread, np.arange(users, dtype=np.int64) + 3 if lengths is None else lengths)


@pytest.fixture(scope="session")
def plant() -> Callable[..., SeedResult]:
    return planted


def contains(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


@pytest.fixture(scope="session")
def within() -> Callable[[Estimate, float], bool]:
    return contains
