"""Ranking metrics over the full catalogue, with bootstrap intervals over users."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.data import SplitPart
from chordkit.estimate import Estimate

RESAMPLES = 2000
# At once: what these take is small enough that it lies in the cache, and is not taken from the system anew for every operator.
_BATCH_ROWS = 256
# Their scores: 16 M floats = 64 MB, whatever the size of the catalogue.
_BATCH_SCORES = 16_000_000

ScoreFn = Callable[[Tensor], Tensor]
FloatArray = NDArray[np.float64]


def mean_to_json(mean: Estimate) -> dict[str, float]:
    """A mean over users and its interval, under the names that metrics have in provenance and result files."""
    return {"mean": mean.value, "low": mean.low, "high": mean.high}


@dataclass(frozen=True)
class Metrics:
    """Metrics of one model on one set of held-out items.

    Attributes:
        protocol: ``full``, ``masked`` (items the user has seen do not compete) or ``negatives-N``.
        ranks: int64 [rows] of the split, 1 = best; ties count against the model.
        values: estimates by name: ``hr5``, ``ndcg5``, ``hr10``, ``ndcg10`` for the default cut-offs.
        per_user: float64 [users] by the same names, a user's mean over his rows, for paired comparisons.
    """

    protocol: str
    ranks: NDArray[np.int64]
    values: dict[str, Estimate]
    per_user: dict[str, FloatArray]

    @property
    def hr5(self) -> Estimate:
        """Hit rate at 5."""
        return self.values["hr5"]

    @property
    def ndcg5(self) -> Estimate:
        """NDCG at 5."""
        return self.values["ndcg5"]

    @property
    def hr10(self) -> Estimate:
        """Hit rate at 10."""
        return self.values["hr10"]

    @property
    def ndcg10(self) -> Estimate:
        """NDCG at 10."""
        return self.values["ndcg10"]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary without the per-user arrays."""
        each = {name: mean_to_json(value) for name, value in self.values.items()}
        return {"protocol": self.protocol, "users": len(next(iter(self.per_user.values()))), **each}


