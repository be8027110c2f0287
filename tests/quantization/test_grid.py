"""The number grid: derivation in integers, quality of the scales, rows that are not ordinary."""

import numpy as np
import pytest

from chordkit.errors import MasterError, StrategyError
from chordkit.quantization import (
    RANGES,
    WIDTHS,
    QuantizedRows,
    ScalePolicy,
    dequantize_rows,
    dequantize_table,
    derive_codes,
    quantize_rows,
    quantize_table,
    select_codes,
)

CODES = np.arange(-127, 128, dtype=np.int8)
RATIOS = np.arange(1, 1 << 15, dtype=np.int16)


def _gaussian(rows: int = 4096, columns: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def _at(rows: QuantizedRows, width: int) -> np.ndarray:
    return dequantize_rows(rows, np.full(len(rows.codes), width, np.uint8))


def _snr(weight: np.ndarray, approximation: np.ndarray) -> float:
    weight, approximation = weight.astype(np.float64), approximation.astype(np.float64)
    return float(10 * np.log10((weight**2).sum() / ((weight - approximation) ** 2).sum()))


def test_derivation_is_one_pmulhrsw_and_one_sqrdmulh() -> None:
    product = CODES.astype(np.int64)[None] * RATIOS.astype(np.int64)[:, None]
    ours = (product + (1 << 14)) >> 15
    assert np.array_equal(ours, ((product >> 14) + 1) >> 1)  # Intel: PMULHRSW
    assert np.array_equal(ours, (2 * product + (1 << 15)) >> 16)  # Arm: SQRDMULH, no saturation for ratios above -32768
    both = np.stack([RATIOS, RATIOS])
    codes = np.broadcast_to(CODES, product.shape)
    for width in (2, 4):
        assert np.array_equal(derive_codes(codes, both, width), ours.clip(*RANGES[width]))
    assert np.array_equal(derive_codes(codes, both, 8), codes)


@pytest.mark.parametrize("policy", ScalePolicy)
def test_codes_stay_on_the_grid(policy: ScalePolicy) -> None:
    rows = quantize_rows(_gaussian(256), policy)
    for width in WIDTHS:
        low, high = RANGES[width]
        codes = derive_codes(rows.codes, rows.ratios, width)
        assert low <= codes.min() and codes.max() <= high
    if policy == ScalePolicy.ABSMAX:
        assert derive_codes(rows.codes, rows.ratios, 2).min() == -1
    assert (rows.ratios >= 1).all() and (rows.scales > 0).all()


@pytest.mark.parametrize(
    ("policy", "width", "decibels"),
    [(ScalePolicy.MSE, 4, 20.0), (ScalePolicy.MSE, 2, 8.4), (ScalePolicy.ABSMAX, 2, 2.8), (ScalePolicy.MSE, 8, 44.5)],
)
def test_gaussian_rows_reach_the_known_signal_to_noise(policy: ScalePolicy, width: int, decibels: float) -> None:
    """The reference figures carry one decimal (0.05 dB). Over 4096 x 64 weights the noise energy varies by about
    sqrt(2 / 262144) = 0.3 %, which is 0.012 dB; four times that for each of the two measurements is 0.1 dB."""
    weight = _gaussian()
    assert _snr(weight, _at(quantize_rows(weight, policy), width)) == pytest.approx(decibels, abs=0.05 + 0.1)


@pytest.mark.parametrize("width", [2, 4])
def test_no_ratio_and_no_scale_leave_less_error(width: int) -> None:
    weight = np.random.default_rng(5).standard_t(3, (6, 40)).astype(np.float32)
    rows = quantize_rows(weight)
    ours = ((weight.astype(np.float64) - _at(rows, width)) ** 2).sum(1)
    for channel in range(len(weight)):
        row = weight[channel].astype(np.float64)
        codes = derive_codes(np.broadcast_to(rows.codes[channel], (len(RATIOS), 40)), np.stack([RATIOS, RATIOS]), width).astype(np.float64)
        energy = (codes**2).sum(1)
        cross = codes @ row
        best = (row @ row - np.divide(cross**2, energy, out=np.zeros_like(cross), where=energy > 0)).min()
        # Scale and product are float32 (2^-24 relative each): they move an error e by at most 2 |e| |w| 2^-23; the search itself
        # rounds at 1e-10 of the energy.
        slack = 2 * np.sqrt(best * (row @ row)) * 2**-23 + 2e-10 * (row @ row)
        assert ours[channel] <= best + slack


def test_deriving_costs_little_against_quantising_the_weights_themselves() -> None:
    weight = _gaussian(512)
    ours = _snr(weight, _at(quantize_rows(weight), 4))
    best = np.full(len(weight), np.inf)
    for step in np.geomspace(0.4, 1.0, 60):
        scale = np.abs(weight).max(1, keepdims=True) * step / 7
        codes = np.clip(np.rint(weight / scale), -7, 7)
        fitted = (weight * codes).sum(1) / (codes**2).sum(1)
        best = np.minimum(best, ((weight - codes * fitted[:, None]) ** 2).sum(1))
    direct = 10 * np.log10((weight.astype(np.float64) ** 2).sum() / best.sum())
    assert ours >= direct - 0.03


def test_unusual_rows_behave() -> None:
    weight = np.zeros((8, 16), np.float32)
    weight[1] = 3.5  # constant
    weight[2] = -3.5
    weight[3, 4] = 1e25  # one huge outlier above small weights
    weight[3, 5:] = 1.0
    weight[4] = 1e-42  # denormal
    weight[5] = np.linspace(-1e-25, 1e-25, 16)
    weight[6, 0] = 1e-20  # a single weight
    weight[7] = np.linspace(-1e29, 1e29, 16)
    for policy in ScalePolicy:
        rows = quantize_rows(weight, policy)
        assert np.isfinite(rows.scales).all() and (rows.scales >= np.finfo(np.float32).tiny).all()
        for width in WIDTHS:
            out = _at(rows, width)
            assert np.isfinite(out).all()
            assert not out[0].any() and not out[4].any()
            # Relative to absmax: a single value survives every width up to float32 rounding (two roundings of 2^-24 each, doubled).
            for channel, column in ((1, 0), (3, 4), (6, 0)):
                assert out[channel, column] == pytest.approx(weight[channel, column], rel=2**-22)
        assert _snr(weight[5:6] * 2**80, _at(rows, 8)[5:6] * 2**80) > 40
        assert _snr(weight[7:8] / 2**80, _at(rows, 8)[7:8] / 2**80) > 40
    # The two's-complement int2 has a code -2, so that a constant negative row survives too.
    assert _at(quantize_rows(weight), 2)[2] == pytest.approx(weight[2], rel=2**-22)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e31])
