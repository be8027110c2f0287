"""How probable a model finds what users really chose, at the one temperature that suits the model.

A reranker needs an order, and an order does not change when all scores are multiplied by one number; a likelihood does. Models that learn
a small data set by heart grow too sure of themselves long before they order any worse: their plain likelihoods compare little but how long
they were trained. One temperature, fitted on items that neither train nor test (Guo et al., ICML 2017), takes that out.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.data import SplitPart

_SCORED_AT_ONCE = 256
# Rows, evenly spaced, that fit the one number: its standard error is then about 0.01.
_FITTING_ROWS = 2048
_NEWTON_STEPS = 20
_SMALL_STEP = 1e-4


def calibrated_likelihood(backbone: Backbone, states: Tensor, part: SplitPart, *, masked: bool = False) -> float:
    """:func:`mean_likelihood` at the temperature that suits the model on ``part`` itself: what chooses an epoch."""
    temperature = best_temperature(backbone, states, part, masked=masked)
    return mean_likelihood(backbone, states, part, masked=masked, temperature=temperature)


@torch.no_grad()
def mean_likelihood(backbone: Backbone, states: Tensor, part: SplitPart, *, masked: bool = False, temperature: float = 1.0) -> float:
    """Mean log probability, in nats, of the targets of ``part`` under softmax(scores / temperature).

    Args:
        backbone: whose item embeddings are scored.
        states: [rows, dim], of the histories of ``part``.
        part: held-out items.
        masked: the items anywhere in a user's past do not compete.
        temperature: of the softmax.
    """
    total = 0.0
    for scores, own in _scores(backbone, states, part, np.arange(len(states)), masked):
        total += float((own / temperature - (scores / temperature).logsumexp(dim=1)).sum())
    return total / len(states)


@torch.no_grad()
def best_temperature(backbone: Backbone, states: Tensor, part: SplitPart, *, masked: bool = False) -> float:
    """The temperature at which ``part`` has the highest mean likelihood; 1 where the scores are no numbers or no temperature is the best.

    The likelihood is concave in the inverse temperature: Newton's method, at most doubling or halving it in a step.
    """
    rows = np.unique(np.linspace(0, len(states) - 1, min(_FITTING_ROWS, len(states))).astype(np.int64))
    inverse = 1.0
    for _ in range(_NEWTON_STEPS):
        slope, curvature = 0.0, 0.0
        for scores, own in _scores(backbone, states, part, rows, masked):
            shares = torch.softmax(scores * inverse, dim=1)
            finite = scores.masked_fill(scores == -torch.inf, 0.0)
            mean = (shares * finite).sum(dim=1)
            slope += float((own - mean).sum())
            curvature += float((shares * (finite - mean[:, None]).square()).sum())
        step = slope / curvature if curvature > 0.0 else 0.0
        before, inverse = inverse, float(np.clip(inverse + step, 0.5 * inverse, 2.0 * inverse))
        if not abs(inverse - before) > _SMALL_STEP * before:
            return 1.0 / inverse
    return 1.0


def _scores(backbone: Backbone, states: Tensor, part: SplitPart, rows: np.ndarray, masked: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores [n, items + 1] of some of the rows, -inf where an item does not compete, and those of their targets [n]."""
    device = backbone.item_embedding.weight.device
    for start in range(0, len(rows), _SCORED_AT_ONCE):
        some = rows[start : start + _SCORED_AT_ONCE]
        scores = backbone.score_all(states[torch.from_numpy(some)].to(device))
        scores[:, 0] = -torch.inf
        if masked:
            row, items = (torch.from_numpy(each).long().to(device) for each in part.seen(some))
            scores[row, items] = -torch.inf
        yield scores, scores.gather(1, torch.from_numpy(part.targets[some].astype(np.int64)).to(device)[:, None]).squeeze(1)
