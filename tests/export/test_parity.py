"""Parity: each measure against its definition, each tolerance missed once, and a gate that goes red for a wrong channel."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chordkit.errors import CheckFailed
from chordkit.export.parity import (
    FP32_TOLERANCE,
    INT8_ACTIVATION_TOLERANCE,
    ParityReport,
    compare,
    parity,
    run_all,
)
from chordkit.export.parity.measures import kendall_tau, ndcg_of_ranks, ndcg_of_target, top_k, top_k_overlap
from chordkit.export.targets import all_targets, find_target


def _scores(seed: int, n: int = 200, candidates: int = 100) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, candidates)).astype(np.float32)


def _noisy(scores: np.ndarray, relative_rms: float, seed: int = 9) -> np.ndarray:
    return scores + relative_rms * _scores(seed, *scores.shape)


# --- measures


def _tau_by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Tau-b (Kendall 1945): (concordant - discordant) / sqrt((pairs - ties in a)(pairs - ties in b))."""
    balance = untied_a = untied_b = 0
    for i, j in itertools.combinations(range(len(a)), 2):
        sign_a, sign_b = np.sign(a[i] - a[j]), np.sign(b[i] - b[j])
        balance += int(sign_a * sign_b)
        untied_a += sign_a != 0
        untied_b += sign_b != 0
    if untied_a == 0 or untied_b == 0:
        return float(untied_a == untied_b)
    return balance / math.sqrt(untied_a * untied_b)


FEW_VALUES = st.integers(-3, 3).map(float)  # many ties
PAIRS = st.integers(2, 7).flatmap(lambda width: arrays(np.float32, (2, 3, width), elements=FEW_VALUES))


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_kendall_tau_is_tau_b_ties_included(pair: np.ndarray) -> None:
    expected = [_tau_by_definition(x, y) for x, y in zip(pair[0], pair[1], strict=True)]
    assert kendall_tau(pair[0], pair[1]) == pytest.approx(expected, abs=1e-12)


def test_kendall_tau_of_a_hundred_candidates_does_not_overflow_its_small_integers() -> None:
    ramp = np.arange(300, dtype=np.float32)[None]
    assert kendall_tau(ramp, ramp)[0] == 1.0
    assert kendall_tau(ramp, -ramp)[0] == -1.0


def test_noise_lowers_tau_by_the_closed_form_that_the_tolerance_uses() -> None:
    for noise in (0.02, 0.1):
        expected = 1 - 2 / math.pi * math.atan(noise)
        scores = _scores(1, n=2000)
        measured = kendall_tau(scores, _noisy(scores, noise))
        # The mean of 2,000 histories; the standard error is taken from the sample.
        assert measured.mean() == pytest.approx(expected, abs=4 * measured.std() / math.sqrt(2000))


def test_top_k_and_overlap_follow_the_order_and_break_ties_by_column() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    assert top_k(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    other = np.array([[3.0, 0.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0]], np.float32)
    assert top_k_overlap(scores, other, 2).tolist() == [0.0, 0.5]
    assert top_k_overlap(scores, other, 10).tolist() == [1.0, 1.0]


def test_ndcg_of_a_target_is_the_discount_of_its_rank() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0]] * 3, np.float32)
    assert ndcg_of_target(scores, np.array([0, 2, 3]), k=3) == pytest.approx([1.0, 1 / math.log2(4), 0.0])


def test_ndcg_of_ranks_is_one_for_the_references_order_and_less_for_any_other() -> None:
    reference = np.array([[4.0, 3.0, 2.0, 1.0]], np.float32)
    assert ndcg_of_ranks(reference * 7 - 3, reference, 3)[0] == pytest.approx(1.0)
    discounts = [1 / math.log2(2 + rank) for rank in range(3)]
    expected = (2 * discounts[0] + 3 * discounts[1] + 1 * discounts[2]) / (3 * discounts[0] + 2 * discounts[1] + 1 * discounts[2])
    assert ndcg_of_ranks(np.array([[3.0, 4.0, 2.0, 1.0]], np.float32), reference, 3)[0] == pytest.approx(expected)


# --- the comparison


