"""Training windows that cannot leak: the strategy sees what comes before the items that carry the loss, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.data import left_pad
from chordkit.errors import DataError
from chordkit.training.past import histories_before, seen_before

# A strategy computed from fewer items than this says little of a user; shorter users give half of what they have.
_FIRST_PROFILE = 5
# Leading part of a sequence that is too short to be worth a window of its own.
_SHORTEST_WINDOW = 10


@dataclass(frozen=True)
class StrategyWindows:
    """Windows of ``max_length`` inputs, whose last columns predict items that the profile history has not seen.

    Attributes:
        profiles: int32 [windows, profile length], the items before the first target, left-padded with 0.
        inputs: int32 [windows, max_length], the backbone's history; column t predicts ``targets`` column t.
        targets: int32 [windows, max_length], 0 where there is no loss; the others stand in the last columns.
        flat: int32, all training sequences one after the other, oldest item first.
        begins: int64 [windows], where in ``flat`` the window's user begins.
        ends: int64 [windows], where in ``flat`` its last target ends.
    """

    profiles: Tensor
    inputs: Tensor
    targets: Tensor
    flat: Tensor
    begins: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> "StrategyWindows":
        """The same windows on ``device``; where they lie in the sequences stays on the CPU."""
        return replace(self, profiles=self.profiles.to(device), inputs=self.inputs.to(device), targets=self.targets.to(device))

    def shuffle(self, batch: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """A fresh order of the windows, int64 [windows], and how many of them each step takes, about ``batch``; torch's global generator
        goes on from there, so that an epoch can be repeated."""
        torch.manual_seed(seed * 1_000_003 + epoch)
        # Long and short histories stand in one step as chance has it: sorted by length they would be standardised apart.
        order = torch.randperm(len(self))
        # chunk(), not split(): no last batch of two windows, whose standardised importances would mean nothing.
        return order, torch.tensor([len(chunk) for chunk in order.chunk(-(-len(self) // batch))])

    def seen(self, rows: Tensor) -> Tensor:
        """What the user had seen before each target of the windows ``rows``.

        Returns:
            int64 [2, n]: the target's number among all targets of these windows, ascending, and an item; the target itself never.
        """
        return seen_before(self.flat, *self._begins_and_places(rows))

    def places(self, rows: Tensor) -> Tensor:
        """Where in ``flat`` each target of the windows ``rows`` stands: int64 [targets]."""
        return self._begins_and_places(rows)[1]

    def older_profiles(self, rows: Tensor, ages: Tensor) -> Tensor:
        """int32 [rows, profile length]: the profiles of the windows ``rows`` as they were ``ages`` int64 [rows] interactions before, of at
        least one item."""
        begins = self.begins[rows]
        first = self.ends[rows] - (self.targets[rows.to(self.targets.device)] != 0).sum(dim=1).cpu()
        stops = torch.maximum(first - ages, torch.minimum(begins + 1, first))
        return histories_before(self.flat, begins, stops, self.profiles.shape[1])

    def _begins_and_places(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Where in ``flat`` the user begins, and the target stands, of every target of the windows ``rows``: int64 [targets] each."""
        targets = self.targets[rows.to(self.targets.device)].cpu()
        window, column = (targets != 0).nonzero(as_tuple=True)
        return self.begins[rows][window], self.ends[rows][window] - (targets.shape[1] - column)


def strategy_windows(sequences: Sequence[NDArray[np.int32]], max_length: int, stride: int, profile_length: int) -> StrategyWindows:
    """Cut every sequence, from its end backwards, into runs of at most ``stride`` targets.

    Raises:
        DataError: no sequence has two items.
    """
    stride = min(stride, max_length)
    profiles, inputs, targets, begins, ends = [], [], [], [], []
    begin = 0
    for sequence in sequences:
        end = len(sequence)
        while end >= 2:
            start = max(end - stride, min(_FIRST_PROFILE, end // 2))
            profiles.append(sequence[max(0, start - profile_length) : start])
            inputs.append(sequence[max(0, end - 1 - max_length) : end - 1])
            targets.append(sequence[start:end])
            begins.append(begin)
            ends.append(begin + end)
            end = start if start > _SHORTEST_WINDOW else 0
        begin += len(sequence)
    if not inputs:
        raise DataError("no user has two interactions left to train on: use longer sequences")
    return StrategyWindows(
        profiles=torch.from_numpy(left_pad(profiles, profile_length)),
        inputs=torch.from_numpy(left_pad(inputs, max_length)),
        targets=torch.from_numpy(left_pad(targets, max_length)),
        flat=torch.from_numpy(np.concatenate(sequences).astype(np.int32)),
        begins=torch.tensor(begins),
        ends=torch.tensor(ends),
    )
