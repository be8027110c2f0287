"""Training windows: where each begins, which go together into one step, and how much of their padding is cut off."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chordkit.backbones.part import Part

# Windows whose lengths differ by less than this many slots may share a step: enough to mix, little padding to compute.
_LENGTH_MIX = 8.0


@dataclass(frozen=True)
class Batch:
    """One step.

    Attributes:
        inputs: [batch, context + positions].
        targets: int64 [n].
        indices: int64 [n], where they sit in the flattened states.
        places: int64 [n], where they stand in the training sequences laid one after the other; on the CPU.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    places: Tensor


class TrainingWindows:
    """Sliding windows over all training sequences, kept as one flat tensor and cut when a step needs them.

    A window ends at a target and reaches back ``positions`` targets and ``context`` more slots; the last one of a user ends at
    the last interaction, the others ``stride`` interactions earlier each.
    """

    def __init__(self, sequences: Sequence[np.ndarray], positions: int, context: int, stride: int) -> None:
        self.positions, self.context = positions, context
        width = positions + context + 1
        kept = [sequence for sequence in sequences if len(sequence) >= 2]
        lengths = np.array([len(sequence) for sequence in kept], dtype=np.int64)
        ends_of_users = np.cumsum(lengths + width)
        flat = np.zeros(int(ends_of_users[-1]) if kept else 0, dtype=np.int32)
        for sequence, end in zip(kept, ends_of_users.tolist(), strict=True):
            flat[end - len(sequence) : end] = sequence
        # Window k of a user ends k * stride before its last interaction, as long as an interaction precedes the target.
        counts = (lengths - 2) // stride + 1
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        back = number * stride
        self.starts = np.repeat(ends_of_users, counts) - back - width
        self.lengths = np.minimum(np.repeat(lengths, counts) - 1 - back, positions)
        ends = np.cumsum([len(sequence) for sequence in sequences])[[len(sequence) >= 2 for sequence in sequences]]
        self.lasts = np.repeat(ends, counts) - 1 - back
        self.flat = torch.from_numpy(flat)

    def __len__(self) -> int:
        return len(self.starts)

    def targets(self, numbers: Tensor) -> int:
        """How many targets the windows ``numbers`` have."""
        return int(self.lengths[numbers.numpy()].sum())

    def to(self, device: torch.device) -> "TrainingWindows":
        """Move the interactions to ``device``; the bookkeeping stays on the CPU."""
        self.flat = self.flat.to(device)
        return self

    def shuffle(self, targets_per_step: int, bucketing: bool = False) -> tuple[Tensor, Tensor]:
        """A fresh order from torch's global generator: window numbers, and how many of them each step takes.

        A step is filled by targets, not by windows, so that short histories weigh no more than long ones. With ``bucketing``
        windows of like length go together, and no computation is wasted on padding.
        """
        lengths, keys = torch.from_numpy(self.lengths), torch.rand(len(self))
        order = torch.argsort(lengths + keys * _LENGTH_MIX if bucketing else keys)
        step_of = (torch.cumsum(lengths[order], 0) - 1) // targets_per_step
        sizes = torch.unique_consecutive(step_of, return_counts=True)[1]
        groups = order.split(sizes.tolist())
        shuffled = torch.randperm(len(groups))
        return torch.cat([groups[index] for index in shuffled.tolist()]), sizes[shuffled]

    def batch(self, numbers: Tensor, part: Part | None = None) -> Batch:
        """The windows ``numbers``, with the columns cut off that are padding in all of them; of these only ``part``, if one is given."""
        chosen = numbers.numpy()
        positions = int(self.lengths[chosen].max())
        chosen = chosen if part is None else part.of(numbers).numpy()
        first = self.starts[chosen] + (self.positions - positions)
        index = torch.from_numpy(first[:, None] + np.arange(positions + self.context + 1))
        windows = self.flat[index.to(self.flat.device)]
        real = np.arange(positions) >= positions - self.lengths[chosen][:, None]
        indices = torch.from_numpy(np.flatnonzero(real)).to(self.flat.device)
        targets = windows[:, -positions:].reshape(-1)[indices].long()
        places = torch.from_numpy((self.lasts[chosen][:, None] - np.arange(positions)[::-1])[real])
        return Batch(windows[:, :-1], targets, indices, places)
