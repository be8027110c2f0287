"""The operators that mark quantised layers in a program.

``chord::channel_linear(x, codes, scales, widths, bias?) -> Tensor``
    ``x [..., in] -> [..., out]``; ``codes`` int8 ``[out, in]`` already derived for each channel's width, ``scales``
    float32 ``[out]``, ``widths`` uint8 ``[out]`` in {0, 2, 4, 8} (0: the channel is off, its codes are zero).
``chord::channel_linear_transposed(x, codes, scales, widths) -> Tensor``
    ``x [..., out] -> [..., in]``: a sum over the layer's output channels (:mod:`chordkit.export.program.attention`).
``chord::row_embedding(ids, codes, scales) -> Tensor``
    ``ids [...] -> [..., dim]``; ``codes`` int8 ``[rows, dim]``, ``scales`` float32 ``[rows]``.

Their CPU implementations are the reference semantics of DESIGN.md (dequantised float32 weights, float32 activations),
so the exported program itself is a reference that can be run.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.library.custom_op("chord::channel_linear", mutates_args=())
def channel_linear(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None = None) -> Tensor:
    """Linear layer over per-channel quantised weights, float32 activations (DESIGN.md, contract 1)."""
    return F.linear(x, codes.to(torch.float32) * scales.unsqueeze(1), bias)


@channel_linear.register_fake
def _(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None = None) -> Tensor:
    return x.new_empty((*x.shape[:-1], codes.shape[0]))


@torch.library.custom_op("chord::channel_linear_transposed", mutates_args=())
def channel_linear_transposed(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor) -> Tensor:
    """Product with the weights of a linear layer, and not with their transposition."""
    return torch.matmul(x, codes.to(torch.float32) * scales.unsqueeze(1))


@channel_linear_transposed.register_fake
def _(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:-1], codes.shape[1]))


@torch.library.custom_op("chord::row_embedding", mutates_args=())
def row_embedding(ids: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """Lookup in a table quantised per row; the result is float32."""
    return F.embedding(ids, codes).to(torch.float32) * F.embedding(ids, scales.unsqueeze(1))


@row_embedding.register_fake
def _(ids: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    return scales.new_empty((*ids.shape, codes.shape[1]))


LINEAR, LINEAR_TRANSPOSED = torch.ops.chord.channel_linear.default, torch.ops.chord.channel_linear_transposed.default
