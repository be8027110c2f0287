"""Rows of the item table for new items: those under which the clicks that have been seen are most likely."""

import torch
from torch import Tensor
from torch.nn import functional

from chordkit.catalogue.clicks import Clicks
from chordkit.progress import Progress

_STEPS = 60
_LOGITS_AT_ONCE = 1_000_000


def likeliest_rows(clicks: Clicks, beginning: Tensor, strength: Tensor, biased: bool, progress: Progress | None = None) -> Tensor:
    """The rows under which the clicks are most likely in the softmax over all items, as in training, with all else of the model as it is.

    The loss is convex: minus the log likelihood of all clicks, those on known items too, since a new item that scores high takes from them,
    plus an item's ``strength`` times the squared distance from where it begins, so that one of few clicks stays near: a normal prior of
    variance 1 / (2 ``strength``).

    Args:
        clicks: what there is to explain.
        beginning: float32 [new items, dim + 1], rows and biases as they are without any click.
        strength: float32 [new items], of the pull towards them.
        biased: whether items have a bias; otherwise it stays where it begins.
        progress: called with (phase, done, total).

    Returns:
        float32 [new items, dim + 1].
    """
    learned = torch.ones(beginning.shape[1])
    learned[-1] = float(biased)
    hits = torch.nonzero(clicks.new >= 0)[:, 0]
    size = max(1, _LOGITS_AT_ONCE // len(beginning))
    offset = torch.zeros_like(beginning, requires_grad=True)
    optimiser = torch.optim.LBFGS([offset], max_iter=_STEPS, max_eval=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-3)
    done = 0

    def loss() -> float:
        nonlocal done
        optimiser.zero_grad()
        rows = (beginning + offset * learned).detach().requires_grad_(True)
        total = 0.0
        # A chunk at a time, so that no [clicks, new items] tensor is kept; before the first arrival there is nothing to lose.
        for start in range(int(clicks.arrivals.min()), len(clicks.states), size):
            part = slice(start, start + size)
            scores = clicks.states[part] @ rows.T
            absent = torch.arange(start, start + len(scores))[:, None] < clicks.arrivals
            own = scores.masked_fill(absent, -torch.inf).logsumexp(1)
            taken = (clicks.weights[part] * functional.softplus(own - clicks.others[part])).sum()
            taken.backward()
            total += float(taken.detach())
        rest = -(clicks.weights[hits] * (clicks.states[hits] * rows[clicks.new[hits]]).sum(1)).sum()
        rest.backward()
        assert rows.grad is not None
        offset.grad = (rows.grad + 2 * strength[:, None] * offset.detach()) * learned
        done += 1
        if progress is not None:
            progress("fit rows", min(done, _STEPS), _STEPS)
        return total + float(rest.detach() + (strength[:, None] * (offset.detach() * learned).square()).sum())

    optimiser.step(loss)
    return (beginning + offset.detach() * learned).detach()
