"""Which share of the weights each width gets when only some widths may be used, and how a ranking of channels is cut into them."""

import functools

import numpy as np


@functools.lru_cache(maxsize=256)
def evenest_mixture(widths: tuple[int, ...], average: float) -> tuple[float, ...]:
    """Shares of ``widths``, ascending, whose mean is ``average``: of all such mixtures the one of largest entropy, p(w) ~ exp(-t w).

    A ranking says most about channels when no width is rarer than the budget makes it.
    """
    each = np.array(widths, np.float64)
    low, high = -64.0, 64.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _boltzmann(each, middle) @ each > average else (low, middle)
    return tuple(_boltzmann(each, 0.5 * (low + high)).tolist())


def _boltzmann(widths: np.ndarray, t: float) -> np.ndarray:
    powers = np.exp(-t * widths - (-t * widths).max())
    return np.asarray(powers / powers.sum())


def ranked_widths(features: np.ndarray, widths: tuple[int, ...], average: float) -> np.ndarray:
    """Widths of channels that stand in order of importance, the most important first.

    Each width gets its share of the weights, by whole channels; what is then left of the budget raises the most important channel that
    still fits, until none does.

    Args:
        features: int64 ``[rows, channels]``, weights of each channel, in order of importance.
        widths: ascending; the only ones to use.
        average: bits per weight, never exceeded.

    Returns:
        uint8 ``[rows, channels]``.
    """
    total = float(features[0].sum())
    sums = np.cumsum(features, axis=1)
    chosen = np.full(features.shape, widths[0], np.int64)
    shares = evenest_mixture(widths, average)
    for index in range(1, len(widths)):
        # A millionth of a channel, so that rounding in the shares takes no channel away.
        chosen[sums <= sum(shares[index:]) * total + 1e-6 * features.min()] = widths[index]
    following = np.zeros(9, np.int64)
    following[list(widths[:-1])] = widths[1:]
    left = average * total * (1 + 1e-12) - (chosen * features).sum(axis=1)
    rows = np.arange(len(features))
    while rows.size:
        step = (following[chosen[rows]] - chosen[rows]) * features[rows]
        fits = (step > 0) & (step <= left[rows, None])
        place = fits.argmax(axis=1)
        able = fits[np.arange(len(rows)), place]
        rows, place = rows[able], place[able]
        left[rows] -= step[able, place]
        chosen[rows, place] = following[chosen[rows, place]]
    return chosen.astype(np.uint8)
