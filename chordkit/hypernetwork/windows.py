"""Training windows that cannot leak: the strategy sees what comes before the items that carry the loss, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.data import left_pad
from chordkit.errors import DataError

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
    """

    profiles: Tensor
    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> "StrategyWindows":
        """The same windows on ``device``."""
        return StrategyWindows(self.profiles.to(device), self.inputs.to(device), self.targets.to(device))


def strategy_windows(sequences: Sequence[NDArray[np.int32]], max_length: int, stride: int, profile_length: int) -> StrategyWindows:
    """Cut every sequence, from its end backwards, into runs of at most ``stride`` targets.

    Raises:
        DataError: no sequence has two items.
    """
    stride = min(stride, max_length)
    profiles, inputs, targets = [], [], []
    for sequence in sequences:
        end = len(sequence)
        while end >= 2:
            start = max(end - stride, min(_FIRST_PROFILE, end // 2))
            profiles.append(sequence[max(0, start - profile_length) : start])
            inputs.append(sequence[max(0, end - 1 - max_length) : end - 1])
            targets.append(sequence[start:end])
            end = start if start > _SHORTEST_WINDOW else 0
    if not inputs:
        raise DataError("no user has two interactions left to train on: use longer sequences")
    return StrategyWindows(
        profiles=torch.from_numpy(left_pad(profiles, profile_length)),
        inputs=torch.from_numpy(left_pad(inputs, max_length)),
        targets=torch.from_numpy(left_pad(targets, max_length)),
    )
