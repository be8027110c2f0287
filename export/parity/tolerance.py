"""What an artifact may differ from the reference by, and why (docs/parity.md).

Weights never appear here as a source of error: the reference has exactly the artifact's weights.
"""

import math

from pydantic import BaseModel, ConfigDict


class Tolerance(BaseModel):
    """What an artifact may differ from the reference by.

    Errors are relative to the spread of the reference's scores: the root mean square of a score's distance from the
    mean of its history's candidates (with one candidate: from the mean of all). A model whose scores are all ten times larger
    has the same relative error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    relative_rms_error: float
    max_relative_error: float
    kendall_tau: float
    top10_overlap: float
    ndcg_difference: float
    derivation: str

    def for_few(self, n: int, candidates: int = 100) -> "Tolerance":
        """The same tolerance for ``n`` histories, fewer than the 1,000 that it is stated for, with so many candidates each.

        Ranks are means over histories: with few of them one lawful swap weighs more. Tau gets three standard deviations of the
        binomial count of exchanged pairs, the overlap those of its missing places, NDCG the ratio of the standard errors. The error
        of a score does not depend on n.
        """
        if n >= 1000:
            return self
        missing = 1 - self.top10_overlap
        exchanged, pairs = (1 - self.kendall_tau) / 2, n * max(candidates * (candidates - 1) / 2, 1)
        return self.model_copy(
            update={
                "kendall_tau": 1 - 2 * (exchanged + 3 * math.sqrt(exchanged / pairs)),
                "top10_overlap": 1 - missing - 3 * math.sqrt(missing / (10 * n)),
                "ndcg_difference": self.ndcg_difference * math.sqrt(1000 / n),
            }
        )


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


FP32_TOLERANCE = _fp32_tolerance()
INT8_ACTIVATION_TOLERANCE = _int8_activation_tolerance()


def emulation_limits(inputs: int = 64, recurrent: bool = False) -> tuple[float, float]:
    """What an artifact may differ by from the reference with emulated 8-bit activations: relative rms and maximum.

    Only rounding flips are left: a value that lies within float32 rounding of the border between two codes moves by one code. Of the
    codes in a row at most one flips at a time, which changes a row of 64 by 1 / (sqrt(64) x 54) of its rms (54 codes to a standard
    deviation) = 0.23 %, in fewer than one row in five: 0.1 %. In a shorter row a flip weighs more, by the square root of the ratio. In a
    longer one it weighs less, and flips so many codes of the next layers that about as much arrives at the scores; but d codes, each of d
    products that were added in another order, flip d sqrt(d) times as often, and rms is the root of how often.

    A recurrence quantises again what a flip has moved, which flips more codes, until every code of the state is rounded on its own: two
    independent roundings differ by sqrt(2) x 0.54 % of a row's rms (see the int8 tolerance), the largest of 1e5 errors by 8 times that.

    Args:
        inputs: of the model's shallowest quantised layer.
        recurrent: a quantised layer runs more than once for a history.
    """
    independent = math.sqrt(2) * 0.0054
    if recurrent:
        return independent, 8 * independent
    if inputs < 64:
        return 0.001 * math.sqrt(64 / inputs), 0.03 * math.sqrt(64 / inputs)
    more = (inputs / 64) ** 0.75
    return min(0.001 * more, independent), min(0.03 * more, 8 * independent)
