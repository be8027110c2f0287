"""A small frozen head, and lessons whose targets it has drawn itself: there is nothing in them to learn."""

from collections.abc import Callable

import numpy as np
import pytest

from chordkit.coda.learning import Head, Lessons

ITEMS, DIM, SEEN = 40, 8, 6


@pytest.fixture
def head() -> Head:
    generator = np.random.default_rng(0)
    table = generator.normal(size=(ITEMS + 1, DIM)) * 0.7
    table[0] = 0
    return Head(table, generator.normal(size=ITEMS + 1) * 0.3, b"backbone", b"strategy")


def drawn(head: Head, count: int, seed: int, shift: np.ndarray | float = 0.0) -> Lessons:
    """Lessons whose targets come out of the head's own probabilities, of states moved by ``shift``."""
    generator = np.random.default_rng(seed)
    states = generator.normal(size=(count, head.dim))
    seen = generator.integers(0, head.items + 1, (count, SEEN)).astype(np.int32)
    scores = (states + shift) @ head.table.T + (0 if head.bias is None else head.bias)
    np.put_along_axis(scores, seen.astype(np.int64), -np.inf, axis=1)
    scores[:, 0] = -np.inf
    targets = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1).astype(np.int32)
    return Lessons(states, targets, seen)


@pytest.fixture
def lessons() -> Callable[..., Lessons]:
    return drawn
