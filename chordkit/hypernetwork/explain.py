"""Why a user has this strategy: what stands out against other users, which of the user's items drive it, and who has nearly the same."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import InputError
from chordkit.hypernetwork.inference import make_importance, make_strategies
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.selection import Widths
from chordkit.quantization import ChannelTable
from chordkit.strategy import TOLERANCE, Budget, average_bits

SAMPLE = 4096
"""Users that a strategy is held against, at most: shares are then known to 1.6 % (two standard errors at one half)."""


@dataclass(frozen=True)
class Population:
    """The strategies of other users, which one user's strategy is held against.

    Attributes:
        users: int64 [others], which user of the data set each row belongs to.
        widths: uint8 [others, channels].
        importance: float32 [others, channels].
    """

    users: NDArray[np.int64]
    widths: Widths
    importance: NDArray[np.float32]

    def deviations(self, importance: NDArray[np.float32]) -> NDArray[np.float64]:
        """``importance`` [..., channels] minus the mean, in standard deviations; 0 for a channel that is as important for everybody."""
        spread = self.importance.std(axis=0, dtype=np.float64)
        away = importance - self.importance.mean(axis=0, dtype=np.float64)
        # Among equal values the mean is rounded, and the spread is that rounding.
        varies = spread > 1e-5 * np.abs(self.importance).max(axis=0)
        return np.divide(away, spread, out=np.zeros_like(away), where=varies)


@dataclass(frozen=True)
class LayerStanding:
    """One layer of a strategy beside the same layer of other users.

    Attributes:
        name: of the layer.
        channels: of the layer.
        bits: average width in this strategy.
        others_bits: mean over the other users.
        deviation: ``bits - others_bits`` in standard deviations over the other users; 0 when all of them have the same.
        lit: channels that the user's interests light up; see :class:`LitChannel`.
    """

    name: str
    channels: int
    bits: float
    others_bits: float
    deviation: float
    lit: int


@dataclass(frozen=True)
class LitChannel:
    """A channel that this user's interests light up: wider, and more important, than other users have it on average.

    Attributes:
        layer: name of its layer.
        channel: its place in the layer, from 0.
        width: bits in this strategy.
        others_width: mean over the other users.
        share: of the other users who get at least this width.
        deviation: its importance for this user, in standard deviations over the other users.
        driver: the item without which the channel loses most importance; None when no item's absence makes it lose any.
    """

    layer: str
    channel: int
    width: int
    others_width: float
    share: float
    deviation: float
    driver: int | None


@dataclass(frozen=True)
class DrivingItem:
    """What the strategy owes to one item of the profile: the cloud's answer to the same history without it.

    Attributes:
        item: index in the catalogue.
        place: of its latest occurrence, 1 = the newest item of the history.
        occurrences: in the profile's history; all are left out together.
        changed: channels whose width is another without it.
        dimmed: lit channels among those that lose bits without it.
        shift: root mean square change of all importances without it, in standard deviations over the other users.
    """

    item: int
    place: int
    occurrences: int
    changed: int
    dimmed: int
    shift: float


@dataclass(frozen=True)
class Neighbour:
    """Another user of the data set, and the share of channels whose width differs (Hamming distance)."""

    user: int
    distance: float


@dataclass(frozen=True)
class Explanation:
    """Why a user has this strategy.

    Attributes:
        others: other users it was held against.
        outdated: channels whose width is another in the strategy that the history gives now; 0 = the strategy is up to date.
        layers: most above the other users first.
        channels: all that are lit, the rarest width first.
        items: of the profile, the one whose absence changes most channels first.
        neighbours: all other users, the nearest first.
        median_distance: to the other users.
        others_width: float64 [channels], the mean width over the other users.
    """

    others: int
    outdated: int
    layers: tuple[LayerStanding, ...]
    channels: tuple[LitChannel, ...]
    items: tuple[DrivingItem, ...]
    neighbours: tuple[Neighbour, ...]
    median_distance: float
    others_width: NDArray[np.float64]

    def to_json(self, item_ids: Sequence[str], user_ids: Sequence[str], top: int) -> dict[str, Any]:
        """Plain dictionary: all layers, the first ``top`` of each other list, with the data set's own ids."""
        channels = [
            asdict(channel) | {"driver": None if channel.driver is None else item_ids[channel.driver]} for channel in self.channels[:top]
        ]
        return {
            "others": self.others,
            "outdated": self.outdated,
            "layers": [asdict(layer) for layer in self.layers],
            "lit": len(self.channels),
            "channels": channels,
            "items": [asdict(item) | {"item": item_ids[item.item]} for item in self.items[:top]],
            "neighbours": [{"user": user_ids[each.user], "distance": each.distance} for each in self.neighbours[:top]],
            "median_distance": self.median_distance,
        }


def sample_users(users: int, without: int | None = None, *, most: int = SAMPLE, seed: int = 0) -> NDArray[np.int64]:
    """Indices, ascending, of the users to hold a strategy against: all but ``without``, or ``most`` of them drawn with ``seed``.

    Raises:
        InputError: fewer than two are left.
    """
    others = np.delete(np.arange(users, dtype=np.int64), [] if without is None else [without])
    if len(others) < 2:
        raise InputError(f"other users' strategies: there must be at least two other users, not {len(others)}: use more data")
    if len(others) <= most:
        return others
    return np.sort(np.random.default_rng(seed).choice(others, most, replace=False))


