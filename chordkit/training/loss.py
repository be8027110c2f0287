"""Cross-entropy over the whole catalogue without ever holding all logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from chordkit.backbones import Backbone

# Logits of one chunk: 1 M floats = 4 MB, so that the passes over it find it in the cache.
_CHUNK_LOGITS = 1_000_000


class _FullSoftmax(torch.autograd.Function):
    """Mean cross-entropy and its gradients in one pass over chunks of rows.

    The gradient with respect to a logit is softmax - target distribution, known as soon as the chunk's logits are: computing
    it on the spot leaves one matrix product for the logits and two for the gradients, and no [rows, items] tensor to write,
    keep and read again. The softmax's denominator scales the thin side of each product, the target's part is added by row.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> Tensor:
        rows, items = hidden.shape[0], weight.shape[0]
        chunk = max(1, _CHUNK_LOGITS // items)
        spread = smoothing / items
        grad_hidden = weight[targets] * (smoothing - 1.0)
        grad_weight = torch.zeros_like(weight).index_add_(0, targets, hidden, alpha=smoothing - 1.0)
        grad_bias = None
        if bias is not None:
            grad_bias = torch.bincount(targets, minlength=items).to(bias) * (smoothing - 1.0) - spread * rows
        if smoothing:
            grad_hidden -= spread * weight.sum(dim=0)
            grad_weight -= spread * hidden.sum(dim=0)
        total = hidden.new_zeros(())
        for start in range(0, rows, chunk):
            block, goal = hidden[start : start + chunk], targets[start : start + chunk].unsqueeze(1)
            logits = block @ weight.T if bias is None else torch.addmm(bias, block, weight.T)
            highest = logits.amax(dim=1, keepdim=True)
            total += highest.sum() - (1.0 - smoothing) * logits.gather(1, goal).sum()
            if smoothing:
                total -= spread * logits.sum()
            powers = logits.sub_(highest).exp_()
            norm = powers.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            grad_hidden[start : start + chunk].add_((powers @ weight).div_(norm))
            grad_weight.addmm_(powers.T, block / norm)
            if grad_bias is not None:
                grad_bias.addmv_(powers.T, norm.reciprocal().squeeze(1))
        ctx.rows = rows
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total / rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad_output / ctx.rows
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        return grad_hidden * scale, grad_weight * scale, None if grad_bias is None else grad_bias * scale, None, None


def full_softmax_loss(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of ``targets`` under softmax(hidden @ weight.T + bias), all items competing.

    Args:
        hidden: [rows, dim].
        weight: [items, dim]; row i is the item of class i.
        targets: int64 [rows], classes in 0..items-1.
        bias: [items] or None.
        smoothing: label smoothing: this share of the target mass is spread evenly over all items.

    Returns:
        A scalar that can be differentiated once.
    """
    loss: Tensor = _FullSoftmax.apply(hidden, weight, bias, targets, smoothing)
    return loss


def catalogue_loss(backbone: Backbone, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """:func:`full_softmax_loss` of a backbone's own scores: hidden states [rows, dim] against item ids int64 [rows] in 1..items."""
    bias = backbone.item_bias
    # Row 0 is padding: it is no class, and so stays the zero vector.
    return full_softmax_loss(hidden, backbone.item_embedding.weight[1:], targets - 1, None if bias is None else bias[1:], smoothing)
