"""An embedded synthetic data set: what the demo and the tests learn from, so that no data has to be fetched or shipped.

Its users have a long-term taste and a short-term context (:mod:`chordkit.data.world`). A model of popularity sees neither, one that
looks at the last items sees the context and a little of the taste; how much a personal model can add to that is known.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chordkit.data.dataset import MINIMUM_LENGTH, Dataset
from chordkit.data.world import World, make_world
from chordkit.errors import DataError


def synthesize(
    seed: int = 0,
    users: int = 1_500,
    items: int = 900,
    *,
    mean_length: float = 60.0,
    max_length: int = 240,
    interests: int = 0,
    zipf_exponent: float = 0.9,
    stay: float = 0.7,
    traits: int = 4,
    liking: float = 0.7,
    mood: float = 0.5,
) -> Dataset:
    """Generate a seeded data set; the same arguments give the same bytes.

    Args:
        seed: of numpy's PCG64.
        users: number of users.
        items: size of the catalogue; with very few interactions an unpopular item may never occur.
        mean_length: mean number of interactions per user (log-normal, at least 12 where ``mean_length`` allows).
        max_length: upper bound of a user's interactions.
        interests: number of latent interests; 0 chooses about one per 60 items.
        zipf_exponent: popularity of the item of rank r is proportional to ``r ** -zipf_exponent``.
        stay: probability that the next item is of the same interest as the last one, below 1.
        traits: how many traits describe an item.
        liking: standard deviation of a user's liking for a trait; 0 = within an interest all users like the same.
        mood: how strongly the traits of the last item draw the next one; 0 = of the last item only its interest counts.

    Raises:
        DataError: a size is too small to make a data set of, or a probability is not in 0..1.
    """
    arguments = {
        "users": users,
        "items": items,
        "mean_length": mean_length,
        "max_length": max_length,
        "interests": interests,
        "zipf_exponent": zipf_exponent,
        "stay": stay,
        "traits": traits,
        "liking": liking,
        "mood": mood,
    }
    return _generate(seed, arguments)[0]


def world_behind(dataset: Dataset) -> World | None:
    """The world that a synthetic data set was drawn from; None for other data, and for data that is no longer as it was drawn."""
    arguments = dataset.provenance.get("arguments")
    if dataset.provenance.get("source") != "synthetic" or not isinstance(arguments, dict):
        return None
    if (arguments.get("users"), arguments.get("items")) != (dataset.users, dataset.items):
        return None
    try:
        again, world = _generate(dataset.provenance["seed"], arguments)
    except (DataError, KeyError, TypeError):
        return None  # arguments of another version, or of nobody
    return world if again.fingerprint == dataset.fingerprint else None


def _generate(seed: int, arguments: dict[str, Any]) -> tuple[Dataset, World]:
    _check({"seed": seed, **arguments})
    sizes = dict(arguments)
    users, items = sizes["users"], sizes["items"]
    mean_length, max_length = sizes.pop("mean_length"), sizes.pop("max_length")
    sizes["interests"] = sizes["interests"] or max(2, items // 60)
    random = np.random.default_rng(seed)
    world = make_world(random, **sizes)
    lengths = _lengths(random, users, mean_length, max_length)
    history = _walk(random, world, lengths)
    dataset = Dataset(
        name="synthetic",
        flat=(history[np.arange(history.shape[1]) < lengths[:, None]] + 1).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        item_ids=["", *map(str, range(1, items + 1))],
        user_ids=[str(user) for user in range(1, users + 1)],
        provenance={"source": "synthetic", "seed": seed, "arguments": arguments},
        item_categories=["", *(f"interest {interest + 1}" for interest in world.interest)],
    )
    return dataset, world


def _check(arguments: dict[str, Any]) -> None:
    least = {
        "seed": 0,
        "users": 1,
        "items": 4,
        "mean_length": MINIMUM_LENGTH,
        "max_length": MINIMUM_LENGTH,
        "interests": 0,
        "zipf_exponent": 0,
        "traits": 0,
        "liking": 0,
        "mood": 0,
    }
    for name, low in least.items():
        if not arguments[name] >= low:
            raise DataError(f"synthetic data: '{name}' must be at least {low}, not {arguments[name]}")
    # At 1 a user whose interest is used up would have nowhere to go.
    if not 0.0 <= arguments["stay"] < 1.0:
        raise DataError(f"synthetic data: 'stay' must be at least 0 and less than 1, not {arguments['stay']}")
    if arguments["interests"] > arguments["items"] // 2:
        raise DataError(
            f"synthetic data: {arguments['interests']} interests are too many for {arguments['items']} items; at most one per two items"
        )


def _lengths(random: np.random.Generator, users: int, mean_length: float, max_length: int) -> NDArray[np.int64]:
    spread = 0.55
    lengths = np.exp(np.log(mean_length) - spread**2 / 2 + spread * random.standard_normal(users))
    shortest = max(MINIMUM_LENGTH, min(12, int(mean_length / 3)))
    return np.clip(np.rint(lengths), min(shortest, max_length), max_length).astype(np.int64)


def _walk(random: np.random.Generator, world: World, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Items int64 [users, longest], each drawn as :class:`World` says; what lies behind a user's length is 0."""
    users, items = len(lengths), len(world.popularity)
    history = np.zeros((users, int(lengths.max())), np.int64)
    history[:, 0] = _choose(random, world.first_item(np.arange(users)))
    had = np.zeros((users, items), bool)
    for step in range(1, history.shape[1]):
        had[np.arange(users), history[:, step - 1]] = True
        if step % items == 0:
            had[:] = False
        left = np.flatnonzero(lengths > step)
        likely = world.next_item(left, history[left, step - 1])
        likely[had[left]] = 0.0
        history[left, step] = _choose(random, likely)
    return history


def _choose(random: np.random.Generator, likely: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 [rows]: a column of every row, drawn in proportion to its value."""
    cumulative = np.cumsum(likely, axis=1)
    return np.asarray((cumulative <= random.random(len(likely))[:, None] * cumulative[:, -1:]).sum(axis=1).clip(max=likely.shape[1] - 1))
