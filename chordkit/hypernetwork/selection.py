"""Stage 4 of CHORD: from importances to widths, exactly, and a gradient past the choice that has none."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy import Budget, allocate

Widths = NDArray[np.uint8]


def choose_widths(importance: Tensor, table: ChannelTable, budget: Budget) -> Widths:
    """The widths uint8 [batch, channels] of every user: the one allocation that training, inference and the wire share."""
    return allocate(importance.detach().cpu().numpy().astype(np.float32, copy=False), table, budget, allow_off=budget.may_switch_off)


def one_hot(widths: Tensor, of: tuple[int, ...] = WIDTHS) -> Tensor:
    """float32 [..., channels, len(of)] over the widths ``of`` from integer widths [..., channels]; a channel that is off is zero."""
    # Channels stay innermost in memory, as in the activations these weights are multiplied with: twice as fast a step.
    return torch.stack([widths == width for width in of], dim=-2).float().transpose(-1, -2)


def straight_through(importance: Tensor, widths: Widths, temperature: float, of: tuple[int, ...] = WIDTHS) -> Tensor:
    """One-hot choices whose gradient is that of a soft ranking.

    A user's importances s are ranked; with t_w the border above which a channel gets at least w bits, g_w = sigmoid((s - t_w) / T) and
    T = ``temperature`` standard deviations of s, the soft choice of width w is g_w - g_v, v being the next wider one. Values
    are those of the hard choice, gradients those of the soft one (straight-through estimator, Bengio et al. 2013).

    Args:
        importance: [batch, channels].
        widths: uint8 [batch, channels], what the allocation made of them.
        temperature: in standard deviations of a user's importances.
        of: the widths, ascending, without 0.

    Returns:
        [batch, channels, len(of)], weights over the widths ``of``.
    """
    choices: Tensor = _SoftRanking.apply(importance, torch.from_numpy(widths).to(importance.device), temperature, of)
    return choices


class _SoftRanking(torch.autograd.Function):
    """Values of the hard choice, gradients of the soft one: only the slopes of the gates are computed."""

    @staticmethod
    def forward(ctx: Any, importance: Tensor, chosen: Tensor, temperature: float, of: tuple[int, ...]) -> Tensor:
        channels = importance.shape[1]
        # numpy sorts float32 many times faster than torch does on a CPU, and the widths came from there anyway.
        ordered = torch.from_numpy(np.sort(importance.cpu().numpy(), axis=1)).to(importance.device)
        centred = importance - importance.mean(dim=1, keepdim=True)
        deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / math.sqrt(channels - 1)
        spread = temperature * deviation.clamp(min=1e-6)
        ctx.slopes = []
        for width in of:
            count = (chosen >= width).sum(dim=1, keepdim=True)
            last_in = ordered.gather(1, (channels - count).clamp(max=channels - 1))
            first_out = ordered.gather(1, (channels - 1 - count).clamp(min=0))
            gate = torch.sigmoid((importance - 0.5 * (last_in + first_out)) / spread)
            # Where every channel has the width, or none, there is no border to move.
            inside = ((count > 0) & (count < channels)).to(gate.dtype)
            ctx.slopes.append((gate - gate.square()) * (inside / spread))
        return one_hot(chosen, of).to(importance.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        each = grad.unbind(dim=2)
        gradient = each[0] * ctx.slopes[0]
        for (lower, higher), slope in zip(pairwise(each), ctx.slopes[1:], strict=True):
            gradient.addcmul_(higher - lower, slope)
        return gradient, None, None, None


def by_layer(choices: Tensor, table: ChannelTable) -> Mapping[str, Tensor]:
    """Split choices [batch, channels, widths] into what each ChannelLinear takes, [batch, out, widths] by layer name."""
    parts = choices.split([layer.out_channels for layer in table.layers], dim=1)
    return {layer.name: part for layer, part in zip(table.layers, parts, strict=True)}
