"""The arithmetic of the native engine in numpy, step by step, activation quantisation included.

It returns the engine's floats bit for bit. What quantised activations cost is the difference between this and the fp32 reference model
of contract 1 (``chordkit.backbones.from_master``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.errors import InputError, MasterError
from chordkit.inputs import checked_history
from chordkit.kernels.sharpness import is_sharp
from chordkit.quantization import MasterWeights, select_codes
from chordkit.strategy import UserVector, decode_user_vector, encode_user_vector

F32 = np.float32
LANES = 16
SMALLEST_MAX = F32(1e-30)
LOG2E = F32(1.44269504)
ENLARGED = {0: 0, 2: 63, 4: 18, 8: 1}  # what brings the codes of a width to the range of int8


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


@dataclass(frozen=True)
class Head:
    """Channels of an attention head that are on.

    Attributes:
        keys: of queries and keys, where both are.
        values: of the values.
        left: one more row of the keys, for the queries that are off; None if they leave nothing.
    """

    keys: np.ndarray
    values: np.ndarray
    left: Linear | None


class ReferenceEngine:
    """The engine in numpy. Interface and errors as :class:`chordkit.kernels.Engine`, one history at a time.

    Args:
        master: the master weights.
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}; None = int8 everywhere.
        sharp: activations of 16 bits and attention in floats; None = as the engine decides (:func:`chordkit.kernels.is_sharp`).

    Raises:
        MasterError: an architecture that the engine does not run.
    """

    def __init__(self, master: MasterWeights, widths: np.ndarray | None = None, sharp: bool | None = None) -> None:
        table = master.channel_table
        chosen = np.full(table.channels, 8, np.uint8) if widths is None else np.asarray(widths, np.uint8)
        self.config: dict[str, Any] = dict(master.config)
        if self.config["architecture"] not in _HIDDEN:
            raise MasterError(f"architecture {self.config['architecture']!r} is none that this engine runs ({', '.join(_HIDDEN)})")
        self.tensors, self.tables, self.fingerprint = master.tensors, master.embeddings, master.fingerprint
        self.sharp = is_sharp(master) if sharp is None else sharp
        self.layers: dict[str, Linear] = {}
        self._widths = {name: chosen[table.layer_slice(name)] for name in master.layers}
        for name, layer in master.layers.items():
            codes, scales = select_codes(layer.rows, chosen[table.layer_slice(name)])
            factor = F32(1)
            if name.endswith(".query"):
                factor = LOG2E / np.sqrt(F32(int(self.config["dim"]) // int(self.config["heads"])))
            bias = np.zeros(len(codes), F32) if layer.bias is None else layer.bias
            self.layers[name] = Linear(codes, scales * factor, bias * factor)
        self.on = {name: chosen[table.layer_slice(name)] != 0 for name in master.layers}
        self.heads: dict[str, list[Head]] = {}
        if self.config["architecture"] == "sasrec":
            for index in range(int(self.config["blocks"])):
                self._leave_out_of_block(f"blocks.{index}")
        else:
            filters = [(f"horizontal.{index}", 1, relu) for index in range(len(self.config["heights"]))]
            self._leave_out("fc", [*filters, ("vertical", int(self.config["dim"]), np.positive)])

    def _leave_out_of_block(self, block: str) -> None:
        query, key, on = self.layers[f"{block}.query"], self.layers[f"{block}.key"], self.on
        width = int(self.config["dim"]) // int(self.config["heads"])
        self.heads[block] = heads = []
        for first in range(0, int(self.config["dim"]), width):
            head = np.arange(first, first + width)
            queries, keys, values = (on[f"{block}.{part}"][head] for part in ("query", "key", "value"))
            left = head[~queries & keys & (query.bias[head] != 0)]
            total = np.zeros(key.codes.shape[1], F32)
            for start in range(0, len(left), 16):
                some = left[start : start + 16]
                total = total + chains(key.scales[some] * query.bias[some], key.codes[some].astype(F32))
            rounded = quantize(total[None])
            row = Linear(rounded.codes, rounded.scales, np.zeros(1, F32)) if len(left) else None
            heads.append(Head(head[queries & keys], head[values], row))
        self._leave_out(f"{block}.output", [(f"{block}.value", 1, np.positive)])
        self._leave_out(f"{block}.ffn2", [(f"{block}.ffn1", 1, gelu if self.config["activation"] == "gelu" else relu)])

    def _leave_out(self, name: str, producers: list[tuple[str, int, Callable[[np.ndarray], np.ndarray]]]) -> None:
        """Columns of channels that are off, from the layer that reads them; of each producer the columns a channel and its activation."""
        on = np.concatenate([np.repeat(self.on[producer], spread) for producer, spread, _ in producers])
        left = np.concatenate([np.repeat(act(self.layers[producer].bias), spread) for producer, spread, act in producers])
        constant = np.flatnonzero(~on)
        self.layers[name] = without_columns(self.layers[name], np.flatnonzero(on), constant, left[constant])

    def hidden(self, history: np.ndarray, *, user: UserVector | bytes | None = None) -> np.ndarray:
        """Hidden state float32 ``[dim]``.

        Raises:
            InputError: a history that :func:`chordkit.inputs.checked_history` refuses, or a state that is not finite.
        """
        added = None
        if user is not None:
            data = encode_user_vector(user) if isinstance(user, UserVector) else user
            added = decode_user_vector(data, fingerprint=self.fingerprint, dim=int(self.config["dim"])).values
        length = int(self.config["max_length"])
        recent = checked_history(history, int(self.config["items"]))[-length:]
        ids = recent[recent != 0]
        slots = np.arange(length - len(ids), length)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return _finite(_HIDDEN[self.config["architecture"]](self, ids, slots, added))

    def scores(self, history: np.ndarray, candidates: np.ndarray, *, user: UserVector | bytes | None = None) -> np.ndarray:
        """Scores float32 ``[count]``: the hidden state in 16 bits against the rows of the item table.

        Raises:
            InputError: as in :meth:`hidden`, or a score that is not finite.
        """
        h = self.hidden(history, user=user)
        most = np.abs(h).max()
        query = np.rint(h * (F32(32767) / most if most >= SMALLEST_MAX else F32(0))).astype(np.int64)
        rows = self.tables["item_embedding"]
        sums = (rows.codes[candidates].astype(np.int64) @ query).astype(F32)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = (sums * rows.scales[candidates]) * (most * F32(1 / 32767))
            return _finite(scores + self.tensors["item_bias"][candidates] if "item_bias" in self.tensors else scores)

    def _norm(self, x: np.ndarray, name: str, added: np.ndarray | None = None) -> np.ndarray:
        inverse_dim = F32(1) / F32(x.shape[-1])
        mean = lane_sum(x) * inverse_dim
        centred = x - mean[:, None]
        variance = fma(lane_dot(centred, centred), inverse_dim, F32(float(self.config["norm_eps"])))
        factor = F32(1) / np.sqrt(variance) + variance * F32(0)  # NaN where the variance overflows
        normal = fma(x, factor[:, None], -(mean * factor)[:, None])
        beta = self.tensors[f"{name}.bias"]
        return fma(normal, self.tensors[f"{name}.weight"], beta if added is None else beta + added)

    def _embed(self, ids: np.ndarray) -> np.ndarray:
        rows = self.tables["item_embedding"]
        return rows.codes[ids].astype(F32) * rows.scales[ids, None]

    def _linear(self, name: str, x: np.ndarray, clamp: bool = False) -> np.ndarray:
        layer = self.layers[name]
        return layer.wide(x, clamp) if self.sharp else layer(quantize(x), clamp)

    def _feed_forward(self, x: np.ndarray, block: str) -> np.ndarray:
        use_gelu = self.config["activation"] == "gelu"
        wide = self._linear(f"{block}.ffn1", x, clamp=not use_gelu)[:, self.on[f"{block}.ffn1"]]
        return self._linear(f"{block}.ffn2", gelu(wide) if use_gelu else wide)

    def _attention_in_codes(self, x: np.ndarray, block: str) -> np.ndarray:
        """Causal attention of all rows, heads joined; both products from 8-bit codes (see kernels/libchord/src/attention.c)."""
        a = quantize(x)
        q, k, v = (self.layers[f"{block}.{part}"](a) for part in ("query", "key", "value"))
        mixed = []
        for head in self.heads[block]:
            queries, keys, values = quantize(q[:, head.keys]), quantize(k[:, head.keys]), quantize(v[:, head.values])
            sums = (queries.codes.astype(np.int32) @ keys.codes.T.astype(np.int32)).astype(F32)
            left = F32(0) if head.left is None else head.left(a)[:, 0]
            scores = fma(sums * keys.scales, queries.scales[:, None], left)
            mix = np.zeros((len(x), len(head.values)), F32)
            for i in range(len(x)):
                p, inverse = softmax_parts(scores[i, : i + 1])
                weights = quantize((p * values.scales[: i + 1])[None])
                sums_of_values = (weights.codes[0].astype(np.int32) @ values.codes[: i + 1].astype(np.int32)).astype(F32)
                mix[i] = sums_of_values * (weights.scales[0] * inverse)
            mixed.append(mix)
        return self.layers[f"{block}.output"](quantize(np.concatenate(mixed, 1)))

    def _attention(self, x: np.ndarray, block: str, first: int) -> np.ndarray:
        """Causal attention of rows ``first`` and later in floats: keys and values absorbed (see kernels/libchord/src/sasrec.c)."""
        key = self.layers[f"{block}.key"]
        queries = self._linear(f"{block}.query", x[first:]) * key.scales
        mixed = []
        for head in self.heads[block]:
            mix, codes = np.empty((len(queries), x.shape[1]), F32), key.codes[head.keys].astype(F32)
            for row, query in enumerate(queries[:, head.keys]):
                seen = x[: first + row + 1]
                if head.left is None:
                    probe = chains(query, codes)
                else:
                    probe = chains(np.append(query, head.left.scales), np.append(codes, head.left.codes.astype(F32), 0))
                p, inverse = softmax_parts(lane_dot(probe, seen))
                mix[row] = chains(p, seen) * inverse
            mixed.append(self._linear(f"{block}.value", mix)[:, head.values])
        return self._linear(f"{block}.output", np.concatenate(mixed, 1))

    def _sasrec(self, ids: np.ndarray, slots: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        positions = self.tables["position_embedding"]
        slots = slots - slots[0] if self.config.get("positions_from_oldest") else slots
        x = fma(positions.codes[slots].astype(F32), positions.scales[slots, None], self._embed(ids))
        first = bool(self.config["norm_first"])
        if not first:
            x = self._norm(x, "embedding_norm", added)
        elif added is not None:
            x = x + added
        blocks = int(self.config["blocks"])
        for index in range(blocks):
            block = f"blocks.{index}"
            normed, final = self._norm(x, f"{block}.attention_norm") if first else x, index + 1 == blocks
            if final or self.sharp:
                change = self._attention(normed, block, len(x) - 1 if final else 0)
            else:
                change = self._attention_in_codes(normed, block)
            x = x[-len(change) :] + change
            x = x if first else self._norm(x, f"{block}.attention_norm")
            x = x + self._feed_forward(self._norm(x, f"{block}.ffn_norm") if first else x, block)
            x = x if first else self._norm(x, f"{block}.ffn_norm")
        return self._norm(x, "final_norm")[0] if first else x[0]

    def _caser(self, ids: np.ndarray, slots: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        config, rows = self.config, self.tables["item_embedding"]
        length, dim, filters = int(config["max_length"]), int(config["dim"]), int(config["filters"])
        row_of = {int(slot): row for row, slot in enumerate(slots)}
        a = Activations(rows.codes[ids], rows.scales[ids])
        features = []
        for index, height in enumerate(config["heights"]):
            layer = self.layers[f"horizontal.{index}"]
            parts = layer.codes.reshape(filters, height, dim)
            products = [Linear(parts[:, part], layer.scales, np.zeros(filters, F32))(a) for part in range(height)]
            best = np.zeros(filters, F32)
            for start in range(length - height + 1):
                total = layer.bias
                for part in range(height):
                    if start + part in row_of:
                        total = total + products[part][row_of[start + part]]
                best = np.maximum(best, total)
            features.append(best[self.on[f"horizontal.{index}"]])
        vertical, x = self.layers["vertical"], self._embed(ids)
        weights = vertical.codes[:, slots].astype(F32) * vertical.scales[:, None]
        features += [chains(weights[v], x) + vertical.bias[v] for v in np.flatnonzero(self.on["vertical"])]
        hidden = self.layers["fc"](quantize(np.concatenate(features)[None]), clamp=True)[0]
        return hidden if added is None else hidden + added


def _finite(x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():
        raise InputError("the result is not finite: an input, or the weights, are too large to compute with")
    return x


_HIDDEN = {"sasrec": ReferenceEngine._sasrec, "caser": ReferenceEngine._caser}
