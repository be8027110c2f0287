"""What a latency measurement says, and how sure it is.

Successive calls are not independent (frequency, caches, neighbours on the machine drift), so an interval computed from
the calls would be far too narrow. Calls are therefore measured in short blocks, interleaved with the other contenders'
blocks, and every interval is a bootstrap over blocks (Kuensch 1989; Georges et al., OOPSLA 2007, for the use).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chordkit.estimate import Estimate
from chordkit.runtime_bench.results import Latency

RESAMPLES = 2000
Calls = NDArray[np.float64]


def bootstrap_median(values: NDArray[np.float64], seed: int, confidence: float = 0.95) -> Estimate:
    """Median of ``values [blocks]`` with its percentile-bootstrap interval."""
    generator = np.random.default_rng(seed)
    resampled = np.median(values[generator.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value=float(np.median(values)), low=float(low), high=float(high))


def summarise(blocks: Sequence[Calls], seed: int = 0) -> Latency:
    """Percentiles of all calls, and an interval for the median from the blocks.

    Args:
        blocks: per block the duration of each of its calls, us.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no call.
    """
    calls = np.concatenate(blocks)
    if calls.size == 0:
        raise ValueError("no call was measured")
    medians = np.array([np.median(block) for block in blocks])
    interval = bootstrap_median(medians, seed)
    p50, p90, p99 = np.percentile(calls, [50, 90, 99])
    mean = float(calls.mean())
    low, high = np.percentile(medians, [10, 90])
    return Latency(
        n=int(calls.size),
        blocks=len(blocks),
        min_us=float(calls.min()),
        mean_us=mean,
        p50_us=float(p50),
        p90_us=float(p90),
        p99_us=float(p99),
        max_us=float(calls.max()),
        coefficient_of_variation=float(calls.std() / mean),
        median_of_blocks_us=interval,
        block_spread=float(high / low - 1),
    )


def paired_ratio(blocks: Sequence[Calls], baseline: Sequence[Calls], seed: int = 0) -> Estimate:
    """How many times as long as ``baseline``: the median over rounds of the ratio of the two medians of that round.

    Both were measured within the same few milliseconds, so that what drifts between rounds cancels.
    """
    ratios = np.array([np.median(block) / np.median(other) for block, other in zip(blocks, baseline, strict=True)])
    return bootstrap_median(ratios, seed)


def spread_reasons(latency: Latency, max_interval: float, max_block_spread: float) -> list[str]:
    """Why this latency should not be compared with others; empty when it may."""
    reasons = []
    interval = latency.median_of_blocks_us
    half_width = (interval.high - interval.low) / 2 / interval.value
    if half_width > max_interval:
        reasons.append(f"the 95 % interval of the median is +-{half_width:.1%} wide, more than {max_interval:.0%}")
    if latency.block_spread > max_block_spread:
        reasons.append(
            f"one block in ten is {latency.block_spread:.0%} slower than one in ten at the fast end, more than {max_block_spread:.0%}"
        )
    return reasons
