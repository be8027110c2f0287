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
from chordkit.kernels.arithmetic import (
    F32,
    SMALLEST_MAX,
    Activations,
    Linear,
    chains,
    fma,
    following,
    gelu,
    lane_dot,
    lane_sum,
    meeting,
    quantize,
    relu,
    softmax_parts,
    without_columns,
)
from chordkit.kernels.sharpness import is_sharp
from chordkit.quantization import MasterWeights, select_codes
from chordkit.strategy import UserVector, decode_user_vector, encode_user_vector

LOG2E = F32(1.44269504)


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
        for name, layer in master.layers.items():
            codes, scales = select_codes(layer.rows, chosen[table.layer_slice(name)])
            factor = F32(1)
            if name.endswith(".query"):
                factor = LOG2E / np.sqrt(F32(int(self.config["dim"]) // int(self.config["heads"])))
            bias = np.zeros(len(codes), F32) if layer.bias is None else layer.bias
            self.layers[name] = Linear(codes, scales * factor, bias * factor)
        self._dense, self.merged = dict(self.layers), dict[str, Linear]()
        self.on = {name: chosen[table.layer_slice(name)] != 0 for name in master.layers}
        self.heads: dict[str, list[Head]] = {}
        if self.config["architecture"] == "sasrec":
            for index in range(int(self.config["blocks"])):
                block = f"blocks.{index}"
                self._leave_out_of_block(block)
                if int(self.config["heads"]) == 1 and not self.sharp and index + 1 < int(self.config["blocks"]):
                    self._merge(block, {part: chosen[table.layer_slice(f"{block}.{part}")] for part in ("query", "key", "value")})
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

    def _merge(self, block: str, widths: dict[str, np.ndarray]) -> None:
        """Layers of one head that are cheaper as one, in sixteens of channels that are on."""
        head, dim = self.heads[block][0], int(self.config["dim"])
        query, key, value, output = (self._dense[f"{block}.{part}"] for part in ("query", "key", "value", "output"))
        if 2 * _lanes(len(head.keys) + (head.left is not None)) > dim:
            self.merged[f"{block}.query"] = meeting(query, key, widths["query"], widths["key"])
        values, outputs = _lanes(len(head.values)), _lanes(int(np.count_nonzero(self.on[f"{block}.output"])))
        if values * (dim + outputs) > outputs * dim:
            self.merged[f"{block}.output"] = following(value, output, widths["value"])

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
        return self._to_stream(f"{block}.ffn2", self._linear(f"{block}.ffn2", gelu(wide) if use_gelu else wide))

    def _to_stream(self, name: str, y: np.ndarray) -> np.ndarray:
        """Results of a layer for the residual stream, which of channels that are off gets their bias."""
        return np.where(self.on[name], y, self.layers[name].bias)

    def _attention_in_codes(self, x: np.ndarray, block: str) -> np.ndarray:
        """Causal attention of all rows, heads joined; both products from 8-bit codes (see kernels/libchord/src/attention.c)."""
        a = quantize(x)
        probe, output = self.merged.get(f"{block}.query"), self.merged.get(f"{block}.output")
        q, k, v = (self.layers[f"{block}.{part}"](a) for part in ("query", "key", "value"))
        mixed = []
        for head in self.heads[block]:
            queries, keys = (quantize(probe(a)), a) if probe else (quantize(q[:, head.keys]), quantize(k[:, head.keys]))
            values = a if output else quantize(v[:, head.values])
            sums = (queries.codes.astype(np.int32) @ keys.codes.T.astype(np.int32)).astype(F32)
            left = F32(0) if probe or head.left is None else head.left(a)[:, 0]
            scores = fma(sums * keys.scales, queries.scales[:, None], left)
            mix = np.zeros((len(x), values.codes.shape[1]), F32)
            for i in range(len(x)):
                p, inverse = softmax_parts(scores[i, : i + 1])
                weights = quantize((p * values.scales[: i + 1])[None])
                sums_of_values = (weights.codes[0].astype(np.int32) @ values.codes[: i + 1].astype(np.int32)).astype(F32)
                mix[i] = sums_of_values * (weights.scales[0] * inverse)
            mixed.append(mix)
        return self._to_stream(f"{block}.output", (output or self.layers[f"{block}.output"])(quantize(np.concatenate(mixed, 1))))

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
        return self._to_stream(f"{block}.output", self._linear(f"{block}.output", np.concatenate(mixed, 1)))

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


def _lanes(channels: int) -> int:
    return max(16, -(-channels // 16) * 16)


def _finite(x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():
        raise InputError("the result is not finite: an input, or the weights, are too large to compute with")
    return x


_HIDDEN = {"sasrec": ReferenceEngine._sasrec, "caser": ReferenceEngine._caser}
