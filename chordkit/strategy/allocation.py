"""Stage 4's arithmetic: from importances to widths that meet a bit budget, for many users at once.

Channels are ranked by importance. Three borders in that ranking (8 | 4 | 2 | off) give the widths; they stand where the shares put
them, or are moved until the average bits over the *weights* meet the budget. Where one channel is so large that no border does
(a small Caser: ``fc`` rows have 20 times the weights of others), less important but smaller channels fill the rest, and at the very
last the widths each layer size gets are computed exactly (``composition``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from chordkit.errors import StrategyError
from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy.budget import TOLERANCE, Budget
from chordkit.strategy.composition import compose
from chordkit.strategy.mixture import ranked_widths

# Users per block: 128 x 768 eight-byte keys fit a level-2 cache.
_BLOCK_KEYS = 128 * 768
_FILL_ROUNDS = 64
_INDEX_BITS = 32


@dataclass(frozen=True)
class _Problem:
    """One allocation, the same for every user. Borders are numbers of channels: ``at8 <= at4 <= at2``, nested from the top."""

    features: np.ndarray
    target: float
    tolerance: float
    at8: int
    at4: int
    at2: int
    allow_off: bool

    @property
    def even(self) -> bool:
        return int(self.features.min()) == int(self.features.max())


def allocate(importance: np.ndarray, table: ChannelTable, budget: Budget, *, allow_off: bool = False) -> np.ndarray:
    """Give every channel a width so that each user's average bits meet the budget.

    With shares, each user's most important channels get 8 bits, the next 4, the rest 2, by exact count; if the average over the
    weights is then more than 0.5 % off (layers differ in size, or the shares do not belong to the average), the 4 | 2 border moves,
    and where that does not suffice the others. Without shares the two widths next to the average are mixed; 2, 4 and 8 exactly are
    uniform. Between channels of equal size a more important one never gets fewer bits; ties go to the lower index, so
    that the result depends on the importances alone.

    With ``budget.widths`` no other width is used, and the average is never above the budget: see :func:`ranked_widths`.

    Otherwise the average is within 0.5 % of the budget. If no assignment of widths is (tables of a few channels), it is the largest
    possible average below the budget.

    Args:
        importance: float ``[..., channels]``; importance of a *weight* of the channel, comparable across layers, any sign.
        table: the backbone's channels.
        budget: what a strategy may cost.
        allow_off: channels may be off (0 bits), with shares that sum to less than 1 or an average below 2;
            ``budget.widths`` say so themselves.

    Returns:
        uint8 ``[..., channels]`` in ``budget.widths`` where they are given, else in {2, 4, 8}, or {0, 2, 4, 8} with ``allow_off``.

    Raises:
        StrategyError: the budget is impossible, or the importances do not fit the table or hold NaN.
    """
    importance = np.asarray(importance, np.float32)
    channels = table.channels
    if importance.ndim < 1 or importance.shape[-1] != channels or channels == 0:
        raise StrategyError(f"importances of shape {importance.shape} do not fit a backbone of {channels} channels")
    solve = (
        _within_widths(table, budget) if budget.widths is not None else partial(_allocate_block, problem=_problem(table, budget, allow_off))
    )
    flat = importance.reshape(-1, channels)
    widths = np.empty(flat.shape, np.uint8)
    block = max(1, _BLOCK_KEYS // channels)
    for start in range(0, len(flat), block):
        part = flat[start : start + block]
        if np.isnan(part).any():
            user = start + int(np.flatnonzero(np.isnan(part).any(1))[0])
            raise StrategyError(f"the importances of user {user} hold NaN; the hypernetwork diverged, train it again with a lower rate")
        widths[start : start + block] = solve(_ranking_keys(part))
    return widths.reshape(importance.shape)


def _within_widths(table: ChannelTable, budget: Budget) -> Callable[[np.ndarray], np.ndarray]:
    """The allocation of users, given as ranking keys, for a budget that names its widths."""
    assert budget.widths is not None
    chosen, average, features = budget.widths, budget.average_bits, table.in_features.astype(np.int64)
    if features.min() == features.max():
        ranked = ranked_widths(features[None], chosen, average)[0]
        return partial(_cut, borders=[int((ranked >= width).sum()) for width in (8, 4, 2)])

    def solve(keys: np.ndarray) -> np.ndarray:
        order = np.sort(keys, axis=1) & ((1 << _INDEX_BITS) - 1)
        widths = np.empty(keys.shape, np.uint8)
        np.put_along_axis(widths, order, ranked_widths(features[order], chosen, average), axis=1)
        return widths

    return solve


def _cut(keys: np.ndarray, borders: list[int]) -> np.ndarray:
    """Widths where every user has the same borders, of channels of one size."""
    users, channels = keys.shape
    inner = any(0 < border < channels for border in borders)
    # Sorted by vector instructions, a row takes a third of the time that a partition at two borders does.
    ordered = np.sort(keys, axis=1) if inner else keys
    return _widths(keys, [_limit(ordered, np.full(users, border)) for border in borders])


def _problem(table: ChannelTable, budget: Budget, allow_off: bool) -> _Problem:
    if budget.average_bits < WIDTHS[0] and not allow_off:
        raise StrategyError(
            f"budget: average_bits = {budget.average_bits} is impossible when every channel stays on; give 2 or more, or allow off channels"
        )
    channels, total = table.channels, float(table.in_features.sum(dtype=np.int64))
    at8, at4, at2 = 0, 0, channels
    if budget.shares is not None:
        if not allow_off and sum(budget.shares) < 1.0 - 1e-6:
            raise StrategyError(f"budget: shares = {budget.shares} sum to less than 1; the rest would be off, which is not allowed here")
        at8 = round(budget.shares[2] * channels)
        at4 = round((budget.shares[2] + budget.shares[1]) * channels)
        at2 = round(min(1.0, sum(budget.shares)) * channels)
    target = budget.average_bits * total
    return _Problem(table.in_features.astype(np.int64), target, TOLERANCE * target, at8, at4, at2, allow_off)


def _allocate_block(keys: np.ndarray, problem: _Problem) -> np.ndarray:
    users, channels = keys.shape
    if problem.even:
        return _cut(keys, _even_borders(problem))
    ordered = np.sort(keys, axis=1)
    order = ordered & ((1 << _INDEX_BITS) - 1)
    sums = np.zeros((users, channels + 1))
    np.cumsum(problem.features[order], axis=1, out=sums[:, 1:])
    widths = _widths(keys, [_limit(ordered, border) for border in _borders(sums, problem)])
    return _fill(widths, order, problem)


def _even_borders(problem: _Problem) -> list[int]:
    """Borders of every user when all channels have the same size."""
    size, channels = int(problem.features[0]), len(problem.features)
    sums = np.arange(channels + 1, dtype=np.float64) * size
    borders = [int(border[0]) for border in _borders(sums[None], problem)]
    bits = 4 * sums[borders[0]] + 2 * sums[borders[1]] + 2 * sums[borders[2]]
    if abs(bits - problem.target) <= problem.tolerance:
        return borders
    (widths,) = compose((size,), (channels,), problem.target, problem.tolerance, problem.allow_off)
    return [sum(width >= least for width in widths) for least in (8, 4, 2)]


def _ranking_keys(importance: np.ndarray) -> np.ndarray:
    """int64 keys whose ascending order is descending importance, then ascending index; all keys of a row differ."""
    # Adding zero turns -0.0 into 0.0. The bits of a float32, mirrored when negative, order like the number.
    bits = (importance + np.float32(0)).view(np.int32)
    descending = ~(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF)))
    return (descending.astype(np.int64) << _INDEX_BITS) | np.arange(importance.shape[1], dtype=np.int64)


def _limit(ordered: np.ndarray, border: np.ndarray) -> np.ndarray:
    """The largest key among the first ``border`` of each row, as a column; below every key when ``border`` is 0."""
    channels = ordered.shape[1]
    limit = ordered[np.arange(len(ordered)), np.clip(border - 1, 0, channels - 1)]
    limit = np.where(border >= channels, np.iinfo(np.int64).max, limit)
    return np.where(border <= 0, np.iinfo(np.int64).min, limit)[:, None]


def _widths(keys: np.ndarray, limits: list[np.ndarray]) -> np.ndarray:
    at8, at4, at2 = ((keys <= limit).view(np.uint8) for limit in limits)
    return (at2 + at4 + 2 * at8) * np.uint8(2)


def _borders(sums: np.ndarray, problem: _Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Borders of each row, given ``sums [rows, channels + 1]``, the weights of its first 0, 1, 2, ... channels.

    The widths 2 -> 0, 4 -> 2, 8 -> 4 differ by 2, 2 and 4 bits, so bits = 2 S(at2) + 2 S(at4) + 4 S(at8). Rows that the counts
    bring into the tolerance keep them; in the others one border after the other moves, to the last place that is not above the target.
    """
    rows, last = np.arange(len(sums)), sums.shape[1] - 1
    target = problem.target

    def weight(border: np.ndarray) -> np.ndarray:
        return sums[rows, border]

    def farthest(room: np.ndarray) -> np.ndarray:
        return np.maximum((sums <= room[:, None]).sum(1) - 1, 0)

    at8, at4, at2 = (np.full(len(sums), border) for border in (problem.at8, problem.at4, problem.at2))
    bits = 2 * weight(at2) + 2 * weight(at4) + 4 * weight(at8)
    keep = np.abs(bits - target) <= problem.tolerance
    counts = (at8, at4, at2)
    # Down: 4 | 2 to the 8 | 4 border, then both, then (with off channels) all three.
    at4 = np.clip(farthest((target - 4 * weight(at8) - 2 * weight(at2)) / 2), at8, at2)
    over = 2 * weight(at2) + 2 * weight(at4) + 4 * weight(at8) > target
    at8 = np.where(over, np.minimum(farthest((target - 2 * weight(at2)) / 6), at8), at8)
    at4 = np.where(over, at8, at4)
    if problem.allow_off:
        over = 2 * weight(at2) + 2 * weight(at4) + 4 * weight(at8) > target
        at2 = np.where(over, np.minimum(farthest((target - 2 * weight(at4) - 4 * weight(at8)) / 2), at2), at2)
        # Up, where all channels that are on have 4 bits at least: switch on more, with 4 bits.
        under = at4 == at2
        at2 = np.where(under, np.maximum(farthest((target - 4 * weight(at8)) / 4), at2), at2)
        at4 = np.where(under, at2, at4)
    # Up, where every channel has 4 bits: more with 8.
    full = at4 == last
    at8 = np.where(full, np.maximum(farthest((target - 2 * weight(at2) - 2 * weight(at4)) / 4), at8), at8)
    moved = (at8, at4, at2)
    return tuple(np.where(keep, count, border) for count, border in zip(counts, moved, strict=True))  # type: ignore[return-value]