def test_equal_scores_pass_with_nothing_lost() -> None:
    scores = _scores(0)
    report = compare(scores, scores, FP32_TOLERANCE, targets=np.zeros(200, np.int32))
    assert report.passed and report.reasons == ()
    assert (report.max_abs_error, report.mean_abs_error, report.ndcg_difference, report.non_finite) == (0, 0, 0, 0)
    assert (report.kendall_tau, report.kendall_tau_min, report.top10_overlap) == (1, 1, 1)
    assert (report.n, report.candidates, report.k) == (200, 100, 10)
    assert report.require("x") is report
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_errors_are_relative_to_the_spread_so_that_neither_scale_nor_offset_of_a_model_matters() -> None:
    scores = _scores(0).astype(np.float64)
    plain = compare(_noisy(scores, 0.01), scores, INT8_ACTIVATION_TOLERANCE)
    moved = compare(_noisy(scores, 0.01) * 50 + 1000, scores * 50 + 1000, INT8_ACTIVATION_TOLERANCE)
    assert moved.relative_rms_error == pytest.approx(plain.relative_rms_error)
    assert moved.max_relative_error == pytest.approx(plain.max_relative_error)
    assert moved.max_abs_error == pytest.approx(50 * plain.max_abs_error)
    assert plain.relative_rms_error == pytest.approx(0.01, rel=0.05)


def test_rounding_passes_the_float_tolerance_and_quantised_activations_pass_only_their_own() -> None:
    scores = _scores(0, n=1000)
    assert compare(_noisy(scores, 1e-5), scores, FP32_TOLERANCE).passed
    measured = compare(_noisy(scores, 0.009), scores, INT8_ACTIVATION_TOLERANCE)  # 0.9 % was measured with 8-bit activations
    assert measured.passed, measured.reasons
    assert not compare(_noisy(scores, 0.009), scores, FP32_TOLERANCE).passed


@pytest.mark.parametrize(
    ("miss", "tolerance"),
    [
        ("relative_rms_error", {"relative_rms_error": 0.0299}),
        ("max_relative_error", {"max_relative_error": 0.05}),
        ("kendall_tau", {"kendall_tau": 0.999}),
        ("top10_overlap", {"top10_overlap": 0.9999}),
        ("ndcg_difference", {"ndcg_difference": 1e-5}),
    ],
)
def test_each_tolerance_is_a_gate_of_its_own(miss: str, tolerance: dict[str, float]) -> None:
    wide = INT8_ACTIVATION_TOLERANCE.model_copy(
        update={"relative_rms_error": 1.0, "max_relative_error": 9.0, "kendall_tau": 0.0, "top10_overlap": 0.0, "ndcg_difference": 1.0}
    )
    scores = _scores(0)
    noisy = _noisy(scores, 0.03)
    assert compare(noisy, scores, wide).passed
    report = compare(noisy, scores, wide.model_copy(update=tolerance))
    assert not report.passed
    assert [reason.split()[0] for reason in report.reasons] == [miss]
    with pytest.raises(CheckFailed, match=f"artifact x: does not agree with the reference: {miss}") as caught:
        report.require("artifact x")
    assert ("train it longer" in str(caught.value)) is (miss in ("kendall_tau", "top10_overlap"))


def test_a_score_that_is_no_number_fails_whatever_the_rest_says() -> None:
    scores = _scores(0)
    for value in (np.nan, np.inf, -np.inf):
        broken = scores.copy()
        broken[5, 7] = value
        report = compare(broken, scores, INT8_ACTIVATION_TOLERANCE)
        assert not report.passed
        assert report.non_finite == 1
        assert "1 of 20000 scores are NaN or infinite" in report.reasons
        assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_what_cannot_be_compared_is_said() -> None:
    scores = _scores(0)
    with pytest.raises(CheckFailed, match="cannot be compared"):
        compare(scores[:, :5], scores, FP32_TOLERANCE)
    with pytest.raises(CheckFailed, match="cannot be compared"):
        compare(scores[:0], scores[:0], FP32_TOLERANCE)
    with pytest.raises(CheckFailed, match="backbone itself is broken"):
        compare(scores, np.full_like(scores, np.nan), FP32_TOLERANCE)


def test_with_one_candidate_errors_are_relative_to_the_spread_over_histories() -> None:
    scores = _scores(0, n=200, candidates=1)
    for scale, offset in ((1.0, 0.0), (1e-3, 0.0), (100.0, 7.0)):
        reference = scores.astype(np.float64) * scale + offset
        report = compare(reference + 0.57 * scale * _scores(1, 200, 1), reference, INT8_ACTIVATION_TOLERANCE)
        assert not report.passed
        assert report.score_spread == pytest.approx(scale, rel=0.2) and report.relative_rms_error == pytest.approx(0.57, rel=0.2)
        near = compare(reference + 1e-5 * scale * _scores(1, 200, 1), reference, FP32_TOLERANCE)
        assert near.passed, near.reasons


