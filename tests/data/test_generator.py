"""The synthetic data are worth learning from: order matters, users differ, popularity has a long tail; and the truth is what is drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chordkit.data import Dataset, Split, World, split, synthesize, world_behind
from chordkit.errors import DataError


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthesize(0)


@pytest.fixture(scope="module")
def parts(dataset: Dataset) -> Split:
    return split(dataset)


def popularity(parts: Split) -> np.ndarray:
    return np.bincount(np.concatenate(parts.train), minlength=parts.items + 1).astype(np.float64)


def hit_rate(scores: np.ndarray, targets: np.ndarray) -> float:
    """HR@10 of scores [rows, items + 1] over the whole catalogue, ties against us."""
    scores = scores[:, 1:]
    own = scores[np.arange(len(targets)), targets - 1]
    return float(((scores >= own[:, None]).sum(axis=1) <= 10).mean())


def markov(parts: Split, popular: np.ndarray) -> np.ndarray:
    counts = np.zeros((parts.items + 1, parts.items + 1))
    for sequence in parts.train:
        np.add.at(counts, (sequence[:-1], sequence[1:]), 1)
    # Popularity breaks the ties of transitions never seen.
    return counts[parts.test.histories[:, -1]] + popular / popular.sum()


def margin(first: float, second: float, rows: int) -> float:
    """Five standard errors of a difference of two proportions (the two are measured on the same users, which only helps)."""
    return 5 * float(np.sqrt((first * (1 - first) + second * (1 - second)) / rows))


def test_the_last_item_tells_far_more_than_popularity(parts: Split) -> None:
    popular = popularity(parts)
    by_popularity = hit_rate(np.tile(popular, (len(parts.test), 1)), parts.test.targets)
    by_last_item = hit_rate(markov(parts, popular), parts.test.targets)
    assert by_last_item > by_popularity + margin(by_last_item, by_popularity, len(parts.test))
    # Clearly, not only significantly; and there is something left for a model to gain.
    assert by_last_item > 3 * by_popularity
    assert by_last_item < 0.6


def test_without_order_the_last_item_tells_little(dataset: Dataset) -> None:
    """The test above would fail on data without sequential structure: the same data, every user's events shuffled together."""
    random = np.random.default_rng(0)
    sequences = np.split(random.permutation(dataset.flat), dataset.offsets[1:-1])
    shuffled = split(Dataset.from_sequences("shuffled", sequences, dataset.item_ids))
    popular = popularity(shuffled)
    by_popularity = hit_rate(np.tile(popular, (len(shuffled.test), 1)), shuffled.test.targets)
    by_last_item = hit_rate(markov(shuffled, popular), shuffled.test.targets)
    assert by_last_item < by_popularity + margin(by_last_item, by_popularity, len(shuffled.test))


def neighbourhoods(dataset: Dataset, groups: int = 20) -> np.ndarray:
    """int [items + 1]: a coarse kind of item, found from the data alone: which of the most popular items follows it most."""
    counts = np.zeros((dataset.items + 1, dataset.items + 1))
    for sequence in dataset.sequences:
        for lag in (1, 2, 3):
            np.add.at(counts, (sequence[:-lag], sequence[lag:]), 1)
    both = counts + counts.T
    seeds = np.argsort(-np.bincount(dataset.flat, minlength=dataset.items + 1))[:groups]
    # Lift, not count: else all items would go to the most popular seed.
    return (both[:, seeds] / (both[:, seeds].sum(axis=0) + 1)).argmax(axis=1)


def test_users_differ_more_than_the_halves_of_one_user(dataset: Dataset) -> None:
    kinds = neighbourhoods(dataset)
    long = [sequence for sequence in dataset.sequences if len(sequence) >= 60]

    def histogram(items: np.ndarray) -> np.ndarray:
        return np.bincount(kinds[items], minlength=20) / len(items)

    # Alternate items make the halves, so that drift and order are equal in both; lengths are cut to be equal too.
    halves = np.array([[histogram(sequence[0:60:2]), histogram(sequence[1:60:2])] for sequence in long])
    within = np.abs(halves[:, 0] - halves[:, 1]).sum(axis=1) / 2
    between = np.abs(halves[:, 0] - np.roll(halves[:, 1], 1, axis=0)).sum(axis=1) / 2
    difference = between - within
    assert difference.mean() > 5 * difference.std() / np.sqrt(len(long))
    assert between.mean() > 1.5 * within.mean()


