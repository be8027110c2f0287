"""A data set that trains in a second: every item has one successor, with noise."""

import numpy as np
import pytest

from chordkit.data import Dataset


def chain(seed: int, users: int = 60, items: int = 24) -> Dataset:
    generator = np.random.default_rng(seed)
    sequences = []
    for _ in range(users):
        steps = np.where(generator.random(generator.integers(6, 24)) < 0.85, 1, generator.integers(1, items))
        sequences.append((generator.integers(items) + np.cumsum(steps)) % items + 1)
    return Dataset.from_sequences(f"chain-{seed}", sequences, item_ids=["", *map(str, range(1, items + 1))])


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return chain(0)


@pytest.fixture(scope="session")
def other_dataset() -> Dataset:
    return chain(1)
