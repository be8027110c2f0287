"""Cross-entropy over the whole catalogue, and a teacher's word beside it, without ever holding all logits."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from chordkit.backbones import Backbone

# Logits of one chunk: 1 M floats = 4 MB, so that the passes over it find it in the cache.
_CHUNK_LOGITS = 1_000_000
# Logits are computed as multiples of ln 2: powers of two take a quarter of the time of powers of e.
_LN_2 = math.log(2.0)

# Below every score that counts, and finite: a share of 0 times it is 0.
NOTHING = -1e4
_SMALLEST = 1e-30


@dataclass(frozen=True)
class Taught:
    """What a teacher says of rows, for a listwise loss beside the cross-entropy of their targets (Hinton et al. 2015, over a list).

    The teacher's distribution over ``k`` classes and "another one" is compared with the student's over the same ``k + 1`` outcomes, the
    logits of each divided by the temperature: Kullback-Leibler divergence times the square of the temperature, which keeps the size of
    its gradients. How the student spreads what it gives to all others is its own affair.

    Attributes:
        items: int64 [rows, k], classes, each once a row.
        logits: [rows, k + 1], the teacher's, of any common offset a row; the last one is log-sum-exp over all other classes.
        weight: share of the loss that is this one; the rest is cross-entropy.
        temperature: above 1, the list's order counts more and its head less.
    """

    items: Tensor
    logits: Tensor
    weight: float
    temperature: float


@dataclass(frozen=True)
class Rows:
    """What the rows of a loss are to predict.

    Attributes:
        targets: int64 [rows], classes.
        barred: int64 [2, n], (row, class) pairs that take no part in the softmax, rows ascending; None = all do. No target is among them.
        taught: what a teacher says of them; None = there is none.
    """

    targets: Tensor
    barred: Tensor | None = None
    taught: Taught | None = None


class _FullSoftmax(torch.autograd.Function):
    """Mean loss and its gradients in one pass over chunks of rows.

    The gradient with respect to a logit is softmax - target distribution, known as soon as the chunk's logits are: computing
    it on the spot leaves one matrix product for the logits and two for the gradients, and no [rows, items] tensor to write,
    keep and read again. The softmax's denominator scales the thin side of each product, the targets' part is added by row.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, goal: Rows, smoothing: float) -> Tensor:
        rows, items = hidden.shape[0], weight.shape[0]
        chunk = max(1, _CHUNK_LOGITS // items)
        share = 1.0 if goal.taught is None else 1.0 - goal.taught.weight
        own, spread = share * (1.0 - smoothing), share * smoothing / items
        grad_hidden = weight.index_select(0, goal.targets).mul_(-own)
        grad_weight = torch.zeros_like(weight).index_add_(0, goal.targets, hidden * own, alpha=-1.0)
        grad_bias = None
        if bias is not None:
            grad_bias = -torch.zeros_like(bias).index_add_(0, goal.targets, bias.new_full(goal.targets.shape, own)) - spread * rows
        if smoothing:
            grad_hidden -= spread * weight.sum(dim=0)
            grad_weight -= spread * hidden.sum(dim=0)
        total = hidden.new_zeros(())
        doublings, doubling_bias = hidden / _LN_2, None if bias is None else bias / _LN_2
        buffer = hidden.new_empty(min(chunk, rows), items)
        for start in range(0, rows, chunk):
            stop = min(start + chunk, rows)
            block, logits = hidden[start:stop], buffer[: stop - start]
            torch.mm(doublings[start:stop], weight.T, out=logits)
            if doubling_bias is not None:
                logits += doubling_bias
            total -= own * _LN_2 * logits.gather(1, goal.targets[start:stop, None]).sum()
            if smoothing:
                total -= spread * _LN_2 * logits.sum()
            if goal.barred is not None:
                first, last = torch.searchsorted(goal.barred[0], torch.tensor([start, stop], device=hidden.device)).tolist()
                logits[goal.barred[0, first:last] - start, goal.barred[1, first:last]] = -torch.inf
            highest = logits.amax(dim=1, keepdim=True)
            powers = logits.sub_(highest).exp2_()
            norm = powers.sum(dim=1, keepdim=True)
            total += share * (_LN_2 * highest.sum() + norm.log().sum())
            if goal.taught is None:
                divisor = norm
            else:
                total += _follow(goal.taught, slice(start, stop), powers, norm)
                divisor = torch.ones_like(norm)
            grad_hidden[start:stop].add_((powers @ weight).div_(divisor))
            grad_weight.addmm_(powers.T, block / divisor)
            if grad_bias is not None:
                grad_bias.addmv_(powers.T, divisor.reciprocal().squeeze(1))
        ctx.rows = rows
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total / rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad_output / ctx.rows
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        return grad_hidden * scale, grad_weight * scale, None if grad_bias is None else grad_bias * scale, None, None


def _follow(taught: Taught, rows: slice, powers: Tensor, norm: Tensor) -> Tensor:
    """The listwise loss of some rows, summed and weighed; ``powers``, exp of their logits, becomes the gradient of the whole loss with
    respect to these logits, the targets' part aside.

    The outcome "another one" has the log-sum-exp of all classes beside the list as its logit, so its gradient reaches each of them by its
    share of that sum.
    """
    items, weight, temperature = taught.items[rows], taught.weight, taught.temperature
    listed = powers.gather(1, items)
    powers.scatter_(1, items, 0.0)
    others = powers.sum(dim=1, keepdim=True).clamp_(min=_SMALLEST)
    student = torch.cat([listed, others], dim=1).log_().clamp_(min=NOTHING)
    wanted = torch.log_softmax(taught.logits[rows].to(student) / temperature, dim=1)
    found = torch.log_softmax(student / temperature, dim=1)
    gradient = weight * temperature * (found.exp() - wanted.exp())
    powers.mul_((1.0 - weight) / norm + gradient[:, -1:] / others)
    powers.scatter_(1, items, (1.0 - weight) * listed / norm + gradient[:, :-1])
    return weight * temperature**2 * (wanted.exp() * (wanted - found)).sum()


def full_softmax_loss(hidden: Tensor, weight: Tensor, targets: Tensor | Rows, bias: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of ``targets`` under softmax(hidden @ weight.T + bias), all items competing.

    Args:
        hidden: [rows, dim].
        weight: [items, dim]; row i is the item of class i.
        targets: int64 [rows], classes in 0..items-1; or these and what else there is to say of the rows.
        bias: [items] or None.
        smoothing: label smoothing: this share of the targets' mass is spread evenly over all items.

    Returns:
        A scalar that can be differentiated once.
    """
    goal = Rows(targets) if isinstance(targets, Tensor) else targets
    loss: Tensor = _FullSoftmax.apply(hidden, weight, bias, goal, smoothing)
    return loss


def catalogue_loss(backbone: Backbone, hidden: Tensor, targets: Tensor | Rows, smoothing: float = 0.0) -> Tensor:
    """:func:`full_softmax_loss` of a backbone's own scores: hidden states [rows, dim] against item ids (1..items) instead of classes."""
    bias = backbone.item_bias
    # Row 0 is padding: it is no class, and so stays the zero vector.
    goal = Rows(targets) if isinstance(targets, Tensor) else targets
    barred, taught = goal.barred, goal.taught
    classes = Rows(
        goal.targets - 1,
        None if barred is None else torch.stack([barred[0], barred[1] - 1]),
        None if taught is None else replace(taught, items=taught.items - 1),
    )
    return full_softmax_loss(hidden, backbone.item_embedding.weight[1:], classes, None if bias is None else bias[1:], smoothing)