def test_popularity_has_a_long_tail(dataset: Dataset) -> None:
    counts = np.sort(np.bincount(dataset.flat, minlength=dataset.items + 1)[1:])[::-1]
    assert counts[: dataset.items // 10].sum() > 0.3 * dataset.interactions
    assert counts[-1] > 0


def test_default_size_suits_a_demo_on_two_cores(dataset: Dataset) -> None:
    assert 800 <= dataset.items <= 1_500 and 1_200 <= dataset.users <= 3_000
    assert 50 < dataset.lengths.mean() < 70 and dataset.lengths.min() >= 12


def test_same_seed_same_bytes_other_seed_other_data(dataset: Dataset) -> None:
    assert synthesize(0).fingerprint == dataset.fingerprint
    assert synthesize(1).fingerprint != dataset.fingerprint


@pytest.mark.parametrize(("users", "items"), [(1, 4), (3, 7), (40, 30), (5, 2_000)])
def test_small_and_odd_sizes_work(users: int, items: int) -> None:
    dataset = synthesize(2, users=users, items=items, mean_length=8)
    assert (dataset.users, dataset.items) == (users, items)


IMPOSSIBLE = [
    {"seed": -1},
    {"users": 0},
    {"items": 3},
    {"stay": 1.0},
    {"mood": -0.1},
    {"stay": float("nan")},
    {"mean_length": 2},
    {"interests": 6, "items": 10},
]


@pytest.mark.parametrize("arguments", IMPOSSIBLE, ids=lambda arguments: next(iter(arguments)))
def test_impossible_arguments_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(arguments))):
        synthesize(**arguments)  # type: ignore[arg-type]


def surprise(dataset: Dataset, world: World) -> tuple[float, np.ndarray]:
    """How far the drawn items are from what ``world`` states, in standard errors: their likelihood, and how often each item occurs.

    With p the stated distribution of a step, log p(drawn) + H(p) and 1[drawn = j] - p(j) have mean 0 whatever came before, and their
    variances add up over the steps.
    """
    off, variance = 0.0, 0.0
    items_off, items_variance = np.zeros(dataset.items), np.zeros(dataset.items)
    for user, sequence in enumerate(dataset.sequences):
        drawn = sequence.astype(np.int64) - 1
        likely = np.vstack([world.first_item(np.array([user])), world.next_item(np.full(len(drawn) - 1, user), drawn[:-1])])
        for step in range(1, len(drawn)):
            likely[step, drawn[step // dataset.items * dataset.items : step]] = 0.0
        likely /= likely.sum(axis=1, keepdims=True)
        logs = np.log(likely, where=likely > 0, out=np.zeros_like(likely))
        entropy = -(likely * logs).sum(axis=1)
        off += (np.log(likely[np.arange(len(drawn)), drawn]) + entropy).sum()
        variance += ((likely * logs**2).sum(axis=1) - entropy**2).sum()
        items_off += np.bincount(drawn, minlength=dataset.items) - likely.sum(axis=0)
        items_variance += (likely * (1.0 - likely)).sum(axis=0)
    return off / np.sqrt(variance), items_off / np.sqrt(items_variance)


@pytest.fixture(scope="module")
def small() -> Dataset:
    return synthesize(1, users=300, items=60, mean_length=30, max_length=80)


def test_what_is_stated_is_what_is_drawn(small: Dataset) -> None:
    """Five standard errors: of 61 normal variables one is farther out once in 29,000 runs."""
    world = world_behind(small)
    assert world is not None
    likelihood, items = surprise(small, world)
    assert abs(likelihood) < 5 and np.abs(items).max() < 5


@pytest.mark.parametrize("part", ["likings", "weights", "mood", "stay"])
def test_another_world_would_be_told_apart(small: Dataset, part: str) -> None:
    """Taste truly matters, and so does context: with another user's, or without it, the drawn items are a surprise."""
    world = world_behind(small)
    assert world is not None
    value = getattr(world, part)
    wrong = replace(world, **{part: 0.0 if isinstance(value, float) else np.roll(value, 1, axis=0)})
    assert surprise(small, wrong)[0] < -5


def test_without_the_user_it_is_the_mean_over_those_whose_item_it_may_be(small: Dataset) -> None:
    world = world_behind(small)
    assert world is not None
    users = np.arange(small.users)
    first = world.first_item(users)
    anybody = world.next_item_of_anybody()
    for item in (0, 17, 59):
        owners = first[:, item] / first[:, item].sum()
        np.testing.assert_allclose(anybody[item], owners @ world.next_item(users, np.full(small.users, item)), rtol=1e-12)
    np.testing.assert_allclose(anybody.sum(axis=1), 1.0, rtol=1e-12)


def test_the_world_is_found_behind_a_file_and_behind_nothing_else(small: Dataset, tmp_path: Path) -> None:
    small.save(tmp_path / "small.safetensors")
    loaded = Dataset.load(tmp_path / "small.safetensors")
    assert world_behind(loaded) is not None
    fewer = Dataset.from_sequences("fewer", small.sequences[1:], small.item_ids, provenance=small.provenance)
    assert world_behind(fewer) is None
    assert world_behind(Dataset.from_sequences("other", small.sequences, small.item_ids)) is None
    for change in ({"seed": 2}, {"arguments": {"users": 300, "items": 60}}, {"arguments": None}, {"seed": "1"}):
        changed = replace(small, provenance={**small.provenance, **change})
        assert world_behind(changed) is None
