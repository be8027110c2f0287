"""How sharp a model's attention is, told from its weights: the engine's choice between its two ways to attend (docs/kernels.md)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from chordkit.quantization import MasterLayer, MasterWeights

SHARP = 2.0
"""Above it a model is sharp. Trained ones have 0.7 to 1.1."""
_INT8 = 2  # the row of a layer's scales


def sharpness(master: MasterWeights) -> float:
    """The largest product of lengths of queries and keys over the width of their head, among all heads of all blocks; without attention 0.

    Lengths are expected ones: what a LayerNorm multiplies by its gamma counts as noise of variance 1. If queries and keys pointed anywhere,
    this were the standard deviation of the logits (natural logarithm); and 8-bit codes of queries and keys move logits in proportion to
    it, wherever these point.
    """
    return max((float(np.sqrt(product)) / width for product, width in _heads(master)), default=0.0)


def is_sharp(master: MasterWeights) -> bool:
    """Whether the engine runs this model with 16-bit activations and attention in floats: the decision of ``chord_open``, bit for bit."""
    return any(product > (SHARP * width) * (SHARP * width) for product, width in _heads(master))


def _heads(master: MasterWeights) -> Iterator[tuple[float, int]]:
    """Of every head: expected squares of its queries' and keys' lengths, multiplied, and its width."""
    config: dict[str, Any] = dict(master.config)
    if config["architecture"] != "sasrec":
        return
    width = int(config["dim"]) // int(config["heads"])
    for block in range(int(config["blocks"])):
        before = "embedding_norm" if block == 0 else f"blocks.{block - 1}.ffn_norm"
        norm = f"blocks.{block}.attention_norm" if config["norm_first"] else before
        gamma, beta = (master.tensors[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        queries, keys = (_squares(master.layers[f"blocks.{block}.{part}"], gamma, beta) for part in ("query", "key"))
        for first in range(0, len(queries), width):
            head = slice(first, first + width)
            yield float(_sum(queries[head]) * _sum(keys[head])), width


def _squares(layer: MasterLayer, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Expected square of every output of a layer at 8 bits."""
    codes, scales = layer.rows.codes.astype(np.float64), layer.rows.scales[_INT8].astype(np.float64)
    constant = _sum(codes * beta) * scales + (0.0 if layer.bias is None else layer.bias.astype(np.float64))
    return _sum((codes * gamma) ** 2) * (scales * scales) + constant * constant


def _sum(x: np.ndarray) -> np.ndarray:
    """Sum of the last axis from left to right, in which order the engine adds."""
    return np.add.accumulate(x, axis=-1)[..., -1]
