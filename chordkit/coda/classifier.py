"""The personal sample classifier: which outside samples lie inside the border of a user's own (CoDA, section 3.3).

Local samples are positive; outside ones are unlabelled, since some of them the user might have left as well. Elkan and Noto (KDD 2008): a
classifier s of "local or outside" is, on positives, c on average; an outside sample is a positive one with odds that follow from both.
"""

from dataclasses import dataclass

import numpy as np

from chordkit.coda.learning import Head, Lessons

_SURE = 1e-6


@dataclass(frozen=True)
class Border:
    """How the border is learned.

    Attributes:
        folds: every sample is judged by a classifier that learned from the other folds alone.
        steps: of Nesterov's accelerated gradient; nothing random.
        decay: half of it times the square of the weights is added to the loss.
    """

    folds: int = 3
    steps: int = 40
    decay: float = 0.05


def describe(head: Head, lessons: Lessons) -> np.ndarray:
    """What a sample looks like to the classifier, [n, 2 * dim]: where its history stands and what came then, each of length 1."""
    parts = (lessons.states, head.table[lessons.targets])
    return np.concatenate([each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), _SURE) for each in parts], axis=1)


def probabilities(local: np.ndarray, outside: np.ndarray, border: Border | None = None) -> np.ndarray:
    """Probability of each outside sample to lie inside the local border, [m], cross-fitted.

    Args:
        local: features [n, width] of the user's samples, neighbours in time beside each other.
        outside: features [m, width], those of one source beside each other: folds are runs of them, so that none is judged by its like.
        border: how.
    """
    border = border or Border()
    mean, spread = _scaling(np.concatenate([local, outside]))
    own, others = (local - mean) / spread, (outside - mean) / spread
    own_fold, other_fold = (np.arange(len(each)) * border.folds // max(1, len(each)) for each in (own, others))
    found = np.empty(len(others), others.dtype)
    for fold in range(border.folds):
        learned = np.concatenate([own[own_fold != fold], others[other_fold != fold]])
        labels = np.zeros(len(learned), learned.dtype)
        labels[: int((own_fold != fold).sum())] = 1
        weights = fit(learned, labels, border)
        # On positives that it has not learned from, the mean of s is the probability that a positive is labelled.
        held = own[own_fold == fold]
        labelled = float(np.clip(_sigmoid(_with_one(held) @ weights).mean() if len(held) else 0.5, _SURE, 1 - _SURE))
        share = np.clip(_sigmoid(_with_one(others[other_fold == fold]) @ weights), _SURE, 1 - _SURE)
        found[other_fold == fold] = np.minimum(1.0, (1 - labelled) / labelled * share / (1 - share))
    return found


def inner(inside: np.ndarray, share: float) -> np.ndarray:
    """Numbers, ascending, of the ``share`` of samples that most probably lie inside; the earlier one where two are as probable."""
    return np.sort(np.argsort(-inside, kind="stable")[: int(np.ceil(share * len(inside)))])


def loss(weights: np.ndarray, features: np.ndarray, labels: np.ndarray, decay: float) -> tuple[float, np.ndarray]:
    """Mean logistic loss of ``weights`` [width + 1], the last the intercept, with its gradient."""
    inputs = _with_one(features)
    scores = inputs @ weights
    pulled = decay * weights
    pulled[-1] = 0
    value = np.mean(np.logaddexp(0, scores) - labels * scores) + 0.5 * float(pulled @ weights)
    return float(value), inputs.T @ (_sigmoid(scores) - labels) / len(labels) + pulled


def fit(features: np.ndarray, labels: np.ndarray, border: Border) -> np.ndarray:
    """Weights [width + 1] that tell labels 1 from 0, by gradient steps no longer than the loss is smooth."""
    # A quarter of the mean squared length bounds the curvature.
    step = 1.0 / (0.25 * float((features**2).sum(axis=1).mean() + 1.0) + border.decay)
    weights = np.zeros(features.shape[1] + 1, features.dtype)
    before = weights
    for number in range(border.steps):
        ahead = weights + (number / (number + 3.0)) * (weights - before)
        before, weights = weights, (ahead - step * loss(ahead, features, labels, border.decay)[1]).astype(features.dtype)
    return weights


def _scaling(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.mean(axis=0), np.maximum(features.std(axis=0), _SURE)


def _with_one(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, np.ones((len(features), 1), features.dtype)], axis=1)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * scores))
