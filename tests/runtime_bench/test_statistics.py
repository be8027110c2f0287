"""Latency statistics: percentiles of calls, intervals over blocks, and the refusal to compare what cannot be compared."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.estimate import Estimate
from chordkit.runtime_bench.results import Settings
from chordkit.runtime_bench.statistics import (
    _student,
    bootstrap_median,
    drift,
    launch_ratio,
    paired_ratio,
    run_ratio,
    spread_reasons,
    summarise,
    summarise_launches,
)

pytestmark = pytest.mark.long


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
    limits = Settings()
    assert spread_reasons(summarise(_blocks(0, 50.0, drift=0.01)), limits.max_interval, limits.max_block_spread) == []
    reasons = spread_reasons(summarise(_blocks(0, 50.0, drift=0.4)), limits.max_interval, limits.max_block_spread)
    assert len(reasons) == 2
    assert "interval" in reasons[0]


def _launches(generator: np.random.Generator, offsets: np.ndarray, blocks: int = 12, calls: int = 8) -> list[list[np.ndarray]]:
    """Launches around 100 us, each at its offset; blocks drift by 2 %, calls by 5 %."""
    return [
        [100 * np.exp(offset + 0.02 * generator.standard_normal() + 0.05 * generator.standard_normal(calls)) for _ in range(blocks)]
        for offset in offsets
    ]


def test_a_batch_and_p95_are_told() -> None:
    latency = summarise([np.arange(1, 101, dtype=float)], batch=8)
    assert latency.batch == 8 and latency.p95_us == pytest.approx(95.05)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_interval_over_launches_covers_the_truth_as_often_as_it_says(count: int) -> None:
    # 400 measurements, launches 3 % apart. 95 % leave 20 misses, with a standard deviation of 4.4.
    missed = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        interval = summarise_launches(_launches(generator, 0.03 * generator.standard_normal(count)), seed=seed).median_of_blocks_us
        missed += not interval.low <= 100 <= interval.high
    assert missed <= 20 + 4 * 4.4


def test_a_two_level_bootstrap_of_three_launches_would_be_far_too_narrow() -> None:
    # The reason for Student's interval. The launches are resampled, then the blocks within them; 95 % would leave 10 misses.
    missed = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        medians = np.array([[np.median(block) for block in launch] for launch in _launches(generator, 0.03 * generator.standard_normal(3))])
        picked = medians[generator.integers(0, 3, (400, 3))]
        blocks = np.take_along_axis(picked, generator.integers(0, medians.shape[1], picked.shape), axis=2)
        low, high = np.percentile(np.median(blocks, axis=2).mean(axis=1), [2.5, 97.5])
        missed += not low <= 100 <= high
    assert missed > 35


def test_no_interval_knows_of_what_no_launch_has_seen() -> None:
    # One launch in five lands badly. Half of all runs of three do not see one, whatever is computed: that is what --processes is for.
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        offsets = 0.03 * np.where(generator.random(3) < 0.2, 2.0, -0.5)
        interval = summarise_launches(_launches(generator, offsets, 40, 20), seed=seed).median_of_blocks_us
        covered += interval.low <= 100 <= interval.high
    assert 80 < covered < 160


def test_a_single_launch_has_the_interval_of_its_blocks() -> None:
    interval = summarise_launches([_blocks(0, 100.0, drift=0.02)]).median_of_blocks_us
    assert interval.low < 100 < interval.high and interval.high / interval.low < 1.04


@settings(deadline=None)
@given(us=st.floats(0.001, 1e7), count=st.integers(1, 4), blocks=st.integers(1, 5))
def test_what_does_not_vary_has_an_interval_of_no_width(us: float, count: int, blocks: int) -> None:
    # An emulated machine: every call of every launch takes equally long.
    run = [[np.full(7, us) for _ in range(blocks)] for _ in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        latency, ratio = summarise_launches(run, batch=3), launch_ratio(run, run)
    interval = latency.median_of_blocks_us
    assert interval.low == interval.value == interval.high == pytest.approx(us, rel=1e-11)
    assert (ratio.value, ratio.low, ratio.high) == (1, 1, 1)
    assert (latency.block_spread, latency.coefficient_of_variation, latency.n) == (0, 0, 7 * blocks * count)


def test_547_microseconds_stay_547() -> None:
    assert summarise_launches([[np.full(50, 547.008)]] * 3).median_of_blocks_us.value == 547.008


launched = st.lists(st.lists(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=4), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(deadline=None)
@given(launched, launched)
def test_a_ratio_turned_over_is_one_over_it(one: list[list[list[float]]], other: list[list[list[float]]]) -> None:
    over = [[np.array(block) for block in launch] for launch in one]
    under = [[np.array(block) for block in launch] for launch in other]
    for function in (launch_ratio, run_ratio):
        there, back = function(over, under), function(under, over)
        assert there.low <= there.value <= there.high
        assert there.value * back.value == pytest.approx(1)


@settings(deadline=None)
@given(launched, st.floats(0.01, 100))
def test_an_interval_moves_with_the_unit(run: list[list[list[float]]], unit: float) -> None:
    plain = summarise_launches([[np.array(block) for block in launch] for launch in run])
    scaled = summarise_launches([[np.array(block) * unit for block in launch] for launch in run])
    one, other = plain.median_of_blocks_us, scaled.median_of_blocks_us
    assert other.value == pytest.approx(one.value * unit) and other.low == pytest.approx(one.low * unit, rel=1e-6)
    assert one.low <= one.value <= one.high


def test_launches_that_take_turns_cancel_what_the_device_did_meanwhile() -> None:
    generator = np.random.default_rng(0)
    heat = np.array([0.0, 0.3, 0.6])
    slow, fast = _launches(generator, heat + np.log(3)), _launches(generator, heat)
    paired, unpaired = launch_ratio(slow, fast), launch_ratio(slow, fast[:2])
    assert paired.low < 3 < paired.high and paired.high / paired.low < 1.25
    assert unpaired.high / unpaired.low > 2, "a launch was lost: nothing cancels"


def test_two_runs_over_an_anchor_cancel_a_slower_day() -> None:
    generator = np.random.default_rng(1)
    jitter = 0.005 * generator.standard_normal(12)
    today = [_launches(generator, jitter[:3] + 0.4), _launches(generator, jitter[3:6] + 0.4)]
    yesterday = [_launches(generator, jitter[6:9]), _launches(generator, jitter[9:])]
    assert run_ratio(today[0], yesterday[0]).low > 1.4
    anchored = run_ratio(today[0], yesterday[0], (today[1], yesterday[1]))
    assert anchored.low < 1 < anchored.high and anchored.high / anchored.low < 1.12
    with pytest.raises(ValueError, match="same number of launches"):
        run_ratio(today[0], yesterday[0], (today[1][:2], yesterday[1]))


def test_a_clock_that_tells_zero_is_an_error_and_not_an_infinity() -> None:
    with pytest.raises(ValueError, match="too coarse"):
        summarise_launches([[np.zeros(5)]])
    with pytest.raises(ValueError, match="no call"):
        summarise_launches([[np.array([])]])
    with pytest.raises(ValueError, match="no call"):
        summarise_launches([])


def test_students_table_is_that_of_a_statistics_library() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in [*range(1, 31), 31, 50, 200, 5000]:
        assert _student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3 if freedom > 30 else 3e-5)
    for freedom in (1.4, 2.1, 2.9, 7.5, 29.5):
        assert 0.9999 <= _student(freedom) / stats.t.ppf(0.975, freedom) < (1.2 if freedom < 2 else 1.01), "rather too wide"
    assert _student(0.3) == _student(1)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_drift_and_its_interval_survive_noise_that_remembers(memory: float) -> None:
    # 200 runs of 10 minutes that slow down by 0.5 % a minute; 95 % leave 10 misses, standard deviation 3.1.
    missed = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        noise = np.zeros(300)
        for index in range(1, 300):
            noise[index] = memory * noise[index - 1] + generator.standard_normal()
        minutes = np.linspace(0, 10, 300)
        level = 100 * (1 + 0.005 * minutes)
        found = drift(60 * minutes, level * np.exp(0.02 * noise))
        missed += not found.low <= 100 * 0.005 * 100 / np.median(level) <= found.high
    assert missed <= 10 + 4 * 3.1


def test_a_few_slow_calls_are_no_drift_and_no_change_is_exactly_none() -> None:
    us = np.full(100, 50.0)
    assert drift(np.arange(100.0), us) == Estimate(value=0, low=0, high=0)
    us[90:95] = 5000
    found = drift(list(np.arange(100.0)), list(us))
    assert found.low == found.value == found.high == 0


@pytest.mark.parametrize(("times", "samples"), [([], []), ([1.0] * 9, [1.0] * 9), ([1.0, 2.0], [1.0, 2.0]), (range(9), range(8))])
def test_drift_of_too_little_is_an_error(times: list[float], samples: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 8"):
        drift(times, samples)
