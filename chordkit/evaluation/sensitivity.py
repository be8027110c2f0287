"""Widths for a trained model without training any: which channels a coarser grid would hurt most, after HAWQ (Dong et al. 2019)."""

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.backbones import Backbone
from chordkit.data import SplitPart
from chordkit.quantization import MasterWeights, dequantize_rows
from chordkit.training.loss import catalogue_loss

_HISTORIES = 2048
_AT_ONCE = 64


def channel_sensitivity(backbone: Backbone, master: MasterWeights, part: SplitPart) -> NDArray[np.float32]:
    """How much loss each weight of a channel costs at 2 bits instead of 8, float32 [channels], to second order.

    HAWQ weighs a layer's quantisation error by the trace of its Hessian; here each weight's error is weighed by the diagonal of the
    empirical Fisher matrix, the mean squared gradient, which stands for it where a model fits its data.

    Args:
        backbone: the fp32 model; its gradients are left as they were.
        master: made from it.
        part: histories and the items before the held-out ones; the last item of each history is what the gradient is of, so that no
            held-out item has a say.
    """
    backbone.eval()
    layers = backbone.channel_layers()
    weights = [layer.weight for layer in layers.values()]
    was = [weight.requires_grad for weight in weights]
    histories = part.recent(backbone.config.max_length + 1)
    histories = histories[(histories[:, -2] > 0)]
    chosen = torch.from_numpy(histories[:: max(1, len(histories) // _HISTORIES)]).long()
    squares = [torch.zeros_like(weight) for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        for start in range(0, len(chosen), _AT_ONCE):
            rows = chosen[start : start + _AT_ONCE]
            loss = catalogue_loss(backbone, backbone.encode(rows[:, :-1]), rows[:, -1])
            for square, gradient in zip(squares, torch.autograd.grad(loss, weights), strict=True):
                square += gradient.square()
    finally:
        for weight, required in zip(weights, was, strict=True):
            weight.requires_grad_(required)
    found = []
    for square, layer in zip(squares, master.layers.values(), strict=True):
        fine, coarse = (dequantize_rows(layer.rows, np.full(len(layer.rows.codes), width, np.uint8)) for width in (8, 2))
        found.append((square.numpy() * np.square(fine - coarse)).mean(axis=1))
    return np.concatenate(found).astype(np.float32)
