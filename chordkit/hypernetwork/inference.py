"""Strategies for many users, and what a backbone scores with them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.data import SplitPart
from chordkit.hypernetwork.maker import StrategyMaker
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.selection import Widths, by_layer, one_hot
from chordkit.quantization import ChannelTable
from chordkit.strategy import Budget, Strategy, UserVector, allocate, quantize_user_vector
from chordkit.training import looked_up, rank_targets

# Large enough for fast matmuls, small enough to stay in the caches.
_BATCH = 1024
_SCORED_AT_ONCE = 256


def make_importance(hypernetwork: Hypernetwork, histories: NDArray[np.int32], bits: float | None = None) -> NDArray[np.float32]:
    """The importance float32 [users, channels] of every channel for users with ``histories`` [users, length].

    The hypernetwork is put into eval mode. Histories are left-padded with 0, oldest item first; the last ``pools[-1]`` count. ``bits``
    is the budget it is asked for, which only one that was trained for many looks at.
    """
    maker = StrategyMaker(hypernetwork)
    return maker.importance(maker.profiles(histories), bits)


def make_strategies(hypernetwork: Hypernetwork, histories: NDArray[np.int32], budget: Budget | float | None = None) -> Widths:
    """The widths uint8 [users, channels] of every user's strategy.

    Args:
        hypernetwork: trained; put into eval mode.
        histories: int32 [users, length], left-padded with 0, oldest first; the last ``pools[-1]`` items count.
        budget: average bits, spent on the widths that it was trained for; or a budget of its own; None = the one it was trained for.
    """
    maker = StrategyMaker(hypernetwork)
    if not isinstance(budget, Budget):
        budget = hypernetwork.options.budget if budget is None else hypernetwork.options.budget_at(budget)
    widths = np.empty((len(histories), hypernetwork.table.channels), np.uint8)
    for start in range(0, len(histories), _BATCH):
        widths[start : start + _BATCH] = maker.widths(maker.profiles(histories[start : start + _BATCH]), budget)
    return widths


def make_static_strategy(hypernetwork: Hypernetwork, budget: Budget | float | None = None) -> Widths:
    """The widths uint8 [channels] of a hypernetwork with one strategy for all (``personal = False``), which looks at nobody."""
    return make_strategies(hypernetwork, np.zeros((1, hypernetwork.options.pools[-1]), np.int32), budget)[0]


def make_mean_strategy(hypernetwork: Hypernetwork, histories: NDArray[np.int32], budget: Budget | None = None) -> Widths:
    """The widths uint8 [channels] of one strategy for all, from the mean importance for the ``histories`` of :func:`make_strategies`."""
    budget = budget or hypernetwork.options.budget
    importance = make_importance(hypernetwork, histories, budget.average_bits).mean(axis=0)
    return allocate(importance, hypernetwork.table, budget, allow_off=budget.may_switch_off)


def make_user_vectors(hypernetwork: Hypernetwork, histories: NDArray[np.int32]) -> NDArray[np.float32]:
    """The user vectors float32 [users, dim], already rounded to what their int8 codes say.

    Raises:
        InputError: the hypernetwork was trained without user vectors.
    """
    maker = StrategyMaker(hypernetwork)
    codes, scales = maker.user_vectors(maker.profiles(histories))
    vectors: NDArray[np.float32] = codes.astype(np.float32) * scales[:, None]
    return vectors


def to_strategy(hypernetwork: Hypernetwork, widths: Widths) -> Strategy:
    """One user's widths uint8 [channels] as the strategy that is encoded for the wire."""
    return Strategy(widths, hypernetwork.fingerprint)


def to_user_vector(hypernetwork: Hypernetwork, vector: NDArray[np.float32]) -> UserVector:
    """One user's vector float32 [dim] as it is encoded for the wire."""
    return quantize_user_vector(vector, hypernetwork.fingerprint)


@torch.no_grad()
def personal_states(
    backbone: Backbone, table: ChannelTable, histories: NDArray[np.int32], widths: Widths | None, users: NDArray[np.float32] | None
) -> Tensor:
    """Hidden states float32 [rows, dim], on the CPU, of histories [rows, max_length] when every row is another user's.

    Args:
        backbone: put into eval mode; with its weights at the widths 2, 4 and 8 attached where ``widths`` are given.
        table: its channel table.
        histories: left-padded with 0.
        widths: uint8 [rows, channels]; None = plain layers.
        users: user vectors float32 [rows, dim]; None = none.
    """
    backbone.eval()
    device = backbone.item_embedding.weight.device
    states = []
    for start in range(0, len(histories), _SCORED_AT_ONCE):
        rows = slice(start, start + _SCORED_AT_ONCE)
        history = torch.from_numpy(histories[rows]).long().to(device)
        choices = None if widths is None else by_layer(one_hot(torch.from_numpy(widths[rows]).to(device)), table)
        user = None if users is None else torch.from_numpy(users[rows]).to(device)
        states.append(backbone.encode_personal(history, user, choices).cpu())
    return torch.cat(states)


def rank_states(backbone: Backbone, states: Tensor, part: SplitPart, *, masked: bool = False) -> NDArray[np.int64]:
    """Rank of every row's target, given the hidden states [rows, dim] of its history; 1 = best, ties pessimistic.

    With ``masked`` the items anywhere in a user's past do not compete.
    """
    return rank_targets(*looked_up(backbone, states.to(backbone.item_embedding.weight.device), part), masked=masked)
