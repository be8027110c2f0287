"""The strongest simple answers, without a neural model: what costs minutes to train has to be better than these."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.data import Split, SplitPart
from chordkit.evaluation.measure import measure_scores
from chordkit.evaluation.retrieval import NearestItems

# EASE inverts a matrix of items x items: seconds here, minutes and gigabytes in large catalogues.
EASE_ITEMS = 4000
_PENALTIES = (50.0, 250.0, 1000.0)
_ROWS_AT_ONCE = 256

Scores = Callable[[SplitPart, slice], Tensor]
"""Of rows of a part: float32 [rows, items + 1]; column 0 means nothing."""


@dataclass(frozen=True)
class Baseline:
    """One of them.

    Attributes:
        name: short.
        label: what it does, in words.
        scores: of the rows of a part.
    """

    name: str
    label: str
    scores: Scores

    def batches(self, part: SplitPart) -> Iterator[tuple[slice, Tensor]]:
        """Rows and their scores, as :func:`chordkit.evaluation.measure.measure_scores` takes them."""
        for start in range(0, len(part), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            scores = self.scores(part, rows)
            scores[:, 0] = -torch.inf
            yield rows, scores


def baselines(parts: Split) -> list[Baseline]:
    """Popularity, the last item's successors, item-kNN, and EASE where the catalogue is not too large; they know the training part alone.

    EASE's penalty is the one of three that is best on the validation items.
    """
    nearest = NearestItems(parts.train, parts.items)
    found = [
        Baseline("popularity", "how often an item was taken", _popularity(parts.train, parts.items)),
        Baseline("last item", "what followed the last item most often (first-order Markov)", _successors(parts.train, parts.items)),
        Baseline("item-kNN", "items taken by the same users as the last 50, the newest counting most", nearest.scores),
    ]
    if parts.items <= EASE_ITEMS:
        found.append(_best_ease(parts))
    return found


def _popularity(sequences: Sequence[NDArray[np.int32]], items: int) -> Scores:
    counts = torch.from_numpy(np.bincount(np.concatenate(sequences), minlength=items + 1)).float()
    return lambda part, rows: counts.repeat(len(part.targets[rows]), 1)


def _successors(sequences: Sequence[NDArray[np.int32]], items: int) -> Scores:
    before, after = (np.concatenate([each[cut] for each in sequences]).astype(np.int64) for cut in (slice(None, -1), slice(1, None)))
    pairs = torch.from_numpy(np.stack([before, after]))
    counts = torch.sparse_coo_tensor(pairs, torch.ones(len(before)), (items + 1, items + 1), check_invariants=False).coalesce()
    # Popularity decides among items that never followed, and never against one that did.
    often = torch.from_numpy(np.bincount(np.concatenate(sequences), minlength=items + 1)).float()
    behind = often / (often.max() + 1.0)

    def scores(part: SplitPart, rows: slice) -> Tensor:
        last = torch.from_numpy(part.flat[part.stops[rows] - 1].astype(np.int64))
        return counts.index_select(0, last).to_dense() + behind

    return scores


def _best_ease(parts: Split) -> Baseline:
    gram = _gram(parts.train, parts.items)
    tried = []
    for penalty in _PENALTIES:
        label = f"EASE (Steck 2019), penalty {penalty:g}: a linear model of which items go together, in closed form"
        each = Baseline("EASE", label, _ease(gram, penalty))
        found = measure_scores(each.batches(parts.valid), parts.valid, {})
        tried.append((float(found.values["masked_ndcg10"].mean()), each))
    return max(tried, key=lambda pair: pair[0])[1]


def _gram(sequences: Sequence[NDArray[np.int32]], items: int) -> Tensor:
    """Of every two items how many users have both, float64 [items + 1, items + 1]."""
    gram = torch.zeros(items + 1, items + 1, dtype=torch.float64)
    for start in range(0, len(sequences), _ROWS_AT_ONCE):
        some = sequences[start : start + _ROWS_AT_ONCE]
        taken = torch.zeros(len(some), items + 1, dtype=torch.float32)
        for row, sequence in enumerate(some):
            taken[row, torch.from_numpy(sequence.astype(np.int64))] = 1.0
        gram += taken.t() @ taken
    return gram


def _ease(gram: Tensor, penalty: float) -> Scores:
    inverse = torch.linalg.inv(gram + penalty * torch.eye(len(gram), dtype=torch.float64))
    weights = (-inverse / inverse.diagonal()).fill_diagonal_(0.0).float()

    def scores(part: SplitPart, rows: slice) -> Tensor:
        row, taken = part.past(rows)
        histories = torch.zeros(len(part.targets[rows]), len(weights))
        histories[torch.from_numpy(row), torch.from_numpy(taken.astype(np.int64))] = 1.0
        return histories @ weights

    return scores
