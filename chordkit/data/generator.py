"""An embedded synthetic data set: what the demo and the tests learn from, so that no data has to be fetched or shipped.

The generator is a small story about people. Items belong to interests and have Zipf popularity. A user follows a few
interests (some users one or two, some many) with weights of their own; the weights drift, and now and then an old interest
gives way to a new one. Within an interest, an item has a handful of likely successors. A model of popularity alone sees
none of this; a model that looks at the last item, or at the recent ones, sees much of it.
"""

import numpy as np

from chordkit.data.dataset import MINIMUM_LENGTH, Dataset
from chordkit.errors import DataError

_CANDIDATES = 6  # draws per step, of which the first item new to the user is taken


def synthesize(
    seed: int = 0,
    users: int = 1_500,
    items: int = 900,
    *,
    mean_length: float = 60.0,
    max_length: int = 240,
    interests: int = 0,
    zipf_exponent: float = 0.9,
    follow: float = 0.35,
    stay: float = 0.75,
    drift: float = 0.03,
    successors: int = 8,
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
        follow: mean probability that the next item is a successor of the last one (where both are of one interest); every
            user has a rate of their own.
        stay: mean probability that the next item is of the same interest as the last one; every user has a rate of their own.
        drift: probability per step that a user swaps one interest for a new one.
        successors: number of likely successors of an item.

    Raises:
        DataError: a size is too small to make a data set of, or a probability is not in 0..1.
    """
    _check(seed, users, items, mean_length, max_length, interests, successors, zipf_exponent)
    for name, value in (("follow", follow), ("stay", stay), ("drift", drift)):
        if not 0.0 <= value <= 1.0:
            raise DataError(f"synthetic data: '{name}' must lie in 0..1, not {value}")
    random = np.random.default_rng(seed)
    interests = interests or max(2, items // 60)
    catalogue = _Catalogue(random, items, interests, zipf_exponent, successors)
    lengths = _lengths(random, users, mean_length, max_length)
    slots, weights = _tastes(random, users, catalogue)
    follow_of, stay_of = _habit(random, users, follow), _habit(random, users, stay)
    steps = int(lengths.max())

    history = np.zeros((users, steps), np.int32)
    seen = np.zeros((users, items), bool)
    everyone = np.arange(users)
    slot = _choose(random, weights)
    last = np.full(users, -1)
    for step in range(steps):
        changing = np.flatnonzero(random.random(users) < drift)
        _swap_interest(random, changing, slots, weights, catalogue)
        moving = np.flatnonzero(random.random(users) >= stay_of)
        slot[moving] = _choose(random, weights[moving])
        interest = slots[everyone, slot]
        candidates = catalogue.draw(random, interest, last, follow_of)
        fresh = ~seen[everyone[:, None], candidates]
        # argmax finds the first new item; where there is none, a repeat is taken, as people do.
        last = candidates[everyone, fresh.argmax(axis=1)]
        seen[everyone, last] = True
        history[:, step] = last + 1
    kept = np.arange(steps) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Dataset(
        name="synthetic",
        flat=history[kept],
        offsets=offsets,
        item_ids=["", *map(str, range(1, items + 1))],
        user_ids=[str(user) for user in range(1, users + 1)],
        provenance={"source": "synthetic", "seed": seed, "interests": interests},
    )


def _check(
    seed: int, users: int, items: int, mean_length: float, max_length: int, interests: int, successors: int, zipf_exponent: float
) -> None:
    for name, value, least in (
        ("seed", seed, 0),
        ("users", users, 1),
        ("items", items, 4),
        ("mean_length", mean_length, MINIMUM_LENGTH),
        ("max_length", max_length, MINIMUM_LENGTH),
        ("successors", successors, 1),
        ("interests", interests, 0),
        ("zipf_exponent", zipf_exponent, 0),
    ):
        if not value >= least:
            raise DataError(f"synthetic data: '{name}' must be at least {least}, not {value}")
    if interests > items // 2:
        raise DataError(f"synthetic data: {interests} interests are too many for {items} items; at most one per two items")


def _lengths(random: np.random.Generator, users: int, mean_length: float, max_length: int) -> np.ndarray:
    spread = 0.55
    lengths = np.exp(np.log(mean_length) - spread**2 / 2 + spread * random.standard_normal(users))
    shortest = max(MINIMUM_LENGTH, min(12, int(mean_length / 3)))
    return np.clip(np.rint(lengths), min(shortest, max_length), max_length).astype(np.int64)


class _Catalogue:
    """Items 0..items-1, numbered by interest, with popularity and successors."""

    def __init__(self, random: np.random.Generator, items: int, interests: int, exponent: float, successors: int) -> None:
        popularity = np.arange(1, items + 1, dtype=np.float64) ** -exponent
        # Ids are shuffled, so that neither an id's size nor its neighbourhood tells anything about the item.
        self.item = random.permutation(items)
        # Dealing ranks out in turn gives every interest some popular items and some rare ones.
        interest_of_place = np.sort(np.arange(items) % interests)
        rank_of_place = np.argsort(np.arange(items) % interests, kind="stable")
        self.place = np.argsort(self.item)
        self.interest_of_place = interest_of_place
        mass = np.concatenate([[0.0], np.cumsum(popularity[rank_of_place])])
        bounds = np.searchsorted(interest_of_place, np.arange(interests + 1))
        self.mass, self.low, self.high = mass, mass[bounds[:-1]], mass[bounds[1:]]
        self.first, self.last = bounds[:-1], bounds[1:] - 1
        self.interests = interests
        self.attraction = (self.high - self.low) * np.exp(0.5 * random.standard_normal(interests))
        # Successors are drawn evenly, not by popularity: following them is what popularity cannot predict.
        span = (self.last - self.first + 1)[interest_of_place][:, None]
        offset = 1 + (random.random((items, successors)) * (span - 1)).astype(np.int64)
        within = np.arange(items)[:, None] - self.first[interest_of_place][:, None]
        self.successors = self.first[interest_of_place][:, None] + (within + offset) % span

    def draw(self, random: np.random.Generator, interest: np.ndarray, last: np.ndarray, follow: np.ndarray) -> np.ndarray:
        """int64 [users, candidates]: items of each user's interest, some of them successors of the user's last item."""
        users = len(interest)
        share = random.random((users, _CANDIDATES))
        low, high = self.low[interest][:, None], self.high[interest][:, None]
        places = np.searchsorted(self.mass, low + share * (high - low), side="right") - 1
        places = np.clip(places, self.first[interest][:, None], self.last[interest][:, None])
        last_place = self.place[np.maximum(last, 0)]
        follows = (random.random(users) < follow) & (last >= 0) & (self.interest_of_place[last_place] == interest)
        # Early successors are likelier: a geometric choice over the list.
        count = self.successors.shape[1]
        choice = np.minimum(random.geometric(0.4, (users, _CANDIDATES)) - 1, count - 1)
        following = self.successors[last_place[:, None], choice]
        return self.item[np.where(follows[:, None], following, places)]


def _tastes(random: np.random.Generator, users: int, catalogue: _Catalogue) -> tuple[np.ndarray, np.ndarray]:
    """int64 [users, slots] interests and float [users, slots] weights; how many weights are not 0 is the user's breadth."""
    most = min(8, catalogue.interests)
    breadth = np.minimum(1 + random.geometric(0.35, users), most)
    # Gumbel keys draw without replacement, in proportion to attraction.
    keys = np.log(catalogue.attraction) + random.gumbel(size=(users, catalogue.interests))
    slots = np.argsort(-keys, axis=1)[:, :most].copy()
    weights = random.gamma(0.8, size=(users, most)) + 0.05
    weights[np.arange(most) >= breadth[:, None]] = 0.0
    return slots, weights


def _habit(random: np.random.Generator, users: int, mean: float) -> np.ndarray:
    """float [users]: a rate in 0..1 per user, Beta distributed around ``mean``."""
    concentration = 6.0
    if mean in (0.0, 1.0):
        return np.full(users, mean)
    return random.beta(concentration * mean, concentration * (1.0 - mean), users)


def _choose(random: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """int64 [rows]: a column of every row, drawn in proportion to the weights."""
    cumulative = np.cumsum(weights, axis=1)
    return (cumulative <= random.random(len(weights))[:, None] * cumulative[:, -1:]).sum(axis=1).clip(max=weights.shape[1] - 1)


def _swap_interest(
    random: np.random.Generator, changing: np.ndarray, slots: np.ndarray, weights: np.ndarray, catalogue: _Catalogue
) -> None:
    """Give one interest of every changing user's up for another, with a new weight; in place."""
    if not len(changing):
        return
    slot = _choose(random, (weights[changing] > 0).astype(np.float64))
    share = np.cumsum(catalogue.attraction)
    new = np.searchsorted(share, random.random(len(changing)) * share[-1], side="right").clip(max=catalogue.interests - 1)
    unknown = ~(slots[changing] == new[:, None]).any(axis=1)
    slots[changing[unknown], slot[unknown]] = new[unknown]
    weights[changing, slot] = random.gamma(0.8, size=len(changing)) + 0.05
