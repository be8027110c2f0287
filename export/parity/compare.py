"""Parity: does an artifact score and rank as the PyTorch reference does, in numbers with stated tolerances?

The gate that every artifact passes before it is shipped, and the only defence against runtimes that are silently wrong
(docs/parity.md has the derivations, the cases it has caught, and what it cannot see). The reference is the model of
DESIGN.md, contract 1: dequantised float32 weights, float32 activations.

No runtime is imported here: an artifact comes as a runner, the reference as a function.
"""

import math
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chordkit.errors import CapabilityError, CheckFailed
from chordkit.export.parity.measures import kendall_tau, ndcg_of_ranks, ndcg_of_target, top_k_overlap
from chordkit.export.targets.target import Target
from chordkit.progress import Progress

Ids = NDArray[np.int32]
Scores = NDArray[np.float32]
ScoresFn = Callable[[Ids, Ids], NDArray[np.floating]]
"""Histories ``[n, length]`` and candidates ``[n, candidates]`` to scores ``[n, candidates]``."""
Activations = Literal["fp32", "int8"]


class Runner(Protocol):
    """One loaded artifact: scores of one history's candidates."""

    def scores(self, history: Ids, candidates: Ids) -> NDArray[np.floating]:
        """Scores ``[candidates]`` of ``candidates [candidates]`` after ``history [length]``."""
        ...


class Tolerance(BaseModel):
    """What an artifact may differ from the reference by.

    Errors are relative to the spread of the reference's scores: the root mean square of a score's distance from the
    mean of its history's candidates. A model whose scores are all ten times larger has the same relative error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    relative_rms_error: float
    max_relative_error: float
    kendall_tau: float
    top10_overlap: float
    ndcg_difference: float
    derivation: str

    def for_few(self, n: int) -> "Tolerance":
        """The same tolerance for ``n`` histories, fewer than the 1,000 that it is stated for.

        Overlap and NDCG are means over histories: with few of them one lawful swap at the border weighs more. The
        overlap gets three standard deviations of its binomial count, NDCG the ratio of the standard errors. The error
        of a score does not depend on n.
        """
        if n >= 1000:
            return self
        missing = 1 - self.top10_overlap
        return self.model_copy(
            update={
                "top10_overlap": 1 - missing - 3 * math.sqrt(missing / (10 * n)),
                "ndcg_difference": self.ndcg_difference * math.sqrt(1000 / n),
            }
        )


class ParityReport(BaseModel):
    """The comparison of one artifact with its reference.

    Attributes:
        n: histories compared; candidates: scored per history; k: depth of the overlap and of NDCG.
        score_spread: root mean square of the reference's scores around their history's mean, the unit of the relative errors.
        max_abs_error, mean_abs_error: over all scores, in the model's own unit.
        relative_rms_error, max_relative_error: the error's root mean square and maximum over ``score_spread``.
        kendall_tau: mean tau-b over the histories; kendall_tau_min: the worst history's.
        top10_overlap: mean share of the reference's top k that are in the artifact's.
        ndcg_reference, ndcg_difference: mean NDCG@k of the reference, and the artifact's minus it.
        non_finite: scores that are NaN or infinite; they count as 0 in the errors and rank last.
        emulation_rms_error, emulation_max_error: relative distance from the reference with emulated 8-bit activations, for
            artifacts that quantise theirs: what is left is the implementation's own. None where it was not compared.
        reasons: one sentence per missed tolerance; empty when ``passed``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    candidates: int
    k: int
    score_spread: float
    max_abs_error: float
    mean_abs_error: float
    relative_rms_error: float
    max_relative_error: float
    kendall_tau: float
    kendall_tau_min: float
    top10_overlap: float
    ndcg_reference: float
    ndcg_difference: float
    non_finite: int
    emulation_rms_error: float | None = None
    emulation_max_error: float | None = None
    tolerance: Tolerance
    passed: bool
    reasons: tuple[str, ...]

    def require(self, what: str) -> "ParityReport":
        """This report, if it passed.

        Raises:
            CheckFailed: a tolerance was missed; the sentence names ``what`` and every miss.
        """
        if not self.passed:
            raise CheckFailed(f"{what}: does not agree with the reference: {'; '.join(self.reasons)}")
        return self


# --- tolerances -----------------------------------------------------------------------------------------------------

_UNIT_ROUNDOFF = 2.0**-24


def _tau_of_noise(relative_rms: float) -> float:
    """Expected Kendall tau of Gaussian scores with independent noise: 1 - (2/pi) atan(relative rms).

    Signal and noisy signal correlate by r = 1/sqrt(1 + e^2), and tau = (2/pi) asin(r) for a bivariate normal.
    """
    return 1 - 2 / math.pi * math.atan(relative_rms)


