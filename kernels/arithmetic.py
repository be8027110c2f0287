"""What the native engine computes with, in numpy: the same operations in the same order, so that floats agree bit for bit."""

from dataclasses import dataclass

import numpy as np

F32 = np.float32
LANES = 16
SMALLEST_MAX = F32(1e-30)
ENLARGED = {0: 0, 2: 63, 4: 18, 8: 1}  # what brings the codes of a width to the range of int8
LARGEST_CODE = {0: 0, 2: 2, 4: 7, 8: 127}  # of a width, in magnitude


def fma(a: np.ndarray | F32, b: np.ndarray | F32, c: np.ndarray | F32) -> np.ndarray:
    """a * b + c with one rounding.

    The product is exact in fp64. The sum is rounded to odd: where something is left over, its last bit becomes 1, so that the rounding to
    fp32 does not take for a tie what is none.
    """
    product = np.asarray(a, np.float64) * b
    total = np.asarray(product + c)
    part = total - product
    rest = (product - (total - part)) + (c - part)
    bits = total.view(np.int64)
    inexact = (rest != 0) & np.isfinite(total) & (bits & 1 == 0)
    return (bits + np.where(inexact, np.where((rest > 0) == (total > 0), 1, -1), 0)).view(np.float64).astype(F32)


def fold(lanes: np.ndarray) -> np.ndarray:
    """Sum of the last axis of 16 lanes, halved four times: the order in which every kernel variant adds."""
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def lane_sum(x: np.ndarray) -> np.ndarray:
    """Sum over the last axis: lane = index mod 16, then folded."""
    padded = np.zeros((*x.shape[:-1], -(-x.shape[-1] // LANES) * LANES), F32)
    padded[..., : x.shape[-1]] = x
    lanes = np.zeros((*x.shape[:-1], LANES), F32)
    for start in range(0, padded.shape[-1], LANES):
        lanes = lanes + padded[..., start : start + LANES]
    return fold(lanes)


def lane_dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products over the last axis in 16 lanes of multiply-adds."""
    a, b = np.broadcast_arrays(a, b)
    lanes = np.zeros((*a.shape[:-1], LANES), F32)
    for start in range(0, a.shape[-1], LANES):
        lanes = fma(a[..., start : start + LANES], b[..., start : start + LANES], lanes)
    return fold(lanes)


def chains(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """sum over t of p[t] x[t, :] in four chains of multiply-adds, t mod 4."""
    sums = np.zeros((4, x.shape[1]), F32)
    for t in range(len(x)):
        sums[t % 4] = fma(p[t], x[t], sums[t % 4])
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


def times_power(p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """p 2^n; NaN stays NaN."""
    return np.ldexp(p, np.where(np.isnan(n), F32(0), n).astype(np.int32)).astype(F32)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), where NaN stays NaN and -0 becomes 0."""
    return np.where(x <= 0, F32(0), x)


def exp(x: np.ndarray) -> np.ndarray:
    """exp of x <= 0, clamped at -64: 2^n times a polynomial (constants of kernels/libchord/ukernels/constants.h)."""
    x = np.maximum(np.asarray(x, F32), F32(-64))  # of numpy's two maxima the one that keeps NaN
    n = np.rint(x.astype(np.float64) * F32(1.44269504)).astype(F32)
    r = fma(n, F32(-0.69314718), x)
    p = np.full_like(r, 1.3888889e-3)
    for coefficient in (8.3333333e-3, 4.1666667e-2, 1.6666667e-1, 0.5, 1, 1):
        p = fma(p, r, F32(coefficient))
    return times_power(p, n)


def exp2(x: np.ndarray) -> np.ndarray:
    """2^x of x <= 0, clamped at -92: 2^n times a polynomial (constants of kernels/libchord/ukernels/constants.h)."""
    x = np.maximum(np.asarray(x, F32), F32(-92))
    n = np.rint(x)
    r = x - n
    p = np.full_like(r, 9.582853e-3)
    for coefficient in (5.5906426e-2, 2.4024099e-1, 6.9312418e-1, 1):
        p = fma(p, r, F32(coefficient))
    return times_power(p, n)


def softmax_parts(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2^(s - max) and 1 / sum over the last axis; log2 e is in the queries' scales."""
    p = exp2(scores - scores.max(-1, keepdims=True))
    return p, F32(1) / lane_sum(p)


def gelu(x: np.ndarray) -> np.ndarray:
    """x Phi(x) with erf by Abramowitz and Stegun 7.1.26."""
    z = np.abs(x) * F32(0.70710678)
    t = F32(1) / fma(F32(0.3275911), z, F32(1))
    p = np.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = fma(p, t, F32(coefficient))
    erf = F32(1) - (p * t) * exp(-(z * z))
    return fma(np.abs(x), erf, x) * F32(0.5)


@dataclass(frozen=True)
class Activations:
    """Rows quantised to int8, one scale a row."""

    codes: np.ndarray
    scales: np.ndarray


def quantize(x: np.ndarray) -> Activations:
    """Dynamic quantisation: scale = max|x| / 127 for each row of ``x [rows, width]``; NaN, with codes 0, for a row that is not finite."""
    most = np.abs(x).max(-1, initial=F32(0))
    finite = np.isfinite(most)
    inverse = np.divide(F32(127), most, out=np.zeros_like(most), where=finite & (most >= SMALLEST_MAX))
    # The product is exact in fp64: rounded once.
    codes = np.rint(np.where(finite[:, None], x, F32(0)).astype(np.float64) * inverse[:, None]).astype(np.int8)
    return Activations(codes, np.where(finite, most * F32(1 / 127), F32(np.nan)))


@dataclass(frozen=True)
class Linear:
    """A layer at the widths of a strategy: ``act(x W^T + b)`` from quantised inputs."""

    codes: np.ndarray
    scales: np.ndarray
    bias: np.ndarray

    def __call__(self, a: Activations, clamp: bool = False) -> np.ndarray:
        sums = (a.codes.astype(np.float64) @ self.codes.T.astype(np.float64)).astype(F32)
        y = fma(sums * self.scales, a.scales[:, None], self.bias)
        return relu(y) if clamp else y

    def wide(self, x: np.ndarray, clamp: bool = False) -> np.ndarray:
        """The same from 16 bits: those of :func:`quantize`, and as many of what they leave."""
        high = quantize(x)
        low = quantize(x - high.codes.astype(F32) * high.scales[:, None])
        y = self(high) + Linear(self.codes, self.scales, np.zeros_like(self.bias))(low)
        return relu(y) if clamp else y


def without_columns(layer: Linear, kept: np.ndarray, constant: np.ndarray, values: np.ndarray) -> Linear:
    """A layer that reads only the columns ``kept``; the columns ``constant`` have ``values`` in every row and go into its bias.

    Their sums are exact: the values are rounded to integers whose sums fit 32 bits.
    """
    most = np.abs(values).max(initial=F32(0))
    if most < SMALLEST_MAX:
        return Linear(layer.codes[:, kept], layer.scales, layer.bias)
    largest = F32(32767 * 512 // max(512, -(-layer.codes.shape[1] // LANES) * LANES))
    codes = np.rint(values * (largest / most)).astype(np.int64)
    sums = (layer.codes[:, constant].astype(np.int64) @ codes).astype(F32)
    bias = layer.bias + (sums * layer.scales) * (most / largest)
    return Linear(layer.codes[:, kept], layer.scales, bias)


def rounded(codes: np.ndarray, scales: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Rows of codes times their scales in 8 bits that all have one scale: as large as any could be at these widths."""
    most = (scales * np.array([LARGEST_CODE[int(width)] for width in widths], F32)).max(initial=F32(0))
    inverse = F32(127) / most if most >= SMALLEST_MAX else F32(0)
    values = codes.astype(F32) * scales[:, None]
    return np.rint(values.astype(np.float64) * inverse), most * F32(1 / 127)


def meeting(query: Linear, key: Linear, widths: np.ndarray, met: np.ndarray) -> Linear:
    """What meets the input of ``key`` as what ``query`` gives meets its output (see kernels/libchord/src/merge.c).

    ``widths`` are those of the queries, ``met`` those of the keys.
    """
    by = np.array([ENLARGED[int(width)] for width in met])
    codes, scales = key.codes * by[:, None], np.divide(key.scales, by.astype(F32), out=np.zeros_like(key.scales), where=by > 0)
    inner, scale = rounded(query.codes, query.scales * scales, widths)
    rows = quantize((codes.T.astype(np.float64) @ inner).astype(F32))
    return Linear(rows.codes, rows.scales * scale, chains(query.bias * scales, codes.astype(F32)))


def following(value: Linear, output: Linear, widths: np.ndarray) -> Linear:
    """``output`` after ``value``, as one; ``widths`` of the values."""
    inner, scale = rounded(value.codes, value.scales, widths)
    rows = quantize((output.codes.astype(np.float64) @ inner).astype(F32))
    constant = chains(value.bias, output.codes.T.astype(F32)) * output.scales + output.bias
    return Linear(rows.codes, rows.scales * (scale * output.scales), constant)
