"""The exact answer where rounding matters: which sums of bits a table can reach at all, and how."""

import functools

import numpy as np


@functools.lru_cache(maxsize=64)
def compose(
    sizes: tuple[int, ...], counts: tuple[int, ...], target: float, tolerance: float, allow_off: bool
) -> tuple[tuple[int, ...], ...]:
    """Widths for groups of equal channels whose bits come nearest to a target: a bounded subset-sum, solved exactly.

    A big integer holds the set of sums that the groups so far can reach (bit n = sum n, in units of two times the sizes' greatest
    common divisor), so that one shift and one OR add a choice to all of them.

    Args:
        sizes: weights of a channel, by group.
        counts: channels of each group.
        target: bits over all weights.
        tolerance: the nearest sum is taken if it is this near, otherwise the largest below the target.
        allow_off: width 0 counts too.

    Returns:
        For each group the widths of its channels, descending. The smallest sum when no sum is below the target.
    """
    unit = 2 * int(np.gcd.reduce(np.array(sizes, np.int64)))
    choices = [_sums(count, allow_off) for count in counts]
    reached = [1]
    for size, sums in zip(sizes, choices, strict=True):
        step = 2 * size // unit
        before, after = reached[-1], 0
        for half_bits in sums:
            after |= before << half_bits * step
        reached.append(after)
    remaining = _nearest(reached[-1], target / unit, tolerance / unit)
    result = []
    for group in reversed(range(len(sizes))):
        step = 2 * sizes[group] // unit
        # Of the ways to split the sum, the one that gives this group the most even share.
        even = target / float(np.dot(sizes, counts)) * counts[group] / 2
        possible = [sum_ for sum_ in choices[group] if sum_ * step <= remaining and reached[group] >> (remaining - sum_ * step) & 1]
        chosen = min(possible, key=lambda sum_: abs(sum_ - even))
        remaining -= chosen * step
        result.append(choices[group][chosen])
    return tuple(reversed(result))


def _nearest(reached: int, target: float, tolerance: float) -> int:
    below = reached & ((1 << (int(target + 1e-9) + 1)) - 1)
    low = below.bit_length() - 1
    above = reached >> (int(target + 1e-9) + 1)
    high = int(target + 1e-9) + (above & -above).bit_length() if above else None
    if high is not None and high - target <= tolerance and (low < 0 or high - target < target - low):
        return high
    return low if low >= 0 else (reached & -reached).bit_length() - 1


def _sums(count: int, allow_off: bool) -> dict[int, tuple[int, ...]]:
    """Every sum (in pairs of bits) that ``count`` channels can have, with widths for it: at most two neighbouring ones, but at the top."""
    sums: dict[int, tuple[int, ...]] = {}
    ladder = [(0, 2), (2, 4), (4, 8)] if allow_off else [(2, 4), (4, 8)]
    for low, high in ladder:
        for raised in range(count + 1):
            sums.setdefault((high * raised + low * (count - raised)) // 2, (high,) * raised + (low,) * (count - raised))
    # Between two sums of 4s and 8s lies one with a single 2.
    for raised in range(count):
        sums.setdefault((8 * raised + 4 * (count - raised - 1) + 2) // 2, (8,) * raised + (4,) * (count - raised - 1) + (2,))
    return sums
