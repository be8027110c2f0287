"""From importance to widths: the channels that matter most get 8 bits, the next 4, the rest 2 (CHORD, stage 4)."""

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable
from chordkit.strategy.budget import TOLERANCE, Budget

# How far the number of int8 channels may move from its share to hit the budget where layers have different in_features.
_NEIGHBOURHOOD = 64


def default_shares(average_bits: float, allow_off: bool = False) -> tuple[float, float, float, float]:
    """Shares of the weights at (0, 2, 4, 8) bits that give ``average_bits``.

    int8 : int4 = 3 : 4 (close to the 15 : 20 that learned best, see docs/hypernetwork.md), the rest int2, or half of it off;
    from 5.7 bits on int4 and int8 alone.
    """
    if average_bits > 4 + 12 / 7:
        eight = (average_bits - 4) / 4
        return 0.0, 0.0, 1 - eight, eight
    if not allow_off:
        unit = (average_bits - 2) / 26
        return 0.0, 1 - 7 * unit, 4 * unit, 3 * unit
    if average_bits < 1:
        return 1 - average_bits / 2, average_bits / 2, 0.0, 0.0
    unit = (average_bits - 1) / 33
    return (1 - 7 * unit) / 2, (1 - 7 * unit) / 2, 4 * unit, 3 * unit


def _shares(budget: Budget, allow_off: bool) -> tuple[float, float, float, float]:
    if not allow_off and budget.average_bits < 2:
        raise StrategyError(f"budget: {budget.average_bits} average bits need channels that are off; allow them, or ask for 2 to 8")
    if budget.shares is None:
        return default_shares(budget.average_bits, allow_off)
    two, four, eight = budget.shares
    if abs(2 * two + 4 * four + 8 * eight - budget.average_bits) > TOLERANCE * budget.average_bits:
        raise StrategyError(
            f"budget: shares {budget.shares} give {2 * two + 4 * four + 8 * eight:.3f} average bits, not the {budget.average_bits} asked for"
        )
    return 0.0, two, four, eight


def _by_threshold(importance: np.ndarray, counts: tuple[int, int, int]) -> np.ndarray | None:
    """Widths by partition instead of sorting; None when ties make the cut ambiguous for a user."""
    users, channels = importance.shape
    widths = np.zeros((users, channels), np.uint8)
    cuts = sorted({channels - count for count in counts if 0 < count < channels})
    ordered = np.partition(importance, cuts, axis=1) if cuts else importance
    for count, step in zip(counts, (4, 2, 2), strict=True):
        if count == channels:
            widths += np.uint8(step)
        elif count:
            chosen = importance >= ordered[:, channels - count, None]
            if int(chosen.sum()) != count * users:
                return None
            widths += chosen.view(np.uint8) * np.uint8(step)
    return widths


def _by_rank(importance: np.ndarray, features: np.ndarray, shares: tuple[float, float, float, float], bits: float) -> np.ndarray:
    """Widths by cumulated weights in order of importance; ties go to the lower channel index."""
    order = np.argsort(-importance, axis=1, kind="stable")
    total = float(features.sum())
    cumulated = np.concatenate([np.zeros((len(order), 1)), np.cumsum(features[order], axis=1, dtype=np.float64)], axis=1)
    rows = np.arange(len(order))

    def channels_within(weight: np.ndarray | float) -> np.ndarray:
        return (cumulated <= np.asarray(weight).reshape(-1, 1) + 1e-6 * total).sum(1) - 1

    off, _, _, eight = shares
    at_least_two = channels_within(total * (1 - off)) if off else np.full(len(order), features.size)
    target = bits * total
    best_eight, best_four = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    best_miss = np.full(len(order), np.inf)
    first_eight = channels_within(total * eight)
    for distance in range(_NEIGHBOURHOOD + 1):
        for candidate in {-distance, distance}:
            count_eight = np.clip(first_eight + candidate, 0, at_least_two)
            spent = 4 * cumulated[rows, count_eight] + 2 * cumulated[rows, at_least_two]
            count_four = np.clip(channels_within((target - spent) / 2), count_eight, at_least_two)
            miss = target - spent - 2 * cumulated[rows, count_four]
            # Above the budget is never better than below it: what a phone was promised is a bound.
            miss = np.where(miss < -1e-6 * total, 8 * total - miss, miss)
            better = miss < best_miss - 1e-6 * total
            best_miss[better], best_eight[better], best_four[better] = miss[better], count_eight[better], count_four[better]
        if (best_miss <= TOLERANCE / 2 * target + 1e-6 * total).all():
            break
    rank = np.arange(features.size)
    ranked = 2 * (rank < at_least_two[:, None]) + 2 * (rank < best_four[:, None]) + 4 * (rank < best_eight[:, None])
    widths = np.empty_like(order, dtype=np.uint8)
    np.put_along_axis(widths, order, ranked.astype(np.uint8), axis=1)
    return widths


def allocate(importance: np.ndarray, table: ChannelTable, budget: Budget, *, allow_off: bool = False) -> np.ndarray:
    """Give every channel a width, for many users at once.

    Channels are ranked by importance per user; the average over weights meets the budget from below, within 0.5 % of it, or as close as
    whole channels allow where a table is so small that one channel is more than that.

    Args:
        importance: ``[..., channels]``, any real scale; larger matters more.
        table: the channel table.
        budget: average bits, and optionally the shares of each width.
        allow_off: let the least important channels be off.

    Returns:
        uint8 ``[..., channels]`` in {2, 4, 8}, or {0, 2, 4, 8} with ``allow_off``.

    Raises:
        StrategyError: the budget is impossible, or ``importance`` does not fit the table or is not finite.
    """
    importance = np.asarray(importance, np.float32)
    if importance.ndim < 1 or importance.shape[-1] != table.channels:
        raise StrategyError(f"importance of shape {importance.shape} does not fit a table of {table.channels} channels")
    if not np.isfinite(importance).all():
        raise StrategyError("importance holds NaN or infinity; the hypernetwork diverged")
    shares = _shares(budget, allow_off)
    flat = importance.reshape(-1, table.channels)
    features = table.in_features
    widths = None
    if (features == features[0]).all():
        two_up = table.channels - round(shares[0] * table.channels)
        eight = min(round(shares[3] * table.channels), two_up)
        # What int8 channels leave of the budget goes to int4, rounded down: from below.
        spare = budget.average_bits * table.channels - 4 * eight - 2 * two_up
        four_up = min(max(int(spare / 2 + 1e-6), eight), two_up)
        widths = _by_threshold(flat, (eight, four_up, two_up))
        if widths is None or 4 * eight + 2 * four_up + 2 * two_up < (1 - TOLERANCE) * budget.average_bits * table.channels:
            widths = None
    if widths is None:
        widths = _by_rank(flat, features, shares, budget.average_bits)
    return widths.reshape(importance.shape)
