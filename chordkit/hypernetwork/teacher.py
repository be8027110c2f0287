"""Distillation: what one or several trained backbones would have predicted at every training target, kept once (Hinton et al. 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.errors import InputError
from chordkit.hypernetwork.windows import StrategyWindows
from chordkit.progress import Progress

# The items a teacher gives most to; what the rest of the catalogue gets of its distribution is little and costs much to keep.
TAUGHT_ITEMS = 100
_WINDOWS_AT_ONCE = 128


@dataclass(frozen=True)
class Taught:
    """What a teacher says of some targets.

    Attributes:
        items: int64 [targets, k], item ids.
        shares: float32 [targets, k], their share of the teacher's distribution over these items; rows sum to 1.
    """

    items: Tensor
    shares: Tensor

    def to(self, device: torch.device) -> "Taught":
        """The same on ``device``."""
        return Taught(self.items.to(device), self.shares.to(device))


class Lessons:
    """The distributions of one teacher, or the mean of several, for every target of training windows."""

    def __init__(
        self, teachers: Sequence[Backbone], windows: StrategyWindows, *, seen_masked: bool = False, progress: Progress | None = None
    ) -> None:
        """Ask the teachers, each with as much of the history before a target as it can look at.

        Args:
            teachers: fp32 backbones.
            windows: of the training.
            seen_masked: items that a user has seen get nothing, as in the student's loss.
            progress: called as (``"teacher"``, windows done, windows).

        Raises:
            InputError: a teacher knows another number of items, or fewer than it is asked about.
        """
        items = len(teachers[0].item_embedding.weight) - 1
        if any(teacher.config.items != items for teacher in teachers) or items < max(TAUGHT_ITEMS, int(windows.flat.max())):
            raise InputError(f"teacher: all teachers must know the data set's catalogue, of at least {TAUGHT_ITEMS} items")
        kept = (windows.targets != 0).sum(dim=1).cpu()
        self.first = torch.cat([torch.zeros(1, dtype=torch.int64), kept.cumsum(0)])
        self.items = torch.empty(int(kept.sum()), TAUGHT_ITEMS, dtype=torch.int32)
        self.shares = torch.empty(int(kept.sum()), TAUGHT_ITEMS)
        length = max(teacher.config.max_length for teacher in teachers)
        for rows in torch.arange(len(windows)).split(_WINDOWS_AT_ONCE):
            histories = windows.histories(rows, length)
            shares, classes = _mean_distribution(teachers, histories, windows.seen(rows) if seen_masked else None).topk(TAUGHT_ITEMS, dim=1)
            part = slice(int(self.first[rows[0]]), int(self.first[rows[-1] + 1]))
            self.items[part] = (classes + 1).int()
            self.shares[part] = shares / shares.sum(dim=1, keepdim=True)
            if progress:
                progress("teacher", int(rows[-1]) + 1, len(windows))

    def of(self, rows: Tensor) -> Taught:
        """The lessons for all targets of the windows ``rows``, window by window."""
        lengths = self.first[rows + 1] - self.first[rows]
        within = torch.arange(int(lengths.sum())) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
        places = torch.repeat_interleave(self.first[rows], lengths) + within
        return Taught(self.items[places].long(), self.shares[places])


@torch.no_grad()
def _mean_distribution(teachers: Sequence[Backbone], histories: Tensor, seen: Tensor | None) -> Tensor:
    """The mean of the teachers' distributions over all items, [targets, items]."""
    mean = torch.zeros(())
    for teacher in teachers:
        scores = teacher.score_all(teacher.encode(histories[:, -teacher.config.max_length :]))
        if seen is not None:
            scores[seen[0], seen[1]] = -torch.inf
        mean = mean + torch.softmax(scores[:, 1:], dim=1) / len(teachers)
    return mean
