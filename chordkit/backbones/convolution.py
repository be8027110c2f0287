"""A convolution as a ChannelLinear over windows, so that every filter is a channel of the strategy."""

import itertools
import math

import torch
from torch import Tensor, nn

from chordkit.backbones.layers import ChannelLinear


class ChannelConvolution(nn.Module):
    """What an ``nn.Conv1d`` or ``nn.Conv2d`` computes, with its filters as the channels of one :class:`ChannelLinear`.

    Stride, zero padding (``same`` too) and dilation are those of the convolution. The sums are the convolution's in another order: the
    two differ by rounding alone.

    Args:
        convolution: with ``groups=1`` and ``padding_mode="zeros"``; its parameters are taken over, it is not to be used any longer.
    """

    def __init__(self, convolution: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels = convolution.in_channels, convolution.out_channels
        self.kernel_size, self.stride, self.dilation = convolution.kernel_size, convolution.stride, convolution.dilation
        self.padding = _both_sides(convolution)
        # [out, in, *kernel] -> [out, *kernel, in]: a window is read tap by tap, the channels of a tap side by side.
        weight = convolution.weight.detach().movedim(1, -1).flatten(1)
        self.filters = ChannelLinear.of(nn.Parameter(weight.contiguous(), convolution.weight.requires_grad), convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [batch, in_channels, *size] to [batch, out_channels, *windows]."""
        x = x.permute(0, *range(2, x.dim()), 1)
        for axis, (before, after) in enumerate(self.padding, 1):
            x = _padded(x, axis, before, after)
        counts = [
            (x.shape[axis] - dilation * (kernel - 1) - 1) // stride + 1
            for axis, (kernel, stride, dilation) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True), 1)
        ]
        taps = []
        for tap in itertools.product(*map(range, self.kernel_size)):
            part = x
            for axis, (step, dilation, stride, count) in enumerate(zip(tap, self.dilation, self.stride, counts, strict=True), 1):
                part = _every(part, axis, step * dilation, stride, count)
            taps.append(part.reshape(x.shape[0], math.prod(counts), self.in_channels))
        windows = taps[0] if len(taps) == 1 else torch.cat(taps, dim=-1)
        filtered: Tensor = self.filters(windows)
        return filtered.transpose(1, 2).reshape(x.shape[0], self.out_channels, *counts)


def _both_sides(convolution: nn.Conv1d | nn.Conv2d) -> list[tuple[int, int]]:
    """Slots of padding before and after each axis."""
    if convolution.padding == "valid":
        return [(0, 0)] * len(convolution.kernel_size)
    if convolution.padding == "same":
        whole = [dilation * (kernel - 1) for kernel, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)]
        return [(size // 2, size - size // 2) for size in whole]
    return [(int(size), int(size)) for size in convolution.padding]


def _padded(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """``x`` with zeros around ``axis``: a concatenation, an op that every runtime has."""
    parts = [
        torch.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), dtype=x.dtype, device=x.device) if size else None
        for size in (before, after)
    ]
    if not any(part is not None for part in parts):
        return x
    return torch.cat([part for part in (parts[0], x, parts[1]) if part is not None], dim=axis)


def _every(x: Tensor, axis: int, start: int, stride: int, count: int) -> Tensor:
    """``count`` entries along ``axis``, ``stride`` apart, from ``start`` on; without a step, which not every runtime's slice has."""
    if stride == 1:
        return x.narrow(axis, start, count)
    missing = start + count * stride - x.shape[axis]
    whole = _padded(x, axis, 0, max(0, missing)).narrow(axis, start, count * stride)
    return whole.unflatten(axis, (count, stride)).select(axis + 1, 0)
