"""The people and items behind the synthetic data: what everybody likes for long, what they are at just now, and so the true next item.

Items belong to interests and have Zipf popularity and traits. A user has a *taste* that lasts: weights over the interests, and a liking for
traits. The *context* passes: the interest of the last item, and items of like traits follow one another. What comes next is drawn from a
distribution that can be written down, so a model can be told how far from the truth it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FEWEST_INTERESTS, _MOST_INTERESTS = 2, 8
# Share of a user's weights that goes to all interests alike: now and then people take what they never took.
_CURIOSITY = 0.05


@dataclass(frozen=True, eq=False)
class World:
    """Items 0..items-1 and users; everything that the next item depends on.

    After an item i of interest k, user u stays with k with probability ``stay``, and else turns to an interest drawn by ``weights[u]``.
    Who stays takes item j of it in proportion to popularity[j] exp((likings[u] + mood traits[i]) . traits[j]), who turns in proportion to
    popularity[j] exp(likings[u] . traits[j]). Items that the user has had are left out; when all have been had, all come back.

    Attributes:
        popularity: float64 [items].
        interest: int64 [items], the interest of each item.
        traits: float64 [items, traits].
        weights: float64 [users, interests], each user's sum 1.
        likings: float64 [users, traits].
        stay: probability that the next item is of the same interest as the last one.
        mood: how strongly the traits of the last item draw the next one.
    """

    popularity: FloatArray
    interest: IntArray
    traits: FloatArray
    weights: FloatArray
    likings: FloatArray
    stay: float
    mood: float

    def first_item(self, users: IntArray) -> FloatArray:
        """The item of each of ``users`` when there is no context, float64 [rows, items]: where they turn to."""
        likely = self.popularity * np.exp(self.likings[users] @ self.traits.T)
        members = self.interest[:, None] == np.arange(self.weights.shape[1])
        shares = self.weights[users] / (likely @ members)
        return np.asarray(likely * shares[:, self.interest])

    def next_item(self, users: IntArray, last: IntArray) -> FloatArray:
        """The next item of each of ``users`` after the items ``last``, float64 [rows, items]; none is left out yet."""
        return self.stay * self._staying(self.likings[users], last) + (1.0 - self.stay) * self.first_item(users)

    def next_item_of_anybody(self) -> FloatArray:
        """The next item after each item when all that is known is that item, float64 [items, items].

        The mean over the users, each as likely as the item is to be theirs (Bayes' rule).
        """
        first = self.first_item(np.arange(len(self.weights)))
        owners = first / first.sum(axis=0)
        likely = (1.0 - self.stay) * (owners.T @ first)
        tilt = self.popularity * np.exp(self.likings @ self.traits.T)
        for item, near in enumerate(self.interest == self.interest[:, None]):
            staying = tilt[:, near] * np.exp(self.mood * (self.traits[near] @ self.traits[item]))
            likely[item, near] += self.stay * (owners[:, item] / staying.sum(axis=1)) @ staying
        return np.asarray(likely)

    def _staying(self, likings: FloatArray, last: IntArray) -> FloatArray:
        drawn = likings + self.mood * self.traits[last]
        likely = self.popularity * np.exp(drawn @ self.traits.T) * (self.interest == self.interest[last][:, None])
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def make_world(
    random: np.random.Generator,
    users: int,
    items: int,
    *,
    interests: int,
    zipf_exponent: float,
    stay: float,
    traits: int,
    liking: float,
    mood: float,
) -> World:
    """Draw a world; the arguments are those of :func:`chordkit.data.synthesize`."""
    # Dealt out in turn, every interest gets some popular items and some rare ones; shuffled, an item's number tells nothing about it.
    order = random.permutation(items)
    interest, popularity = np.empty(items, np.int64), np.empty(items)
    interest[order] = np.arange(items) % interests
    popularity[order] = np.arange(1, items + 1, dtype=np.float64) ** -zipf_exponent
    mass = np.bincount(interest, popularity, interests).astype(np.float64)
    attraction = mass * np.exp(0.5 * random.standard_normal(interests))
    return World(
        popularity=popularity,
        interest=interest,
        traits=random.standard_normal((items, traits)),
        weights=_weights(random, users, attraction),
        likings=liking * random.standard_normal((users, traits)),
        stay=stay,
        mood=mood,
    )


def _weights(random: np.random.Generator, users: int, attraction: FloatArray) -> FloatArray:
    """A few interests for each user, drawn without replacement in proportion to their attraction (Gumbel keys)."""
    most = min(_MOST_INTERESTS, len(attraction))
    breadth = np.minimum(_FEWEST_INTERESTS - 1 + random.geometric(0.35, users), most)
    keys = np.log(attraction) + random.gumbel(size=(users, len(attraction)))
    place = (-keys).argsort(axis=1).argsort(axis=1)
    weights = np.where(place < breadth[:, None], random.gamma(0.8, size=keys.shape) + 0.05, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((1.0 - _CURIOSITY) * weights + _CURIOSITY * attraction / attraction.sum())
