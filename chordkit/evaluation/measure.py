"""What a model is worth on held-out items: ranks among several sets of candidates, and likelihoods, from hidden states alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.data import SplitPart
from chordkit.hypernetwork.likelihood import best_temperature

# At once: what these take is small enough that it is not taken from the system anew for every operator.
_BATCH_ROWS = 256
# Their scores: 16 M floats = 64 MB, whatever the size of the catalogue.
_BATCH_SCORES = 16_000_000
_TOP = 10
# The rank of a target that was not handed over: beyond every cut-off.
_MISSED = 1 << 30

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Temperatures:
    """What scores are divided by before they become probabilities.

    Attributes:
        full: where everything competes.
        masked: where seen items do not.
    """

    full: float = 1.0
    masked: float = 1.0


def fit_temperatures(backbone: Backbone, states: Tensor, part: SplitPart) -> Temperatures:
    """Those that suit a model on ``part``, which is not what it is measured on; see :mod:`chordkit.hypernetwork.likelihood`."""
    return Temperatures(*(best_temperature(backbone, states, part, masked=masked) for masked in (False, True)))


@dataclass(frozen=True)
class Measured:
    """Values of one model, one a row of a split part, by name.

    ==================  =========================================================================================
    ndcg5, hr5, ...10   full ranking, items that the user has seen included
    masked_ndcg5, ...   the same when no seen item competes: what an app shows that does not repeat itself
    n100_ndcg5, ...     among 100 random items that the user has not seen
    hard_ndcg5, ...     among the 100 unseen items that a first stage (item-kNN) hands over, as in an app: a target that is not among
                        them is missed, whoever reranks
    likelihood          log probability of the target, nats, at the model's temperature
    masked_likelihood   the same over the items that the user has not seen
    raw_likelihood, ... the same two at temperature 1
    seen10              share of the full top 10 that the user has already seen
    ==================  =========================================================================================

    A rank counts ties against the model: everything that is not strictly below the target stands above it.

    Attributes:
        values: float64 [rows] by name.
        top: int32 [rows, 10], the masked top 10, best first.
    """

    values: Mapping[str, FloatArray]
    top: NDArray[np.int32]


@torch.no_grad()
def measure(
    backbone: Backbone,
    states: Tensor,
    part: SplitPart,
    candidates: Mapping[str, NDArray[np.int32]],
    temperatures: Temperatures = Temperatures(),
) -> Measured:
    """Measure hidden states [rows, dim] on the held-out items of ``part``.

    Args:
        backbone: whose item embeddings the states are scored against.
        states: of the rows of ``part``, however they were made.
        part: the held-out items.
        candidates: int32 [rows, n] by the name of the set: ``n100`` = the items that compete with the target; ``hard`` = what a first
            stage hands over, with the target or without.
        temperatures: for the likelihoods.
    """
    return measure_scores(score_batches(backbone, states), part, candidates, temperatures)


@torch.no_grad()
def measure_scores(
    batches: Iterable[tuple[slice, Tensor]],
    part: SplitPart,
    candidates: Mapping[str, NDArray[np.int32]],
    temperatures: Temperatures = Temperatures(),
) -> Measured:
    """The same of scores, whoever made them: ``batches`` are rows of ``part`` and their scores [rows, items + 1], column 0 -inf."""
    found: dict[str, list[np.ndarray]] = {}
    top: list[np.ndarray] = []
    for rows, scores in batches:
        batch, best = _batch(scores, part, rows, {name: ids[rows] for name, ids in candidates.items()}, temperatures)
        for name, each in batch.items():
            found.setdefault(name, []).append(each)
        top.append(best)
    measured = {name: np.concatenate(parts) for name, parts in found.items()}
    values = {name: each for name, each in measured.items() if not name.endswith("rank")}
    for name, ranks in measured.items():
        if name.endswith("rank"):
            prefix = name.removesuffix("rank")
            for k in (5, 10):
                values[f"{prefix}hr{k}"] = (ranks <= k).astype(np.float64)
                values[f"{prefix}ndcg{k}"] = (ranks <= k) / np.log2(ranks + 1.0)
    return Measured(values, np.concatenate(top))


def score_batches(backbone: Backbone, states: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their scores [rows, items + 1] of the whole catalogue, as many at once as memory allows; column 0 is -inf."""
    step = min(_BATCH_ROWS, max(1, _BATCH_SCORES // (backbone.config.items + 1)))
    for start in range(0, len(states), step):
        scores = backbone.score_all(states[start : start + step])
        scores[:, 0] = -torch.inf
        yield slice(start, start + step), scores


def _batch(
    scores: Tensor, part: SplitPart, rows: slice, candidates: Mapping[str, NDArray[np.int32]], temperatures: Temperatures
) -> tuple[dict[str, np.ndarray], NDArray[np.int32]]:
    """Values of the rows by name, ranks among them, and the best items that each user has not seen, int32 [rows, 10]."""
    target = torch.from_numpy(part.targets[rows].astype(np.int64))[:, None]
    own = scores.gather(1, target)
    # Not "ahead": NaN is never below, so that a model that gives NaN gets the worst rank.
    ahead = ~(scores < own)
    ahead[:, 0] = False
    ahead.scatter_(1, target, False)
    row, items = (torch.from_numpy(each).long() for each in part.past(rows))
    count = min(_TOP, scores.shape[1] - 1)
    top = scores.topk(count, dim=1).indices
    past = torch.zeros_like(ahead)
    past[row, items] = True
    seen = past.scatter(1, target, False)
    unseen = scores.masked_fill(seen, -torch.inf)
    found = {
        "rank": 1 + ahead.sum(dim=1),
        "masked_rank": 1 + (ahead & ~seen).sum(dim=1),
        "likelihood": _log_share(own, scores, temperatures.full),
        "masked_likelihood": _log_share(own, unseen, temperatures.masked),
        "raw_likelihood": _log_share(own, scores, 1.0),
        "raw_masked_likelihood": _log_share(own, unseen, 1.0),
        "seen10": past.gather(1, top).float().mean(dim=1),
    }
    for name, ids in candidates.items():
        listed = torch.from_numpy(ids).long()
        ranks = 1 + ahead.gather(1, listed).sum(dim=1)
        found[f"{name}_rank"] = torch.where((listed == target).any(dim=1), ranks, _MISSED) if name == "hard" else ranks
    best = scores.masked_fill(past, -torch.inf).topk(count, dim=1).indices
    return {name: values.double().numpy() for name, values in found.items()}, best.numpy().astype(np.int32)


def _log_share(own: Tensor, scores: Tensor, temperature: float) -> Tensor:
    return (own / temperature - (scores / temperature).logsumexp(dim=1, keepdim=True)).squeeze(1)