@pytest.mark.parametrize(
    "reference",
    [
        np.full((200, 100), 3.25),
        np.zeros((200, 100)),
        np.zeros((200, 1)),
        np.repeat(_scores(0, 200, 1), 100, axis=1),
        np.full((200, 100), 1e6) + 1e-3 * _scores(0),
        _scores(0, 1, 1),
    ],
    ids=["constant", "zero", "one candidate, constant", "the same for all candidates", "up to its own rounding", "one score"],
)
def test_scores_that_do_not_differ_are_not_judged(reference: np.ndarray) -> None:
    with pytest.raises(CheckFailed, match=r"the artifact cannot be judged: the reference's scores do not differ \(\d+ hist"):
        compare(reference.copy(), reference, INT8_ACTIVATION_TOLERANCE)


class _Table:
    """A runner that looks its answers up."""

    def __init__(self, scores: np.ndarray) -> None:
        self.answers = iter(scores)

    def scores(self, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        return next(self.answers)


def test_a_runner_is_asked_once_per_history_and_must_answer_in_shape() -> None:
    scores = _scores(0, n=60, candidates=20)
    histories, candidates = np.zeros((60, 5), np.int32), np.zeros((60, 20), np.int32)
    steps: list[tuple[str, int, int]] = []
    assert (run_all(_Table(scores), histories, candidates, progress=lambda *step: steps.append(step)) == scores).all()
    assert steps == [("parity", 50, 60), ("parity", 60, 60)]
    assert parity(_Table(scores), lambda h, c: scores, histories, candidates, FP32_TOLERANCE).passed
    with pytest.raises(CheckFailed, match=r"shape \[1, 20\] where \[20\]"):
        run_all(_Table(scores[:, None]), histories, candidates)


# --- tolerances


def test_every_target_has_a_tolerance_with_a_derivation_that_keeps_the_overlap_of_the_design() -> None:
    for target in all_targets():
        for activations in target.capability.activations:
            tolerance = target.tolerance(activations)
            assert tolerance.derivation
            assert tolerance.top10_overlap >= 0.99
    assert find_target("litert").tolerance("int8") is INT8_ACTIVATION_TOLERANCE
    assert find_target("litert").tolerance("fp32") is FP32_TOLERANCE


def test_few_histories_get_the_allowance_of_their_number_and_not_more() -> None:
    few = INT8_ACTIVATION_TOLERANCE.for_few(32)
    # 32 x 10 places at 1 % lawful loss: 3.2 swaps expected, standard deviation 1.8, three of them 5.4.
    assert (1 - few.top10_overlap) * 320 == pytest.approx(3.2 + 3 * math.sqrt(3.2), rel=0.01)
    assert few.ndcg_difference == pytest.approx(0.005 * math.sqrt(1000 / 32))
    # 24 x 10 pairs, of which 0.65 % may be exchanged: 1.6 expected, standard deviation 1.25.
    pairs = (1 - INT8_ACTIVATION_TOLERANCE.for_few(24, 5).kendall_tau) / 2 * 240
    assert pairs == pytest.approx(1.56 + 3 * math.sqrt(1.56), rel=0.01)
    assert few.kendall_tau == pytest.approx(INT8_ACTIVATION_TOLERANCE.kendall_tau, abs=2e-3)
    assert few.relative_rms_error == INT8_ACTIVATION_TOLERANCE.relative_rms_error
    assert INT8_ACTIVATION_TOLERANCE.for_few(1000) is INT8_ACTIVATION_TOLERANCE


@pytest.mark.parametrize(("noise", "model"), [(0.005, {"recurrent": True}), (0.002, {"inputs": 256})], ids=["recurrence", "wide rows"])
def test_where_many_codes_flip_they_do_in_most_histories_but_not_in_all(noise: float, model: dict[str, Any]) -> None:
    generator = np.random.default_rng(4)
    reference = generator.normal(size=(40, 20))
    flips = noise * generator.normal(size=reference.shape)
    honest = reference + flips * (np.arange(40) >= 10)[:, None]
    assert compare(honest, reference, INT8_ACTIVATION_TOLERANCE.for_few(40), emulated=reference, **model).passed
    assert not compare(honest, reference, INT8_ACTIVATION_TOLERANCE.for_few(40), emulated=reference).passed
    in_all = compare(reference + flips, reference, INT8_ACTIVATION_TOLERANCE.for_few(40), emulated=reference, **model)
    assert [reason.split(",")[0] for reason in in_all.reasons] == ["emulation_rms_error of the tenth of the histories that agree best"]
