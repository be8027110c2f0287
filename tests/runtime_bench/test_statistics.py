"""Latency statistics: percentiles of calls, intervals over blocks, and the refusal to compare what cannot be compared."""

import numpy as np
import pytest

from chordkit.runtime_bench.results import Settings
from chordkit.runtime_bench.statistics import bootstrap_median, paired_ratio, spread_reasons, summarise


def _blocks(seed: int, median: float, blocks: int = 40, calls: int = 50, drift: float = 0.0) -> list[np.ndarray]:
    """Log-normal calls; ``drift`` is the standard deviation of what a whole block shares."""
    generator = np.random.default_rng(seed)
    shared = np.exp(drift * generator.standard_normal(blocks))
    return [median * factor * np.exp(0.05 * generator.standard_normal(calls)) for factor in shared]


def test_percentiles_are_those_of_all_calls() -> None:
    blocks = [np.arange(1, 51, dtype=float), np.arange(51, 101, dtype=float)]
    latency = summarise(blocks)
    assert (latency.n, latency.blocks, latency.min_us, latency.max_us, latency.mean_us) == (100, 2, 1, 100, 50.5)
    assert (latency.p50_us, latency.p90_us, latency.p99_us) == pytest.approx((50.5, 90.1, 99.01))
    assert latency.coefficient_of_variation == pytest.approx(np.arange(1, 101).std() / 50.5)


def test_no_call_is_an_error() -> None:
    with pytest.raises(ValueError, match="no call"):
        summarise([np.array([])])


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    # 300 measurements of a machine that drifts between blocks by 5 %. A 95 % interval misses 15 of them; the count is binomial
    # with a standard deviation of 3.8, and a percentile bootstrap of 40 blocks is known to be a little narrow: 4 sd + 1 %.
    missed = 0
    for seed in range(300):
        interval = summarise(_blocks(seed, 100.0, drift=0.05), seed).median_of_blocks_us
        missed += not interval.low <= 100.0 <= interval.high
    assert missed <= 15 + 4 * 3.8 + 3


def test_an_interval_from_single_calls_would_be_too_narrow_where_blocks_drift() -> None:
    # The reason for blocks: take every call as independent and the interval misses the truth most of the time.
    missed = 0
    for seed in range(50):
        calls = np.concatenate(_blocks(seed, 100.0, drift=0.05))
        interval = bootstrap_median(calls[:500], seed)
        missed += not interval.low <= 100.0 <= interval.high
    assert missed > 25


def test_a_ratio_within_rounds_is_blind_to_what_both_share() -> None:
    generator = np.random.default_rng(3)
    shared = np.exp(0.5 * generator.standard_normal(40))  # the machine is up to three times slower in some rounds
    fast = [10 * s * np.exp(0.02 * generator.standard_normal(50)) for s in shared]
    slow = [30 * s * np.exp(0.02 * generator.standard_normal(50)) for s in shared]
    ratio = paired_ratio(slow, fast)
    # A block's median of 50 calls has a standard error of 1.25 x 2 % / sqrt(50) = 0.35 %; the ratio's 0.5 %, over 40 rounds 0.1 %.
    assert ratio.value == pytest.approx(3.0, rel=0.005)
    assert ratio.high - ratio.low < 0.03


def test_a_quiet_measurement_is_comparable_and_a_wide_one_is_not() -> None:
    settings = Settings()
    assert spread_reasons(summarise(_blocks(0, 50.0, drift=0.01)), settings.max_interval, settings.max_block_spread) == []
    reasons = spread_reasons(summarise(_blocks(0, 50.0, drift=0.4)), settings.max_interval, settings.max_block_spread)
    assert len(reasons) == 2
    assert "interval" in reasons[0]