def test_numbers_that_cannot_be_quantised_are_refused_by_name(bad: float) -> None:
    weight = _gaussian(4)
    weight[2, 3] = bad
    with pytest.raises(MasterError, match=r"blocks\.0\.query.*row 2"):
        quantize_rows(weight, name="blocks.0.query")
    with pytest.raises(MasterError, match=r"item_embedding.*row 2"):
        quantize_table(weight, name="item_embedding")


@pytest.mark.parametrize(
    "weight", [np.zeros(4, np.float32), np.zeros((0, 4), np.float32), np.zeros((4, 0), np.float32), np.zeros((2, 2), int)]
)
def test_what_is_no_matrix_of_floats_is_refused(weight: np.ndarray) -> None:
    with pytest.raises(MasterError, match="floats"):
        quantize_rows(weight)


def test_chunks_do_not_show() -> None:
    weight = _gaussian(2100, 5)
    whole, part = quantize_rows(weight), quantize_rows(weight[2040:])
    assert np.array_equal(whole.codes[2040:], part.codes) and np.array_equal(whole.ratios[:, 2040:], part.ratios)
    # The sums behind a scale may be added in another order: a few float64 roundings, below one of float32.
    np.testing.assert_allclose(whole.scales[:, 2040:], part.scales, rtol=2**-23)


def test_selected_codes_follow_the_widths() -> None:
    rows = quantize_rows(_gaussian(4))
    codes, scales = select_codes(rows, np.array([0, 2, 4, 8], np.uint8))
    assert not codes[0].any() and scales[0] == 1
    for channel, width in ((1, 2), (2, 4), (3, 8)):
        assert np.array_equal(codes[channel], derive_codes(rows.codes, rows.ratios, width)[channel])
        assert scales[channel] == rows.scales[WIDTHS.index(width), channel]
    with pytest.raises(StrategyError, match="do not fit"):
        select_codes(rows, np.full(3, 8))
    with pytest.raises(StrategyError, match="not one of"):
        select_codes(rows, np.full(4, 3))
    with pytest.raises(StrategyError, match="width 3"):
        derive_codes(rows.codes, rows.ratios, 3)


@pytest.mark.parametrize(("bits", "decibels"), [(8, 44.5), (4, 20.0)])
def test_tables_are_as_good_as_layers(bits: int, decibels: float) -> None:
    table = _gaussian()
    quantized = quantize_table(table, bits)
    assert _snr(table, dequantize_table(quantized)) == pytest.approx(decibels, abs=0.15)  # as derived above
    low, high = RANGES[bits]
    assert low <= quantized.codes.min() and quantized.codes.max() <= high


def test_a_table_row_of_zeros_stays_zero_and_odd_bits_are_refused() -> None:
    table = _gaussian(3)
    table[0] = 0
    assert not dequantize_table(quantize_table(table, 4))[0].any()
    with pytest.raises(MasterError, match="use 8 or 4"):
        quantize_table(table, 2)
