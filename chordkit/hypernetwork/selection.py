"""Stage 4 of CHORD: from importances to widths, exactly, and a gradient past the choice that has none."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy import Budget, allocate

Widths = NDArray[np.uint8]


def choose_widths(importance: Tensor, table: ChannelTable, budget: Budget) -> Widths:
    """The widths uint8 [batch, channels] of every user: the one allocation that training, inference and the wire share."""
    return allocate(importance.detach().cpu().numpy().astype(np.float32, copy=False), table, budget)


def one_hot(widths: Tensor) -> Tensor:
    """float32 [..., channels, 3] over the widths 2, 4, 8 from integer widths [..., channels]; a channel that is off is zero."""
    each = torch.tensor(WIDTHS, device=widths.device, dtype=widths.dtype).unsqueeze(-1)
    # Channels stay innermost in memory, as in the activations these weights are multiplied with: twice as fast a step.
    return (widths.unsqueeze(-2) == each).float().transpose(-1, -2)


def straight_through(importance: Tensor, widths: Widths, temperature: float) -> Tensor:
    """One-hot choices whose gradient is that of a soft ranking.

    A user's importances s are ranked; with t4 and t8 the borders above which a channel gets at least 4, or 8 bits, the
    soft choice is (1 - g4, g4 - g8, g8) with g = sigmoid((s - t) / T) and T = ``temperature`` standard deviations of s.
    Values are those of the hard choice, gradients those of the soft one (straight-through estimator, Bengio et al. 2013).

    Args:
        importance: [batch, channels].
        widths: uint8 [batch, channels], what the allocation made of them.
        temperature: in standard deviations of a user's importances.

    Returns:
        [batch, channels, 3], weights over the widths 2, 4, 8.
    """
    chosen = torch.from_numpy(widths).to(importance.device)
    fixed = importance.detach()
    ordered = fixed.sort(dim=1, descending=True).values
    spread = temperature * fixed.std(dim=1, keepdim=True).clamp(min=1e-6)

    def gate(width: int) -> Tensor:
        count = (chosen >= width).sum(dim=1, keepdim=True)
        last_in = ordered.gather(1, (count - 1).clamp(min=0))
        first_out = ordered.gather(1, count.clamp(max=ordered.shape[1] - 1))
        return torch.sigmoid((importance - 0.5 * (last_in + first_out)) / spread)

    at_least_4, at_least_8 = gate(4), gate(8)
    soft = torch.stack([1.0 - at_least_4, at_least_4 - at_least_8, at_least_8], dim=1).transpose(1, 2)
    return one_hot(chosen) + (soft - soft.detach())


def by_layer(choices: Tensor, table: ChannelTable) -> Mapping[str, Tensor]:
    """Split choices [batch, channels, 3] into what each ChannelLinear takes, [batch, out, 3] by layer name."""
    return {layer.name: choices[:, layer.offset : layer.offset + layer.out_channels] for layer in table.layers}