def _fill(widths: np.ndarray, order: np.ndarray, problem: _Problem) -> np.ndarray:
    """Spend what the borders left: the most important channel that fits is raised one width, as long as a row is too low."""
    features = problem.features
    gap = problem.target - widths @ features.astype(np.float64)
    low = np.flatnonzero(gap > problem.tolerance)
    for _ in range(_FILL_ROUNDS):
        if not low.size:
            return widths
        current = np.take_along_axis(widths[low], order[low], axis=1).astype(np.int64)
        # A step from 4 to 8 costs 4 bits a weight, the others 2; 8 has no step.
        step = np.where(current == 4, 4, 2) * features[order[low]]
        fits = (current < 8) & (step <= gap[low, None])
        place = fits.argmax(axis=1)
        able = fits[np.arange(len(low)), place]
        stuck, low, place = low[~able], low[able], place[able]
        if stuck.size:
            _recompose(widths, order, problem, stuck)
        channel = order[low, place]
        gap[low] -= step[able][np.arange(len(low)), place]
        old = widths[low, channel]
        widths[low, channel] = np.where(old == 0, 2, old * 2)
        low = low[gap[low] > problem.tolerance]
    _recompose(widths, order, problem, low)
    return widths


def _recompose(widths: np.ndarray, order: np.ndarray, problem: _Problem, rows: np.ndarray) -> None:
    """Give ``rows`` the exact composition, ranked by importance within each layer size."""
    sizes, counts = np.unique(problem.features, return_counts=True)
    composition = compose(tuple(sizes.tolist()), tuple(counts.tolist()), problem.target, problem.tolerance, problem.allow_off)
    for row in rows:
        ranked_sizes = problem.features[order[row]]
        for size, composed in zip(sizes, composition, strict=True):
            widths[row, order[row][ranked_sizes == size]] = composed
