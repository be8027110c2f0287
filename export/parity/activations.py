"""The reference with emulated 8-bit activations: what an artifact that quantises them on the fly should compute.

Held against the float reference alone, such an artifact needs a tolerance in which two swapped channels of a query
projection can hide. Held against this model too, nothing is left but rare rounding flips, and they cannot.
"""

import copy
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chordkit.export.parity.compare import Ids, ScoresFn, Vectors
from chordkit.export.parity.reference import reference_scores
from chordkit.export.parity.vectors import VectorSet
from chordkit.strategy import quantize_user_vector

if TYPE_CHECKING:
    from torch import Tensor

    from chordkit.backbones import Backbone
    from chordkit.quantization import MasterWeights

_LEVELS = 255
_EMULATED_EXACTLY = 24
"""Vectors over which the engine's arithmetic is repeated in numpy, which takes tens of milliseconds each."""


def quantize_asymmetric(x: "Tensor") -> "Tensor":
    """``x [..., features]`` after 8-bit quantisation per row over [min(x, 0), max(x, 0)], as LiteRT and XNNPACK do it."""
    import torch

    low = x.amin(-1, keepdim=True).clamp(max=0)
    high = x.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / _LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    zero_point = torch.round(-low / scale)
    return ((torch.round(x / scale) + zero_point).clamp(0, _LEVELS) - zero_point) * scale


def quantize_symmetric(x: "Tensor") -> "Tensor":
    """``x [..., features]`` after 8-bit quantisation per row over +-max|x|, codes -127..127."""
    import torch

    scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.round(x / scale) * scale


def emulated_scores(backbone: "Backbone", symmetric: bool = False, layers: Collection[str] | None = None) -> ScoresFn:
    """Scores of ``backbone`` when the input of every layer of the strategy, or of ``layers`` alone, is quantised per row to 8 bits."""
    quantize = quantize_symmetric if symmetric else quantize_asymmetric
    model = copy.deepcopy(backbone)

    def hook(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (quantize(arguments[0]), *arguments[1:])

    for name, layer in model.channel_layers().items():
        if layers is None or name in layers:
            layer.register_forward_pre_hook(hook)
    return reference_scores(model)


def engine_scores(master: "MasterWeights", widths: np.ndarray | None, vectors: VectorSet) -> NDArray[np.floating]:
    """Scores of the first of ``vectors`` in libchord's own arithmetic, bit for bit, computed in numpy; widths None = int8."""
    return exact_engine_scores(master, widths)(*vectors.head(_EMULATED_EXACTLY).inputs)


def exact_engine_scores(master: "MasterWeights", widths: np.ndarray | None) -> ScoresFn:
    """The scores function of libchord's own arithmetic, bit for bit, in numpy; widths None = int8."""
    from chordkit.kernels.reference import ReferenceEngine

    engine = ReferenceEngine(master, widths)

    def scores(histories: Ids, candidates: Ids, users: Vectors | None = None) -> NDArray[np.floating]:
        wires = [None] * len(histories) if users is None else [quantize_user_vector(user, master.fingerprint) for user in users]
        rows = zip(histories, candidates, wires, strict=True)
        return np.stack([engine.scores(history, ids, user=user) for history, ids, user in rows])

    return scores
