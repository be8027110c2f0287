"""From float weights to the int8 master: scales and the fixed-point ratios from which int4 and int2 follow."""

import functools
from collections.abc import Iterator

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import RANGES, WIDTHS, QuantizedRows, ScalePolicy, derive_codes

LARGEST_WEIGHT = 2.0**100
"""Weights beyond this are refused: products with them leave float32."""
NEGLIGIBLE_WEIGHT = 2.0**-100
"""A channel below this counts as zeros, so that no scale, nor its product with an activation's, is ever denormal (and slow)."""

_LEVELS = 2 * RANGES[8][1] + 1
_CHUNK_WEIGHTS = 1 << 20
_CHUNK_ROWS = 1 << 11


@functools.lru_cache(maxsize=2)
def _derivations(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every different way to derive a width from int8 codes.

    Ratios between which no int8 code changes its derived code are equivalent, so a few hundred ratios stand for all 32,767 of Q15.

    Returns:
        int16 ``[n]`` ratios, ascending, and float64 ``[255, n]``: the derived code of each int8 code -127..127.
    """
    ratios = np.arange(1, 1 << 15, dtype=np.int16)
    levels = np.arange(-RANGES[8][1], RANGES[8][1] + 1, dtype=np.int8)
    # As if each ratio were a channel that holds every code once.
    derived = derive_codes(np.broadcast_to(levels, (len(ratios), _LEVELS)), np.stack([ratios, ratios]), width)
    first = np.flatnonzero(np.r_[True, (derived[1:] != derived[:-1]).any(1)])
    # The middle of its interval stands for it.
    last = np.r_[first[1:], len(ratios)] - 1
    middle = (first + last) // 2
    return ratios[middle], np.ascontiguousarray(derived[middle].T).astype(np.float64)


def _least_error(weight: np.ndarray, codes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row the ratio of least squared error over all of Q15, and the least-squares scale of the codes it gives.

    Error and scale of a row depend on its weights only through two histograms over the 255 int8 codes, the count and the sum of the
    weights that have the code. With those, trying every derivation is a matrix product: for codes d(v), cross = sum of S[v] d(v),
    energy = sum of N[v] d(v)^2, scale = cross / energy, error = |w|^2 - cross^2 / energy.
    """
    rows = len(weight)
    bins = (codes.astype(np.int64) + RANGES[8][1] + _LEVELS * np.arange(rows)[:, None]).reshape(-1)
    counts = np.bincount(bins, minlength=rows * _LEVELS).reshape(rows, _LEVELS).astype(np.float64)
    sums = np.bincount(bins, weights=weight.reshape(-1), minlength=rows * _LEVELS).reshape(rows, _LEVELS)
    ratios, derived = _derivations(width)
    cross, energy = sums @ derived, counts @ (derived * derived)
    explained = np.divide(cross * cross, energy, out=np.zeros_like(cross), where=energy > 0)
    # Equal derivations of this row differ in the last bits, in ways that depend on the BLAS: rounding lets the first of them win.
    share = np.round(explained / (weight * weight).sum(1, keepdims=True), 10)
    best = share.argmax(1)
    index = np.arange(rows)
    return ratios[best], cross[index, best] / energy[index, best]


def quantize_rows(weight: np.ndarray, policy: ScalePolicy = ScalePolicy.MSE, *, name: str = "") -> QuantizedRows:
    """Quantise a layer's weights per output channel.

    int8 scale = absmax / 127. int4 and int2 codes are functions of the int8 code (``derive_codes``); policy ``MSE`` takes the
    ratio that leaves the least squared error of all ratios there are, and the least-squares scale for the codes it gives, policy
    ``ABSMAX`` puts the largest magnitude on the highest code (7; 1, hence ternary).

    Args:
        weight: float ``[out, in]``.
        policy: how the int4 and int2 scales are chosen.
        name: of the layer, for error messages.

    Returns:
        Codes, scales and ratios; a row of zeros (or below ``NEGLIGIBLE_WEIGHT``) gets zero codes and scale 1.

    Raises:
        MasterError: the weight is not a matrix, or holds NaN, infinity or numbers beyond ``LARGEST_WEIGHT``.
    """
    where = f"layer '{name}'" if name else "a layer"
    weight = checked_weights(weight, where)
    rows, columns = weight.shape
    result = QuantizedRows(np.empty((rows, columns), np.int8), np.empty((3, rows), np.float32), np.empty((2, rows), np.int16))
    for part in row_chunks(weight):
        result.codes[part], result.scales[:, part], result.ratios[:, part] = _quantize_chunk(weight[part], policy)
    return result


def row_chunks(weight: np.ndarray) -> Iterator[slice]:
    """Slices of rows whose intermediate results stay below about 100 MB."""
    chunk = max(1, min(_CHUNK_WEIGHTS // weight.shape[1], _CHUNK_ROWS))
    for start in range(0, len(weight), chunk):
        yield slice(start, start + chunk)


def checked_weights(weight: np.ndarray, where: str) -> np.ndarray:
    """float32 ``[rows, columns]`` of numbers that can be quantised; ``where`` names them in the MasterError otherwise."""
    weight = np.asarray(weight)
    if weight.ndim != 2 or 0 in weight.shape or weight.dtype.kind != "f":
        raise MasterError(f"weights of {where} are {weight.dtype} of shape {weight.shape}; floats [rows, columns] are needed")
    # Written so that NaN fails too.
    sound = (np.abs(weight) <= LARGEST_WEIGHT).all(1)
    if not sound.all():
        raise MasterError(
            f"weights of {where}, row {int(np.flatnonzero(~sound)[0])}, hold NaN, infinity or numbers beyond 2^100; "
            "the model diverged, train it again with a lower learning rate"
        )
    return weight.astype(np.float32, copy=False)


def _quantize_chunk(weight: np.ndarray, policy: ScalePolicy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes, scale8 = quantize_int8(weight)
    scales, ratios = np.empty((3, len(weight)), np.float32), np.empty((2, len(weight)), np.int16)
    scales[2] = scale8
    for index, width in enumerate(WIDTHS[:2]):
        ratios[index], scales[index] = derive_scale(weight, codes, width, policy)
    return codes, scales, ratios


def quantize_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes ``[rows, columns]`` and scales ``[rows]`` (absmax / 127) of checked weights; rows of zeros get scale 1."""
    absmax = np.abs(weight).max(1)
    alive = absmax >= NEGLIGIBLE_WEIGHT
    scale = np.where(alive, absmax / np.float32(RANGES[8][1]), np.float32(1))
    codes = np.rint(np.where(alive[:, None], weight, np.float32(0)) / scale[:, None])
    return np.clip(codes, *RANGES[8]).astype(np.int8), scale


def derive_scale(weight: np.ndarray, codes: np.ndarray, width: int, policy: ScalePolicy) -> tuple[np.ndarray, np.ndarray]:
    """int16 ratios and float32 scales ``[rows]`` of width 2 or 4 for checked weights and their int8 codes."""
    high = RANGES[width][1]
    absmax = np.abs(weight).max(1)
    alive = absmax >= NEGLIGIBLE_WEIGHT
    ratio = np.full(len(weight), round(high / RANGES[8][1] * (1 << 15)), np.int16)
    scale = np.where(alive, absmax / np.float32(high), np.float32(1))
    if policy == ScalePolicy.MSE and alive.any():
        # Rows with absmax 1, so that squares of tiny and huge ones stay in range.
        unit = weight[alive].astype(np.float64) / absmax[alive, None]
        ratio[alive], least_squares = _least_error(unit, codes[alive], width)
        scale[alive] = least_squares * absmax[alive]
    return ratio, scale