def make_population(
    hypernetwork: Hypernetwork, users: NDArray[np.int64], histories: NDArray[np.int32], budget: Budget | None = None
) -> Population:
    """The strategies that ``users`` int64 [others] with ``histories`` int32 [others, length] get within ``budget``."""
    return Population(users, make_strategies(hypernetwork, histories, budget), make_importance(hypernetwork, histories))


def explain_strategy(
    hypernetwork: Hypernetwork, widths: Widths, history: NDArray[np.int32], population: Population, budget: Budget | None = None
) -> Explanation:
    """Say why a user has the strategy ``widths``.

    Widths are those of the strategy as it is, perhaps made some time ago; importances, and what items do, come from ``history``.

    Args:
        hypernetwork: that made the strategy.
        widths: uint8 [channels].
        history: int32 [length], oldest first, perhaps left-padded with 0; the last ``pools[-1]`` items count.
        population: other users, without this one.
        budget: that the strategy and the population were made within; None = the one trained for.

    Raises:
        InputError: the strategy spends other bits than ``budget`` gives this user, so that nobody can be compared.
    """
    table = hypernetwork.table
    alone = np.asarray(history, np.int32)[None]
    now = make_strategies(hypernetwork, alone, budget)[0]
    _require_same_budget(average_bits(widths, table), average_bits(now, table))
    deviation = population.deviations(make_importance(hypernetwork, alone)[0])
    lit = (widths > population.widths.mean(axis=0)) & (deviation > 0)
    omitted, losses, items = _leave_each_out(hypernetwork, history, population, lit, budget)
    distance = (population.widths != widths).mean(axis=1)
    nearest = np.argsort(distance, kind="stable")
    return Explanation(
        others=len(population.users),
        outdated=int((widths != now).sum()),
        layers=_layers(table, widths, population, lit),
        channels=_lit_channels(table, widths, population, deviation, lit, omitted, losses),
        items=items,
        neighbours=tuple(Neighbour(int(population.users[row]), float(distance[row])) for row in nearest),
        median_distance=float(np.median(distance)),
        others_width=population.widths.mean(axis=0),
    )


def _require_same_budget(bits: float, expected: float) -> None:
    # Each of the two may miss the budget by the tolerance.
    if abs(bits - expected) > 2 * TOLERANCE * expected:
        raise InputError(
            f"budget: this strategy spends {bits:.2f} bits a weight, those it is held against {expected:.2f}: "
            "give the budget that it was made with"
        )


def _layers(table: ChannelTable, widths: Widths, population: Population, lit: NDArray[np.bool_]) -> tuple[LayerStanding, ...]:
    found = []
    for layer in table.layers:
        part = table.layer_slice(layer.name)
        others = population.widths[:, part].mean(axis=1)
        bits, mean, spread = float(widths[part].mean()), float(others.mean()), float(others.std())
        deviation = (bits - mean) / spread if spread > 0 else 0.0
        found.append(LayerStanding(layer.name, layer.out_channels, bits, mean, deviation, int(lit[part].sum())))
    return tuple(sorted(found, key=lambda layer: layer.others_bits - layer.bits))


def _lit_channels(
    table: ChannelTable,
    widths: Widths,
    population: Population,
    deviation: NDArray[np.float64],
    lit: NDArray[np.bool_],
    omitted: NDArray[np.int32],
    losses: NDArray[np.float64],
) -> tuple[LitChannel, ...]:
    share = (population.widths >= widths).mean(axis=0)
    mean = population.widths.mean(axis=0)
    found = []
    for layer in table.layers:
        for channel in range(layer.out_channels):
            index = layer.offset + channel
            if lit[index]:
                driver = int(omitted[losses[:, index].argmax()]) if losses[:, index].max(initial=0.0) > 0 else None
                found.append(
                    LitChannel(
                        layer.name, channel, int(widths[index]), float(mean[index]), float(share[index]), float(deviation[index]), driver
                    )
                )
    return tuple(sorted(found, key=lambda each: (each.share, -each.deviation)))


def _leave_each_out(
    hypernetwork: Hypernetwork, history: NDArray[np.int32], population: Population, lit: NDArray[np.bool_], budget: Budget | None
) -> tuple[NDArray[np.int32], NDArray[np.float64], tuple[DrivingItem, ...]]:
    """The profile's items, what every channel loses without each (float64 [items, channels]), and the items ranked.

    A left-out item closes the gap, as if it had never been; older items than the profile's do not move in, for
    what they bring would be taken for what the item did.
    """
    length = hypernetwork.options.pools[-1]
    recent = history[-length:]
    recent = recent[recent != 0]
    items = np.unique(recent)
    rows = np.zeros((1 + len(items), length), np.int32)
    for row, kept in zip(rows, [recent, *(recent[recent != item] for item in items)], strict=True):
        row[length - len(kept) :] = kept
    # One batch, the whole history included: rounding differs from batch to batch and could pass for an item's doing.
    importance = population.deviations(make_importance(hypernetwork, rows))
    widths = make_strategies(hypernetwork, rows, budget)
    losses = importance[0] - importance[1:]
    found = [
        DrivingItem(
            item=int(item),
            place=int(len(recent) - np.flatnonzero(recent == item)[-1]),
            occurrences=int((recent == item).sum()),
            changed=int((without != widths[0]).sum()),
            dimmed=int((lit & (without < widths[0])).sum()),
            shift=float(np.sqrt(np.square(loss).mean())),
        )
        for item, without, loss in zip(items, widths[1:], losses, strict=True)
    ]
    return items, losses, tuple(sorted(found, key=lambda each: (-each.changed, -each.shift)))
