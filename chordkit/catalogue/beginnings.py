"""Where the rows of new items begin, before their own clicks are looked at, and how far that can be trusted."""

from dataclasses import dataclass

import numpy as np

from chordkit.catalogue.neighbours import neighbour_means
from chordkit.data import Dataset

_SAMPLE = 2000
"""Known items on which it is measured how far a beginning lies from what training found."""
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_FOLDS = 5


@dataclass(frozen=True)
class Beginnings:
    """Rows of new items before their clicks are looked at.

    Attributes:
        rows: float32 [new items, dim].
        variance: float32 [new items], mean squared error of one number of such a row, measured on known items.
        sources: for each "content", "neighbours", or "average" where nothing is known of it.
    """

    rows: np.ndarray
    variance: np.ndarray
    sources: list[str]


def beginnings(dataset: Dataset, table: np.ndarray, content: np.ndarray | None, seed: int = 0) -> Beginnings:
    """By content where the owner gave it, else by what stands around the item in histories, else the average item.

    Args:
        dataset: histories with old and new items.
        table: float32 [known items + 1, dim], the item table so far.
        content: float32 [items + 1, n], a vector for each item, NaN where there is none; None = for no item.
        seed: of the known items that are measured on.
    """
    known, new = len(table) - 1, np.arange(len(table), dataset.items + 1)
    average = table[1:].mean(0)
    rows = np.repeat(average[None], len(new), 0)
    variance = np.full(len(new), table[1:].var(0).mean())
    sources = np.full(len(new), "average", object)
    sample = np.sort(np.random.default_rng(seed).permutation(known)[:_SAMPLE]) + 1
    means, weights = neighbour_means(dataset, table, np.concatenate([sample, new]))
    near = weights > 0
    ours, theirs = means[: len(sample)][near[: len(sample)]], table[sample][near[: len(sample)]]
    if len(ours):
        # A mean is shorter than what it is the mean of.
        stretch = float((ours * theirs).sum() / max(float((ours * ours).sum()), 1e-12))
        has = near[len(sample) :]
        rows[has] = stretch * means[len(sample) :][has]
        variance[has] = np.square(theirs - stretch * ours).mean()
        sources[has] = "neighbours"
    if content is not None:
        told = np.isfinite(content).all(1)
        has, learned = told[new], np.flatnonzero(told[1 : known + 1]) + 1
        if has.any() and len(learned) >= 2 * _FOLDS:
            rows[has], variance[has] = _ridge(content[learned], table[learned], content[new[has]])
            sources[has] = "content"
    return Beginnings(rows.astype(np.float32), variance.astype(np.float32), [str(source) for source in sources])


def _ridge(known: np.ndarray, rows: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows [n, dim] of ``new`` content [n, m] by ridge regression on the known items, and its mean squared error where it was not fitted;
    the penalty is the one of least error, by cross-validation."""
    mean, spread = known.mean(0), np.maximum(known.std(0), 1e-9)
    inputs, asked, middle = (known - mean) / spread, (new - mean) / spread, rows.mean(0)
    fold = np.random.default_rng(0).permutation(len(known)) % _FOLDS

    def fitted(part: np.ndarray, penalty: float) -> np.ndarray:
        x = inputs[part].astype(np.float64)
        gram = x.T @ x / len(x)
        found: np.ndarray = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ (rows[part] - middle) / len(x))
        return found

    def error(penalty: float) -> float:
        each = [np.square(rows[fold == k] - middle - inputs[fold == k] @ fitted(fold != k, penalty)).mean() for k in range(_FOLDS)]
        return float(np.mean(each))

    errors = [error(penalty) for penalty in _PENALTIES]
    best = int(np.argmin(errors))
    return middle + asked @ fitted(np.ones(len(known), bool), _PENALTIES[best]), errors[best]
