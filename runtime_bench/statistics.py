"""What a latency measurement says, and how sure it is.

Successive calls are not independent (frequency, caches, neighbours on the machine drift), so an interval computed from
the calls would be far too narrow. Calls are therefore measured in short blocks, interleaved with the other contenders'
blocks, and every interval is a bootstrap over blocks (Kuensch 1989; Georges et al., OOPSLA 2007, for the use).

Nor are the blocks of one launch a sample of what a program does: where its memory lies and what the clock does differ from launch to
launch. Over launches the interval is Student's, from one number a launch (Georges et al. for few launches; Kalibera and Jones, ISMM 2013,
for the levels: the highest one decides). A bootstrap that resamples three launches can only see those three, and its 95 % interval covers
the truth in 73 % of cases; Student's covers 94 % (tests/runtime_bench/test_statistics.py counts both). Launches are averaged as
logarithms: times are positive, and the ratio of a to b is then exactly one over that of b to a.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.estimate import Estimate
from chordkit.runtime_bench.results import Latency

RESAMPLES = 2000
Calls = NDArray[np.float64]

# Student's t at 97.5 %, for 1 to 30 degrees of freedom.
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314,
    2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
_NORMAL = 1.959964
# A launch is bootstrapped in at most so many stretches of neighbouring blocks: enough for an interval, and long enough that a drifting
# clock makes neighbours alike without making stretches alike.
_STRETCHES = 64


def bootstrap_median(values: NDArray[np.float64], seed: int, confidence: float = 0.95) -> Estimate:
    """Median of ``values [blocks]`` with its percentile-bootstrap interval."""
    generator = np.random.default_rng(seed)
    resampled = np.median(values[generator.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value=float(np.median(values)), low=float(low), high=float(high))


def summarise(blocks: Sequence[Calls], seed: int = 0, batch: int = 1) -> Latency:
    """Percentiles of all samples, and an interval for the median from the blocks.

    Args:
        blocks: per block the duration of each of its samples, us.
        seed: of the bootstrap.
        batch: calls that each sample is the mean of.

    Raises:
        ValueError: there is no sample.
    """
    medians = np.array([np.median(block) for block in blocks if len(block)])
    return _latency(blocks, bootstrap_median(medians, seed) if medians.size else None, batch)


def summarise_launches(launches: Sequence[Sequence[Calls]], batch: int = 1, seed: int = 0) -> Latency:
    """Percentiles of all samples of all launches, and an interval for the median that holds for a launch still to come.

    ``median_of_blocks_us`` is the geometric mean of the launches' medians. Its interval is Student's over launches, and never narrower
    than what the blocks within them leave open; with one launch it is the latter alone.

    Args:
        launches: per launch its blocks, per block the duration of each of its samples, us.
        batch: calls that each sample is the mean of.
        seed: of the bootstrap.

    Raises:
        ValueError: a launch has no sample, or its median is not above 0.
    """
    interval = _interval([_level(blocks, seed + index) for index, blocks in enumerate(launches)])
    return _latency([block for blocks in launches for block in blocks], interval, batch)


def paired_ratio(blocks: Sequence[Calls], baseline: Sequence[Calls], seed: int = 0) -> Estimate:
    """How many times as long as ``baseline``: the median over rounds of the ratio of the two medians of that round.

    Both were measured within the same few milliseconds, so that what drifts between rounds cancels.
    """
    ratios = np.array([np.median(block) / np.median(other) for block, other in zip(blocks, baseline, strict=True)])
    return bootstrap_median(ratios, seed)


def turns_ratio(launches: Sequence[Sequence[Calls]], baseline: Sequence[Sequence[Calls]], seed: int = 0) -> Estimate:
    """How many times as long as ``baseline``, both measured in turns within every launch: :func:`paired_ratio` of each, over launches.

    Raises:
        ValueError: the launches or their rounds are not the same, or a median is not above 0.
    """
    ratios = [
        [np.atleast_1d(np.median(block) / np.median(other)) for block, other in zip(mine, theirs, strict=True)]
        for mine, theirs in zip(launches, baseline, strict=True)
    ]
    return _interval([_level(each, seed + index) for index, each in enumerate(ratios)])


def launch_ratio(launches: Sequence[Sequence[Calls]], baseline: Sequence[Sequence[Calls]], seed: int = 0) -> Estimate:
    """How many times as long as ``baseline``, both measured in launches that took turns.

    Launches of one number are neighbours in time and are paired, so that what drifts between turns cancels. Where the numbers differ (a
    launch was lost, or these are two runs) the two are taken as independent: Welch's interval.

    Raises:
        ValueError: a launch has no sample, or its median is not above 0.
    """
    over = [_level(blocks, seed + index) for index, blocks in enumerate(launches)]
    under = [_level(blocks, seed + len(over) + index) for index, blocks in enumerate(baseline)]
    if len(over) == len(under):
        return _interval([one.over(other) for one, other in zip(over, under, strict=True)])
    return _independent(over, under)


def run_ratio(
    launches: Sequence[Sequence[Calls]],
    other: Sequence[Sequence[Calls]],
    anchors: tuple[Sequence[Sequence[Calls]], Sequence[Sequence[Calls]]] | None = None,
    seed: int = 0,
) -> Estimate:
    """How many times as long as in the ``other`` run. Launches of two runs are never paired.

    Args:
        launches, other: of one contender, in this run and in the other.
        anchors: launches of a contender that did not change, in the same two runs: what is compared is then the ratio to it, so that a
            machine that is slower today cancels.
        seed: of the bootstrap.

    Raises:
        ValueError: a launch has no sample, or its median is not above 0.
    """
    levels = [[_level(blocks, seed + index) for index, blocks in enumerate(run)] for run in (launches, other)]
    if anchors is not None:
        held = [[_level(blocks, seed + 1000 + index) for index, blocks in enumerate(run)] for run in anchors]
        if any(len(mine) != len(anchor) for mine, anchor in zip(levels, held, strict=True)):
            raise ValueError("a contender and its anchor do not have the same number of launches")
        levels = [[one.over(by) for one, by in zip(mine, anchor, strict=True)] for mine, anchor in zip(levels, held, strict=True)]
    return _independent(*levels)


def drift(at_s: Sequence[float] | Calls, us: Sequence[float] | Calls, seed: int = 0) -> Estimate:
    """How much longer a call takes from minute to minute, percent of the median a minute; above 0 = it gets slower.

    The slope is Theil and Sen's over the medians of at most 64 stretches of time: a few slow calls do not move it. Its interval is Sen's
    (1968), from Kendall's variance for the number of stretches that are worth as much as independent ones (Hamed and Rao 1998): a machine
    that is slow now is slow a second later too. Counted by simulation, 600 s with correlated noise, it covers the truth in 91 to 97 % of
    cases, where resampling blocks of residuals covered 70 to 91 %.

    Args:
        at_s: when each sample (or block) was taken, s.
        us: the samples (or the blocks' medians), us.
        seed: nothing is drawn here; every function of this module that gives an interval takes one.

    Raises:
        ValueError: there are fewer than 8 samples, or all are of one moment, or the times do not belong to them.
    """
    times, samples = np.asarray(at_s, np.float64), np.asarray(us, np.float64)
    if times.shape != samples.shape or times.size < 8 or np.ptp(times) <= 0:
        raise ValueError("drift needs at least 8 samples, each with its time, and more than one moment")
    parts = np.array_split(np.argsort(times, kind="stable"), min(_STRETCHES, times.size))
    minutes = np.array([times[part].mean() for part in parts]) / 60
    levels = np.array([np.median(samples[part]) for part in parts])
    middle = float(np.median(levels))
    if middle <= 0:
        raise ValueError("the median sample is not above 0 us")
    first, second = np.triu_indices(len(parts), 1)
    apart = minutes[second] - minutes[first]
    slopes = np.sort(((levels[second] - levels[first])[apart > 0]) / apart[apart > 0])
    slope = float(np.median(slopes))
    count = len(parts)
    half = _NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18 * _repetition(levels - slope * minutes))
    low = slopes[max(0, math.floor((len(slopes) - half) / 2))]
    high = slopes[min(len(slopes) - 1, math.ceil((len(slopes) + half) / 2))]
    return Estimate(value=slope * 100 / middle, low=float(low) * 100 / middle, high=float(high) * 100 / middle)


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


@dataclass(frozen=True)
class _Level:
    """One launch: logarithm of its median, and the standard error that its own blocks leave."""

    log: float
    error: float

    def over(self, other: "_Level") -> "_Level":
        return _Level(self.log - other.log, math.hypot(self.error, other.error))


def _latency(blocks: Sequence[Calls], interval: Estimate | None, batch: int) -> Latency:
    calls = np.concatenate(blocks) if len(blocks) else np.empty(0)
    if calls.size == 0 or interval is None:
        raise ValueError("no call was measured")
    medians = np.array([np.median(block) for block in blocks if len(block)])
    p50, p90, p95, p99 = np.percentile(calls, [50, 90, 95, 99])
    mean = float(calls.mean())
    low, high = np.percentile(medians, [10, 90])
    return Latency(
        n=int(calls.size),
        blocks=len(blocks),
        batch=batch,
        min_us=float(calls.min()),
        mean_us=mean,
        p50_us=float(p50),
        p90_us=float(p90),
        p95_us=float(p95),
        p99_us=float(p99),
        max_us=float(calls.max()),
        coefficient_of_variation=float(calls.std() / mean) if np.ptp(calls) > 0 else 0.0,
        median_of_blocks_us=interval,
        block_spread=float(high / low - 1),
    )


def _level(blocks: Sequence[Calls], seed: int) -> _Level:
    kept = [block for block in blocks if len(block)]
    if not kept:
        raise ValueError("no call was measured")
    stretches = [
        np.median(np.concatenate([kept[i] for i in part])) for part in np.array_split(np.arange(len(kept)), min(len(kept), _STRETCHES))
    ]
    middle, levels = float(np.median(np.concatenate(kept))), np.array(stretches)
    if middle <= 0 or levels.min() <= 0:
        raise ValueError("a call of 0 us cannot be: the clock is too coarse for single calls; measure in batches")
    if np.ptp(levels) == 0:
        return _Level(math.log(middle), 0.0)
    generator = np.random.default_rng(seed)
    resampled = np.median(np.log(levels)[generator.integers(0, len(levels), (RESAMPLES, len(levels)))], axis=1)
    return _Level(math.log(middle), float(resampled.std()))


def _repetition(residuals: Calls) -> float:
    """How many neighbouring residuals are worth one independent one: from the correlation of the ranks of neighbours."""
    _, which, counts = np.unique(residuals, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]
    ranks = ranks - ranks.mean()
    if not ranks.any():
        return 1.0
    correlation = float((ranks[1:] * ranks[:-1]).sum() / (ranks**2).sum())
    # Around a fitted line neighbours look less alike than they are (Marriott and Pope 1954).
    correlation = min(max(correlation + (2 + 4 * correlation) / len(ranks), 0.0), 0.95)
    return (1 + correlation) / (1 - correlation)


def _student(freedom: float) -> float:
    """Student's t at 97.5 %: between two degrees of freedom by their reciprocals, beyond the table by Fisher's expansion."""
    freedom = max(1.0, freedom)
    if freedom >= len(_STUDENT):
        return _STUDENT[-1] if freedom == len(_STUDENT) else _NORMAL + (_NORMAL**3 + _NORMAL) / (4 * freedom)
    below = int(freedom)
    share = (1 / below - 1 / freedom) / (1 / below - 1 / (below + 1))
    return _STUDENT[below - 1] * (1 - share) + _STUDENT[below] * share


def _moments(levels: Sequence[_Level]) -> tuple[float, float, float]:
    """Mean, its squared standard error over launches, and the same from within the launches."""
    logs = np.array([level.log for level in levels])
    count = len(logs)
    # The mean of equal numbers is that number, which summing them would miss by a rounding.
    mean = float(logs[0] if np.ptp(logs) == 0 else logs.mean())
    between = float(logs.var(ddof=1)) / count if count > 1 and np.ptp(logs) > 0 else 0.0
    return mean, between, sum(level.error**2 for level in levels) / count**2


def _interval(levels: Sequence[_Level]) -> Estimate:
    if not levels:
        raise ValueError("no call was measured")
    mean, between, within = _moments(levels)
    half = max(_student(len(levels) - 1) * math.sqrt(between), _NORMAL * math.sqrt(within))
    return _back(mean, half)


def _independent(over: Sequence[_Level], under: Sequence[_Level]) -> Estimate:
    """Difference of two samples of launches by Welch; where one has a single launch it is as uncertain as one launch of the other."""
    if not over or not under:
        raise ValueError("no call was measured")
    (mine, between, within), (other, between_other, within_other) = _moments(over), _moments(under)
    freedom = 1.0
    if len(over) == 1 and len(under) > 1:
        between, freedom = between_other * len(under), len(under) - 1
    elif len(under) == 1 and len(over) > 1:
        between_other, freedom = between * len(over), len(over) - 1
    elif between + between_other > 0:
        freedom = (between + between_other) ** 2 / (between**2 / (len(over) - 1) + between_other**2 / (len(under) - 1))
    half = max(_student(freedom) * math.sqrt(between + between_other), _NORMAL * math.sqrt(within + within_other))
    return _back(mine - other, half)


def _back(middle: float, half: float) -> Estimate:
    """From logarithms; what is equal stays equal to 12 digits, so that 547.008 us does not become 547.0080000000001."""
    value, low, high = (float(f"{math.exp(log):.12g}") for log in (middle, middle - half, middle + half))
    return Estimate(value=value, low=low, high=high)
