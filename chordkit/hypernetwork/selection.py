"""Stage 4 of CHORD: from importances to widths, exactly, and a gradient past the choice that has none."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy import Budget, allocate

Widths = NDArray[np.uint8]


def choose_widths(importance: Tensor, table: ChannelTable, budget: Budget) -> Widths:
    """The widths uint8 [batch, channels] of every user: the one allocation that training, inference and the wire share."""
    return allocate(importance.detach().cpu().numpy().astype(np.float32, copy=False), table, budget, allow_off=budget.may_switch_off)


def one_hot(widths: Tensor, of: tuple[int, ...] = WIDTHS) -> Tensor:
    """float32 [..., channels, len(of)] over the widths ``of`` from integer widths [..., channels]; a channel that is off is zero."""
    each = torch.tensor(of, device=widths.device, dtype=widths.dtype).unsqueeze(-1)
    # Channels stay innermost in memory, as in the activations these weights are multiplied with: twice as fast a step.
    return (widths.unsqueeze(-2) == each).float().transpose(-1, -2)


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
    chosen = torch.from_numpy(widths).to(importance.device)
    fixed = importance.detach()
    # numpy sorts float32 many times faster than torch does on a CPU, and the widths came from there anyway.
    ordered = torch.from_numpy(-np.sort(-fixed.cpu().numpy(), axis=1)).to(importance.device)
    spread = temperature * fixed.std(dim=1, keepdim=True).clamp(min=1e-6)

    def gate(width: int) -> Tensor:
        count = (chosen >= width).sum(dim=1, keepdim=True)
        last_in = ordered.gather(1, (count - 1).clamp(min=0))
        first_out = ordered.gather(1, count.clamp(max=ordered.shape[1] - 1))
        soft = torch.sigmoid((importance - 0.5 * (last_in + first_out)) / spread)
        # Where every channel has the width, or none, there is no border to move.
        return torch.where((count == 0) | (count == ordered.shape[1]), (count > 0).to(soft.dtype), soft)

    gates = [gate(width) for width in of]
    gates.append(torch.zeros_like(importance))
    soft = torch.stack([lower - higher for lower, higher in pairwise(gates)], dim=1).transpose(1, 2)
    return one_hot(chosen, of) + (soft - soft.detach())


def by_layer(choices: Tensor, table: ChannelTable) -> Mapping[str, Tensor]:
    """Split choices [batch, channels, widths] into what each ChannelLinear takes, [batch, out, widths] by layer name."""
    return {layer.name: choices[:, layer.offset : layer.offset + layer.out_channels] for layer in table.layers}
