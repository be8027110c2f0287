"""What a model knows before each click: all that the rows of new items can be learned from, with everything else of it as it is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chordkit.backbones import Backbone
from chordkit.data import Dataset
from chordkit.progress import Progress
from chordkit.training.windows import TrainingWindows

POSITIONS = 200_000
"""Clicks that are looked at, about: all in windows with a new item, and of the others so many that stand for the rest."""
_WINDOWS_AT_ONCE = 128
_LOGITS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Clicks:
    """What the model knows before each of many clicks, in the order of time.

    Attributes:
        states: float32 [clicks, dim + 1], the hidden state, and a 1 for the bias.
        others: float32 [clicks], log of the sum of exp(score) over the known items.
        new: int64 [clicks], which of the new items was clicked; -1 = a known one.
        weights: float32 [clicks], how many clicks each stands for.
        arrivals: int64 [new items], from which of these clicks on the item could have been clicked.
    """

    states: Tensor
    others: Tensor
    new: Tensor
    weights: Tensor
    arrivals: Tensor


@torch.no_grad()
def read_clicks(backbone: Backbone, known: int, dataset: Dataset, seed: int = 0, progress: Progress | None = None) -> Clicks:
    """Run a backbone over histories with new items, for which it has rows to begin with.

    An item arrives with its first click, where the data set knows times: nobody passed it over before. Without times it was always there.

    Args:
        backbone: with rows for all items of the data set.
        known: items that it was trained with; the new ones have higher ids.
        dataset: the histories.
        seed: of which windows are left out where there are too many.
        progress: called with (phase, done, total).
    """
    context, length = backbone.window_context, backbone.config.max_length
    positions = length if context == 0 else 1 + length // 2
    windows = TrainingWindows(dataset.sequences, positions, context, positions)
    # The same windows over the order of the clicks in time, in place of their items; from 1 on, as ids are.
    order, first_click = _order_in_time(dataset, known)
    orders = TrainingWindows(np.split(order, dataset.offsets[1:-1]), positions, context, positions)
    chosen, stands = _chosen(windows, known, seed)
    table, bias = backbone.item_embedding.weight[1 : known + 1], backbone.item_bias
    found: list[tuple[Tensor, ...]] = []
    for start in range(0, len(chosen), _WINDOWS_AT_ONCE):
        numbers = chosen[start : start + _WINDOWS_AT_ONCE]
        batch = windows.batch(numbers)
        states = backbone.window_states(batch.inputs).flatten(0, 1)[batch.indices]
        scores = [
            functional.linear(part, table, None if bias is None else bias[1 : known + 1]).logsumexp(1)
            for part in states.split(max(1, _LOGITS_AT_ONCE // known))
        ]
        each = stands[start : start + _WINDOWS_AT_ONCE].repeat_interleave(torch.from_numpy(windows.lengths[numbers.numpy()]))
        found.append((states, torch.cat(scores), batch.targets, each, orders.batch(numbers).targets))
        if progress is not None:
            progress("read histories", min(start + _WINDOWS_AT_ONCE, len(chosen)), len(chosen))
    states, others, targets, weights, times = (torch.cat(each) for each in zip(*found, strict=True))
    by_time = torch.argsort(times, stable=True)
    return Clicks(
        states=torch.cat([states, torch.ones(len(states), 1)], 1)[by_time],
        others=others[by_time],
        new=torch.where(targets > known, targets - known - 1, -1)[by_time],
        weights=weights[by_time],
        arrivals=torch.searchsorted(times[by_time].contiguous(), torch.from_numpy(first_click)),
    )


def _order_in_time(dataset: Dataset, known: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each interaction stands among all in time, int32 [interactions]; where the first of each new item does, int64 [new items]."""
    if dataset.times is None:
        return np.ones(dataset.interactions, np.int32), np.zeros(dataset.items - known, np.int64)
    order = np.unique(dataset.times, return_inverse=True)[1].astype(np.int32) + 1
    first = np.full(dataset.items + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, dataset.flat, order)
    return order, first[known + 1 :]


def _chosen(windows: TrainingWindows, known: int, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of windows, and for how many each stands."""
    ends = windows.starts + windows.positions + windows.context + 1
    new_before = np.concatenate([[0], np.cumsum(windows.flat.numpy() > known)])
    has_new = new_before[ends] > new_before[ends - windows.lengths]
    numbers = np.random.default_rng(seed).permutation(len(windows))
    first, rest = numbers[has_new[numbers]], numbers[~has_new[numbers]]
    room = max(POSITIONS - int(windows.lengths[first].sum()), POSITIONS // 2)
    kept = rest[: int(np.searchsorted(np.cumsum(windows.lengths[rest]), room)) + 1]
    share = windows.lengths[rest].sum() / windows.lengths[kept].sum() if len(kept) else 1.0
    weights = np.concatenate([np.ones(len(first)), np.full(len(kept), share)]).astype(np.float32)
    return torch.from_numpy(np.concatenate([first, kept])), torch.from_numpy(weights)