def _fp32_tolerance() -> Tolerance:
    # A sum of K products in another order differs by about sqrt(K) unit roundoffs (Higham & Mary 2019, with lambda = 4 for
    # one failure in 10^3 sums). K = 256 covers d, L, ffn_dim and Caser's windows at d = 64; 16 sums lie in series
    # (2 blocks x (value, scores, output, ffn1, ffn2, 2 norms) + final norm + the score); a LayerNorm or softmax between
    # them amplifies by at most about 10 on a trained model.
    rms = 10 * math.sqrt(16) * 4 * math.sqrt(256) * _UNIT_ROUNDOFF
    return Tolerance(
        relative_rms_error=round(rms, 6),
        max_relative_error=round(10 * rms, 5),
        kendall_tau=0.999,
        top10_overlap=0.999,
        ndcg_difference=0.0005,
        derivation="float32 sums in another order: 10 (norms) x sqrt(16 in series) x 4 sqrt(256) unit roundoffs; "
        "the largest of 1e5 errors 10 x the rms",
    )


def _int8_activation_tolerance() -> Tolerance:
    # Per-row 8-bit activations: the step of a row of 64 Gaussians is its range (4.7 sd) / 255, or 2 x 2.4 sd / 254, and the
    # error of a uniform quantiser is step / sqrt(12): 0.54 % of the row's rms. The noise of a Linear's input is the noise of
    # its output. 6 Linears a block, two blocks, adding in quadrature: 1.9 %. Rows have heavier tails than a Gaussian, but
    # the residual stream passes each layer's noise on diluted; 0.9 % was measured. Anything past 1.4 % costs more than
    # 0.01 of the top-10 overlap that DESIGN.md demands (100 Gaussian candidates have 17.5 scores per sd at the border).
    rms = 0.02
    return Tolerance(
        relative_rms_error=rms,
        max_relative_error=8 * rms,
        kendall_tau=round(_tau_of_noise(rms), 3),
        top10_overlap=0.99,
        ndcg_difference=0.005,
        derivation="8-bit activations per row: 0.54 % a Linear, 12 of them in quadrature; the largest of 1e5 errors 8 x the rms; "
        "tau = 1 - (2/pi) atan(rms)",
    )


# Against emulated activation quantisation only rounding flips are left: a value that lies within float32 rounding of the
# border between two codes moves by one code. Of 64 codes in a row at most one flips at a time, which changes the row by
# 1 / (sqrt(64) x 54) of its rms (54 codes to a standard deviation) = 0.23 %, in fewer than one row in five: 0.1 %.
EMULATION_RMS_ERROR = 0.001
EMULATION_MAX_ERROR = 0.03

FP32_TOLERANCE = _fp32_tolerance()
INT8_ACTIVATION_TOLERANCE = _int8_activation_tolerance()

# The one table. Weights never appear in it as a source of error: the reference has exactly the artifact's weights.
TOLERANCES: dict[tuple[str, str, Activations], Tolerance] = {
    (target, precision, activations): FP32_TOLERANCE if activations == "fp32" else INT8_ACTIVATION_TOLERANCE
    for target in map(str, Target)
    for precision in ("fp32", "int8", "strategy")
    for activations in ("fp32", "int8")
    if not (precision == "fp32" and activations == "int8")
}


def tolerance_for(target: str, precision: str, activations: Activations) -> Tolerance:
    """The stated tolerance of an artifact whose quantised layers compute with ``activations``.

    Raises:
        CapabilityError: no such combination is made by chordkit.
    """
    try:
        return TOLERANCES[str(target), str(precision), activations]
    except KeyError:
        raise CapabilityError(
            f"there is no parity tolerance for target {target!s}, precision {precision!s}, {activations} activations"
        ) from None


# --- the comparison -------------------------------------------------------------------------------------------------


def run_all(runner: Runner, histories: Ids, candidates: Ids, progress: Progress | None = None) -> Scores:
    """Scores ``[n, candidates]`` of every history through ``runner``.

    Raises:
        CheckFailed: the runner answers with another shape than it was asked for.
    """
    result = np.empty(candidates.shape, np.float32)
    for row, (history, ids) in enumerate(zip(histories, candidates, strict=True)):
        answer = np.asarray(runner.scores(history, ids))
        if answer.shape != ids.shape:
            raise CheckFailed(f"the artifact answers with scores of shape {list(answer.shape)} where {list(ids.shape)} were asked for")
        result[row] = answer
        if progress is not None and (row % 50 == 49 or row + 1 == len(histories)):
            progress("parity", row + 1, len(histories))
    return result


