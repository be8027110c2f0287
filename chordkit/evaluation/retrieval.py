"""Candidates to rerank: random ones, and those that a first stage would hand over, which are harder and what an app does."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.data import SplitPart

CANDIDATES = 100
# The items of a history that a first stage looks at.
_RECENT = 50
_ROWS_AT_ONCE = 256


def candidate_sets(part: SplitPart, sequences: Sequence[NDArray[np.int32]], items: int) -> dict[str, NDArray[np.int32]]:
    """The candidates that every rival is measured among, the same for all seeds: ``n100`` and ``hard`` of :func:`measure`."""
    return {"n100": random_candidates(part, items), "hard": nearest_candidates(part, sequences, items)}


def random_candidates(part: SplitPart, items: int, count: int = CANDIDATES, seed: int = 0) -> NDArray[np.int32]:
    """``count`` items for every row, int32 [rows, count], evenly among those that the user has not seen, the target not among them.

    With fewer unseen items than ``count`` some are drawn twice, which changes no comparison between models.
    """
    generator = np.random.default_rng(seed)
    drawn = np.empty((len(part), count), np.int32)
    for start in range(0, len(part), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        open_items = _open(part, rows, items)
        keys = np.where(open_items, generator.random(open_items.shape, dtype=np.float32), np.float32(2.0))
        chosen = np.argpartition(keys, min(count, items), axis=1)[:, :count] if items > count else np.argsort(keys, axis=1)
        usable = np.maximum(np.minimum(open_items.sum(axis=1), chosen.shape[1]), 1)
        order = np.take_along_axis(keys, chosen, axis=1).argsort(axis=1)
        chosen = np.take_along_axis(chosen, order, axis=1)
        drawn[rows] = np.take_along_axis(chosen, np.arange(count)[None] % usable[:, None], axis=1)
    return drawn


class NearestItems:
    """Item-kNN (Sarwar et al. 2001): how near every item is to the recent ones of a history.

    Nearness is the cosine of two items' users in ``sequences``, the training part, summed over the last 50 items of the history, each
    divided by the square root of its age, so that what was just looked at counts most. Popularity decides where nothing is near.
    """

    def __init__(self, sequences: Sequence[NDArray[np.int32]], items: int) -> None:
        users = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
        # One number a pair: sorting rows of pairs takes many times as long.
        pairs = np.stack(np.divmod(np.unique(users * (items + 1) + np.concatenate(sequences)), items + 1))
        norms = 1.0 / np.sqrt(np.maximum(np.bincount(pairs[1], minlength=items + 1), 1))
        values = torch.from_numpy(norms[pairs[1]].astype(np.float32))
        shape = (len(sequences), items + 1)
        self._matrix = torch.sparse_coo_tensor(torch.from_numpy(pairs), values, shape, check_invariants=False).coalesce()
        self._transposed = self._matrix.t().coalesce()
        # The smallest noise that decides ties, and fills up where nothing is near, by popularity and not by number.
        self._popularity = 1e-9 * torch.from_numpy(1.0 / norms).float()
        self._weights = torch.from_numpy(np.arange(_RECENT, 0, -1, dtype=np.float32) ** -0.5)

    def scores(self, part: SplitPart, rows: slice) -> Tensor:
        """float32 [rows, items + 1]: nearness to the histories of these rows; column 0 means nothing."""
        recent = SplitPart(part.histories, part.targets, part.users, part.flat, part.starts[rows], part.stops[rows]).recent(_RECENT)
        history = torch.from_numpy(recent).long()
        weights = torch.zeros(len(history), self._matrix.shape[1]).scatter_add_(1, history, self._weights.expand(history.shape))
        weights[:, 0] = 0.0
        return torch.sparse.mm(self._transposed, torch.sparse.mm(self._matrix, weights.t())).t() + self._popularity


def nearest_candidates(part: SplitPart, sequences: Sequence[NDArray[np.int32]], items: int, count: int = CANDIDATES) -> NDArray[np.int32]:
    """The ``count`` unseen items nearest to every row's recent items, int32 [rows, count], with the target where it is among them.

    See :class:`NearestItems`. With fewer unseen items than ``count`` some are there twice.
    """
    nearest = NearestItems(sequences, items)
    found = np.empty((len(part), count), np.int32)
    for start in range(0, len(part), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        near = nearest.scores(part, rows)
        open_items = torch.from_numpy(_open(part, rows, items, with_target=True))
        best = near.masked_fill(~open_items, -torch.inf).topk(min(count, items), dim=1).indices
        usable = open_items.sum(dim=1, keepdim=True).clamp(1, best.shape[1])
        found[rows] = best.gather(1, torch.arange(count).expand(len(near), -1) % usable).numpy()
    return found


def _open(part: SplitPart, rows: slice, items: int, *, with_target: bool = False) -> NDArray[np.bool_]:
    """Which items can be candidates: [rows, items + 1], not seen, not the padding, and the target only if asked for."""
    target = part.targets[rows]
    competing = np.ones((len(target), items + 1), np.bool_)
    competing[:, 0] = False
    competing[np.arange(len(target)), target] = with_target
    row, seen = part.seen(rows)
    competing[row, seen] = False
    return competing
