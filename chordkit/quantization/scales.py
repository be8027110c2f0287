"""From float weights to the int8 master: scales and the fixed-point ratios from which int4 and int2 follow."""

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import RANGES, WIDTHS, QuantizedRows, ScalePolicy, derive_codes

_SMALLEST = np.float32(np.finfo(np.float32).tiny)
_CHUNK = 1 << 21
_CANDIDATES = {2: 96, 4: 48}
# The best int4 step lies between 0.35 and 1 times absmax/7, the best int2 step between 0.04 and 1.05 times absmax (heavy tails
# clip far inside), found on Gaussian, Laplace and Student-t(3) rows of 16 to 4096 weights.
_STEP_RANGE = {2: (0.04, 1.05), 4: (0.35 / 7, 1.02 / 7)}


def _to_q15(ratio: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(ratio * 32768.0), 1, 32767).astype(np.int16)


def _least_squares_scale(weight: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best positive scale of given codes and the squared error it leaves; rows along the last axis."""
    codes = codes.astype(np.float64)
    cross, energy = (weight * codes).sum(-1), (codes * codes).sum(-1)
    scale = np.divide(cross, energy, out=np.zeros_like(cross), where=energy > 0)
    return scale, (weight * weight).sum(-1) - scale * cross


def _search(weight: np.ndarray, codes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and scale of least squared error for each row."""
    first, last = _STEP_RANGE[width]
    steps = np.geomspace(first, last, _CANDIDATES[width])
    best_error = np.full(len(codes), np.inf)
    best_ratio = np.ones(len(codes), np.int16)
    best_scale = np.zeros(len(codes))
    for ratio in np.unique(_to_q15(1.0 / (127.0 * steps))):
        ratios = np.full((2, len(codes)), ratio, np.int16)
        scale, error = _least_squares_scale(weight, derive_codes(codes, ratios, width))
        better = (error < best_error) & (scale > 0)
        best_error[better], best_scale[better], best_ratio[better] = error[better], scale[better], ratio
    return best_ratio, best_scale


def quantize_rows(weight: np.ndarray, policy: ScalePolicy = ScalePolicy.MSE) -> QuantizedRows:
    """Quantise a layer's weights per output channel.

    int8 scale = absmax / 127. int4 and int2 codes are functions of the int8 code (``derive_codes``); policy ``MSE`` searches the
    ratio that leaves the least squared error and takes the least-squares scale for the codes it gives, policy ``ABSMAX`` puts the
    largest magnitude on the highest code (7; 1, hence ternary).

    Args:
        weight: float ``[out, in]``.
        policy: how the int4 and int2 scales are chosen.

    Returns:
        Codes, scales and ratios; a row of zeros gets zero codes.

    Raises:
        MasterError: the weight is not a matrix or holds NaN or infinity.
    """
    weight = np.asarray(weight, np.float32)
    if weight.ndim != 2 or 0 in weight.shape:
        raise MasterError(f"weights of shape {weight.shape} cannot be quantised per channel; [out, in] is needed")
    if not np.isfinite(weight).all():
        row = int(np.flatnonzero(~np.isfinite(weight).all(1))[0])
        raise MasterError(f"weights of channel {row} hold NaN or infinity; a model that diverged cannot be quantised")
    absmax = np.abs(weight).max(1)
    scale8 = np.maximum(absmax / np.float32(127), _SMALLEST).astype(np.float32)
    codes = np.clip(np.rint(weight / scale8[:, None]), *RANGES[8]).astype(np.int8)
    scales = np.empty((3, len(weight)), np.float32)
    scales[2] = scale8
    ratios = np.empty((2, len(weight)), np.int16)
    for index, width in enumerate(WIDTHS[:2]):
        high = 1 if width == 2 else RANGES[width][1]
        ratios[index] = _to_q15(np.float64(high / 127))
        scales[index] = np.maximum(absmax / np.float32(high), _SMALLEST)
        if policy == ScalePolicy.MSE:
            chunk = max(1, _CHUNK // weight.shape[1])
            for start in range(0, len(weight), chunk):
                part = slice(start, start + chunk)
                # Rows are brought to absmax 1 first, so that denormal and huge rows are searched like any other.
                unit = weight[part].astype(np.float64) / np.maximum(absmax[part].astype(np.float64), float(_SMALLEST))[:, None]
                ratio, scale = _search(unit, codes[part], width)
                found = (scale > 0) & (absmax[part] > 0)
                ratios[index, part] = np.where(found, ratio, ratios[index, part])
                searched = np.maximum(scale * absmax[part], float(_SMALLEST)).astype(np.float32)
                scales[index, part] = np.where(found, searched, scales[index, part])
    return QuantizedRows(codes, scales, ratios)
