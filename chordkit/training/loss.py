"""Cross-entropy over the whole catalogue without ever holding all logits."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from chordkit.backbones import Backbone

# Logits of one chunk: 1 M floats = 4 MB, so that the passes over it find it in the cache.
_CHUNK_LOGITS = 1_000_000


@dataclass(frozen=True)
class Rows:
    """What the rows of a loss are to predict.

    Attributes:
        targets: int64 [rows, k], classes that share the target mass of a row.
        shares: [rows, k], what each gets of it; a row's sum is 1.
        barred: int64 [2, n], (row, class) pairs that take no part in the softmax, rows ascending; None = all do. No target is among them.
    """

    targets: Tensor
    shares: Tensor
    barred: Tensor | None = None

    @classmethod
    def of(cls, targets: Tensor, barred: Tensor | None = None, dtype: torch.dtype = torch.float32) -> "Rows":
        """One class a row, int64 [rows]."""
        return cls(targets.unsqueeze(1), torch.ones(len(targets), 1, dtype=dtype, device=targets.device), barred)


class _FullSoftmax(torch.autograd.Function):
    """Mean cross-entropy and its gradients in one pass over chunks of rows.

    The gradient with respect to a logit is softmax - target distribution, known as soon as the chunk's logits are: computing
    it on the spot leaves one matrix product for the logits and two for the gradients, and no [rows, items] tensor to write,
    keep and read again. The softmax's denominator scales the thin side of each product, the targets' part is added by row.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, goal: Rows, smoothing: float) -> Tensor:
        rows, items = hidden.shape[0], weight.shape[0]
        chunk = max(1, _CHUNK_LOGITS // items)
        spread, shares = smoothing / items, goal.shares * (1.0 - smoothing)
        columns = goal.targets.shape[1]
        grad_hidden = -functional.embedding_bag(goal.targets, weight, per_sample_weights=shares, mode="sum")
        grad_weight = torch.zeros_like(weight)
        for column in range(columns):
            grad_weight.index_add_(0, goal.targets[:, column], hidden * shares[:, column : column + 1], alpha=-1.0)
        grad_bias = None
        if bias is not None:
            grad_bias = -torch.zeros_like(bias).index_add_(0, goal.targets.flatten(), shares.flatten()) - spread * rows
        if smoothing:
            grad_hidden -= spread * weight.sum(dim=0)
            grad_weight -= spread * hidden.sum(dim=0)
        total = hidden.new_zeros(())
        for start in range(0, rows, chunk):
            stop = min(start + chunk, rows)
            block = hidden[start:stop]
            logits = block @ weight.T if bias is None else torch.addmm(bias, block, weight.T)
            total -= (shares[start:stop] * logits.gather(1, goal.targets[start:stop])).sum()
            if smoothing:
                total -= spread * logits.sum()
            if goal.barred is not None:
                first, last = torch.searchsorted(goal.barred[0], torch.tensor([start, stop], device=hidden.device)).tolist()
                logits[goal.barred[0, first:last] - start, goal.barred[1, first:last]] = -torch.inf
            highest = logits.amax(dim=1, keepdim=True)
            powers = logits.sub_(highest).exp_()
            norm = powers.sum(dim=1, keepdim=True)
            total += highest.sum() + norm.log().sum()
            grad_hidden[start:stop].add_((powers @ weight).div_(norm))
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


def full_softmax_loss(hidden: Tensor, weight: Tensor, targets: Tensor | Rows, bias: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of ``targets`` under softmax(hidden @ weight.T + bias), all items competing.

    Args:
        hidden: [rows, dim].
        weight: [items, dim]; row i is the item of class i.
        targets: int64 [rows], classes in 0..items-1; or several classes a row, and classes that do not compete.
        bias: [items] or None.
        smoothing: label smoothing: this share of the target mass is spread evenly over all items.

    Returns:
        A scalar that can be differentiated once.
    """
    if isinstance(targets, Tensor):
        targets = Rows.of(targets, dtype=hidden.dtype)
    loss: Tensor = _FullSoftmax.apply(hidden, weight, bias, targets, smoothing)
    return loss


def catalogue_loss(backbone: Backbone, hidden: Tensor, targets: Tensor | Rows, smoothing: float = 0.0) -> Tensor:
    """:func:`full_softmax_loss` of a backbone's own scores: hidden states [rows, dim] against item ids (1..items) instead of classes."""
    bias = backbone.item_bias
    # Row 0 is padding: it is no class, and so stays the zero vector.
    if isinstance(targets, Tensor):
        classes: Tensor | Rows = targets - 1
    else:
        barred = targets.barred
        classes = Rows(targets.targets - 1, targets.shares, None if barred is None else torch.stack([barred[0], barred[1] - 1]))
    return full_softmax_loss(hidden, backbone.item_embedding.weight[1:], classes, None if bias is None else bias[1:], smoothing)