def compare(
    scores: NDArray[np.floating],
    reference: NDArray[np.floating],
    tolerance: Tolerance,
    *,
    k: int = 10,
    targets: NDArray[np.integer] | None = None,
    emulated: NDArray[np.floating] | None = None,
) -> ParityReport:
    """Compare two ``[n, candidates]`` arrays of scores.

    Args:
        scores: the artifact's.
        reference: the reference's; must be finite.
        tolerance: what may differ.
        k: depth of overlap and NDCG.
        targets: column of the relevant candidate of each row (the held-out item); without it the reference's own
            ranking is what NDCG takes as relevant, and its NDCG is 1.
        emulated: scores of the reference with emulated activation quantisation (``parity_activations``), which the
            artifact must meet much more closely than ``reference``; may cover the first rows only.

    Raises:
        CheckFailed: the shapes differ or the reference itself is not finite.
    """
    if scores.shape != reference.shape or scores.ndim != 2 or scores.size == 0:
        raise CheckFailed(f"scores of shape {list(scores.shape)} cannot be compared with a reference of shape {list(reference.shape)}")
    if not np.isfinite(reference).all():
        raise CheckFailed("the reference model gives scores that are not finite; the backbone itself is broken")
    broken = ~np.isfinite(scores)
    expected = reference.astype(np.float64)
    error = np.abs(np.where(broken, 0.0, scores.astype(np.float64)) - expected)
    ranking = np.where(broken, -np.finfo(np.float32).max, scores)
    spread = float(np.sqrt(np.mean((expected - expected.mean(1, keepdims=True)) ** 2)))
    unit = spread or 1.0
    tau = kendall_tau(ranking, reference)
    if targets is None:
        ndcg_reference, ndcg = 1.0, float(ndcg_of_ranks(ranking, reference, k).mean())
    else:
        ndcg_reference, ndcg = (float(ndcg_of_target(x, targets, k).mean()) for x in (reference, ranking))
    measured = {
        "relative_rms_error": float(np.sqrt(np.mean(error**2))) / unit,
        "max_relative_error": float(error.max()) / unit,
        "kendall_tau": float(tau.mean()),
        "top10_overlap": float(top_k_overlap(reference, ranking, k).mean()),
        "ndcg_difference": ndcg - ndcg_reference,
    }
    non_finite = int(broken.sum())
    reasons = _reasons(measured, tolerance, non_finite, broken.size)
    emulation: dict[str, float] = {}
    if emulated is not None:
        own = np.where(broken, 0.0, scores.astype(np.float64))[: len(emulated)] - emulated
        emulation = {
            "emulation_rms_error": float(np.sqrt(np.mean(own**2))) / unit,
            "emulation_max_error": float(np.abs(own).max()) / unit,
        }
        limits = zip(emulation.items(), (EMULATION_RMS_ERROR, EMULATION_MAX_ERROR), strict=True)
        reasons += tuple(f"{name} {value:.3g} is above {limit:.3g}" for (name, value), limit in limits if value > limit)
    return ParityReport(
        n=len(scores),
        candidates=scores.shape[1],
        k=k,
        score_spread=spread,
        max_abs_error=float(error.max()),
        mean_abs_error=float(error.mean()),
        kendall_tau_min=float(tau.min()),
        ndcg_reference=ndcg_reference,
        non_finite=non_finite,
        tolerance=tolerance,
        passed=not reasons,
        reasons=reasons,
        **measured,
        **emulation,
    )


def parity(
    runner: Runner,
    reference: ScoresFn,
    histories: Ids,
    candidates: Ids,
    tolerance: Tolerance,
    k: int = 10,
    targets: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
) -> ParityReport:
    """Run an artifact and its reference over ``histories [n, length]`` and ``candidates [n, candidates]`` and compare.

    Raises:
        CheckFailed: the artifact answers with a wrong shape. A missed tolerance is no exception: see ``passed``.
    """
    return compare(
        run_all(runner, histories, candidates, progress), np.asarray(reference(histories, candidates)), tolerance, k=k, targets=targets
    )


def _reasons(measured: dict[str, float], tolerance: Tolerance, non_finite: int, size: int) -> tuple[str, ...]:
    reasons = []
    if non_finite:
        reasons.append(f"{non_finite} of {size} scores are NaN or infinite")
    for name in ("relative_rms_error", "max_relative_error"):
        if measured[name] > (limit := getattr(tolerance, name)):
            reasons.append(f"{name} {measured[name]:.3g} is above {limit:.3g}")
    for name in ("kendall_tau", "top10_overlap"):
        if measured[name] < (limit := getattr(tolerance, name)):
            reasons.append(f"{name} {measured[name]:.5f} is below {limit:.5f}")
    if abs(measured["ndcg_difference"]) > tolerance.ndcg_difference:
        reasons.append(f"ndcg_difference {measured['ndcg_difference']:+.5f} is beyond {tolerance.ndcg_difference:.5f}")
    return tuple(reasons)
