"""Strategies for many users, and what a backbone scores with them."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.data import SplitPart
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.selection import Widths, by_layer, one_hot
from chordkit.quantization import ChannelTable
from chordkit.strategy import Budget, Strategy, allocate
from chordkit.training import rank_targets

# Large enough for fast matmuls, small enough to stay in the caches.
_BATCH = 1024
_SCORED_AT_ONCE = 256


@torch.no_grad()
def make_importance(hypernetwork: Hypernetwork, histories: NDArray[np.int32]) -> NDArray[np.float32]:
    """The importance float32 [users, channels] of every channel for users with ``histories`` [users, length].

    The hypernetwork is put into eval mode. Histories are left-padded with 0, oldest item first; the last ``pools[-1]`` count.
    """
    hypernetwork.eval()
    importance = np.empty((len(histories), hypernetwork.table.channels), np.float32)
    for start in range(0, len(histories), _BATCH):
        chunk = torch.from_numpy(np.ascontiguousarray(histories[start : start + _BATCH])).to(hypernetwork.offset.device)
        importance[start : start + _BATCH] = hypernetwork.importance(hypernetwork.profile(chunk)).cpu().numpy()
    return importance


def make_strategies(hypernetwork: Hypernetwork, histories: NDArray[np.int32], budget: Budget | None = None) -> Widths:
    """The widths uint8 [users, channels] of every user's strategy.

    Args:
        hypernetwork: trained; put into eval mode.
        histories: int32 [users, length], left-padded with 0, oldest first; the last ``pools[-1]`` items count.
        budget: None = the one it was trained for.
    """
    budget = budget or hypernetwork.options.budget
    widths = np.empty((len(histories), hypernetwork.table.channels), np.uint8)
    for start in range(0, len(histories), _BATCH):
        importance = make_importance(hypernetwork, histories[start : start + _BATCH])
        widths[start : start + _BATCH] = allocate(importance, hypernetwork.table, budget)
    return widths


def to_strategy(hypernetwork: Hypernetwork, widths: Widths) -> Strategy:
    """One user's widths uint8 [channels] as the strategy that is encoded for the wire."""
    return Strategy(widths, hypernetwork.fingerprint)


@torch.no_grad()
def rank_with_widths(backbone: Backbone, table: ChannelTable, part: SplitPart, widths: Widths) -> NDArray[np.int64]:
    """Rank of every row's target when every row has a strategy of its own; 1 = best, full catalogue, ties pessimistic.

    Args:
        backbone: with widths attached; put into eval mode.
        table: its channel table.
        part: histories and held-out items.
        widths: uint8 [rows, channels].
    """
    backbone.eval()
    device = backbone.item_embedding.weight.device
    each = torch.from_numpy(widths)

    def score(batch: Tensor) -> Tensor:
        # The first column carries the row, so that each history meets its own strategy however the rows are batched.
        return torch.cat(
            [
                backbone.score_all(backbone.encode(rows[:, 1:].to(device), by_layer(one_hot(each[rows[:, 0]].to(device)), table)))
                for rows in batch.split(_SCORED_AT_ONCE)
            ]
        )

    rows = np.arange(len(part), dtype=np.int64)[:, None]
    numbered = np.concatenate([rows, part.histories.astype(np.int64)], axis=1)
    return rank_targets(score, replace(part, histories=numbered))