def bootstrap(values: FloatArray, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """Percentile bootstrap over users.

    Args:
        values: [users, columns], one column per quantity; every column sees the same resampled users.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Returns:
        One estimate per column.
    """
    users, columns = values.shape
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, columns))
    step = max(1, 4_000_000 // max(1, users))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, users, size=(rows, users))
        for column in range(columns):
            means[start : start + rows, column] = values[:, column][drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return [Estimate(value=float(values[:, c].mean()), low=float(low[c]), high=float(high[c])) for c in range(columns)]


def summarise(ranks: NDArray[np.int64], users: NDArray[Any], protocol: str, ks: tuple[int, ...] = (5, 10), seed: int = 0) -> Metrics:
    """Metrics from ranks: HR@k = 1 if rank <= k; NDCG@k = 1 / log2(rank + 1) if rank <= k (one relevant item a row).

    Args:
        ranks: [rows], 1 = best.
        users: [rows], which user a row belongs to; the rows of one user count as one observation.
        protocol: goes into the result.
        ks: cut-offs.
        seed: of the bootstrap.
    """
    number = np.unique(users, return_inverse=True)[1]
    rows = np.bincount(number)
    per_user: dict[str, FloatArray] = {}
    for k in ks:
        hit = (ranks <= k).astype(np.float64)
        per_user[f"hr{k}"] = np.bincount(number, hit) / rows
        per_user[f"ndcg{k}"] = np.bincount(number, hit / np.log2(ranks + 1.0)) / rows
    estimates = bootstrap(np.stack(list(per_user.values()), axis=1), seed=seed)
    return Metrics(protocol, ranks, dict(zip(per_user, estimates, strict=True)), per_user)


def mean_ndcg10(ranks: NDArray[np.int64]) -> float:
    """NDCG@10 over all rows, without intervals: what decides between epochs."""
    return float(np.mean((ranks <= 10) / np.log2(ranks + 1.0)))


@torch.no_grad()
def rank_targets(
    model: Backbone | ScoreFn, part: SplitPart, *, masked: bool = False, negatives: int = 0, seed: int = 0
) -> NDArray[np.int64]:
    """Rank of every row's held-out item, int64 [rows], 1 = best.

    Ties are counted pessimistically: everything that is not strictly below the target stands above it. A model that gives
    all items one score, or NaN, so gets the worst rank and never a lucky one.

    Args:
        model: a backbone (put into eval mode), or a function from histories int64 [batch, length] to scores
            [batch, items + 1].
        part: histories and held-out items.
        masked: items anywhere in the user's past do not compete (the target itself always does).
        negatives: 0 = the full catalogue competes; N = only N items drawn evenly among those the user has not seen.
        seed: of the drawn negatives.
    """
    device = torch.device("cpu")
    score: ScoreFn
    if isinstance(model, Backbone):
        model.eval()
        device, items, score = next(model.parameters()).device, model.config.items, _score_catalogue(model)
    else:
        score, items = model, model(torch.from_numpy(part.histories[:1]).long()).shape[1] - 1
    generator = np.random.default_rng(seed)
    ranks = np.empty(len(part), dtype=np.int64)
    step = min(_BATCH_ROWS, max(1, _BATCH_SCORES // (items + 1)))
    for start in range(0, len(part), step):
        rows = slice(start, start + step)
        target = part.targets[rows].astype(np.int64)[:, None]
        scores = torch.as_tensor(score(torch.from_numpy(part.histories[rows]).long().to(device)))
        own = scores.gather(1, torch.from_numpy(target).to(scores.device))
        ahead = ~(scores < own)
        ahead[:, 0] = False
        ahead.scatter_(1, torch.from_numpy(target).to(scores.device), False)
        past = part.past(rows) if masked or negatives else None
        if past is not None:
            ahead[tuple(torch.from_numpy(each).long().to(scores.device) for each in past)] = False
        if negatives:
            competing = np.ones(ahead.shape, np.bool_)
            competing[:, 0] = False
            np.put_along_axis(competing, target, False, axis=1)
            competing[past] = False
            ahead &= torch.from_numpy(_draw(competing, negatives, generator)).to(scores.device)
        ranks[rows] = 1 + ahead.sum(dim=1).cpu().numpy()
    return ranks


def looked_up(backbone: Backbone, states: Tensor, part: SplitPart) -> tuple[ScoreFn, SplitPart]:
    """What :func:`evaluate` and :func:`rank_targets` take where the hidden states [rows, dim] of a part are there already."""
    # Histories that are row numbers, so that each state meets its own target however the rows are batched.
    rows = np.arange(len(part), dtype=np.int32)[:, None]
    return lambda numbers: backbone.score_all(states[numbers[:, 0]]), replace(part, histories=rows)


@torch.no_grad()
def last_states(backbone: Backbone, part: SplitPart) -> Tensor:
    """Hidden states [rows, dim], on the backbone's device, after the histories of a part."""
    backbone.eval()
    device = backbone.item_embedding.weight.device
    batches = (part.histories[start : start + _BATCH_ROWS] for start in range(0, len(part), _BATCH_ROWS))
    return torch.cat([backbone.encode(torch.from_numpy(batch).long().to(device)) for batch in batches])


def _score_catalogue(backbone: Backbone) -> ScoreFn:
    return lambda histories: backbone.score_all(backbone.encode(histories))


def _draw(allowed: NDArray[np.bool_], count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Keep ``count`` random True entries of every row of ``allowed`` (all, where there are fewer)."""
    keys = np.where(allowed, generator.random(allowed.shape, dtype=np.float32), np.float32(2.0))
    chosen = np.argpartition(keys, min(count, keys.shape[1] - 1), axis=1)[:, :count]
    drawn = np.zeros_like(allowed)
    np.put_along_axis(drawn, chosen, True, axis=1)
    return drawn & allowed


def evaluate(
    model: Backbone | ScoreFn,
    part: SplitPart,
    masked: bool = False,
    ks: tuple[int, ...] = (5, 10),
    *,
    negatives: int = 0,
    seed: int = 0,
) -> Metrics:
    """Metrics of ``model`` on the held-out items of a split.

    Args:
        model: a backbone, or a function from histories int64 [batch, length] to scores [batch, items + 1].
        part: validation or test part of a split; a backbone's own device is used.
        masked: items the user has seen do not compete.
        ks: cut-offs.
        negatives: 0 = full ranking; N = the target against N seeded random unseen items (not comparable with full ranking).
        seed: of the negatives and of the bootstrap.
    """
    ranks = rank_targets(model, part, masked=masked, negatives=negatives, seed=seed)
    protocol = f"negatives-{negatives}" if negatives else "masked" if masked else "full"
    return summarise(ranks, part.users, protocol, ks, seed)


def paired_difference(
    a: Metrics | FloatArray, b: Metrics | FloatArray, key: str = "ndcg10", *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Mean of a - b over the same users with its 95 % paired bootstrap interval.

    Raises:
        ValueError: the two do not cover the same number of users.
    """
    left = a.per_user[key] if isinstance(a, Metrics) else np.asarray(a, dtype=np.float64)
    right = b.per_user[key] if isinstance(b, Metrics) else np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"paired_difference: {left.shape} against {right.shape}: both must cover the same users in the same order")
    return bootstrap((left - right)[:, None], resamples, seed)[0]
