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
_AT_ONCE = 1024


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

    def __init__(self, teachers: Sequence[Backbone], windows: StrategyWindows, progress: Progress | None = None) -> None:
        """Ask the teachers, each with as much of the history before a target as it can look at.

        Raises:
            InputError: a teacher knows another number of items, or fewer than it is asked about.
        """
        length = max(teacher.config.max_length for teacher in teachers)
        kept = windows.targets.cpu() != 0
        window, column = kept.nonzero(as_tuple=True)
        before = windows.ends[window] - (kept.shape[1] - column)
        items = len(teachers[0].item_embedding.weight) - 1
        highest = int(windows.flat.max())
        if any(teacher.config.items != items for teacher in teachers) or items < highest or items < TAUGHT_ITEMS:
            raise InputError(f"teacher: all teachers must know the data set's catalogue, of at least {TAUGHT_ITEMS} items")
        self.first = torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(dim=1).cumsum(0)])
        self.items = torch.empty(len(window), TAUGHT_ITEMS, dtype=torch.int32)
        self.shares = torch.empty(len(window), TAUGHT_ITEMS)
        slots = torch.arange(-length, 0)
        for start in range(0, len(window), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            places = before[part].unsqueeze(1) + slots
            inside = places >= windows.begins[window[part]].unsqueeze(1)
            histories = torch.where(inside, windows.flat[places.clamp(min=0)], 0).long()
            self._ask(teachers, histories, part)
            if progress:
                progress("teacher", min(start + _AT_ONCE, len(window)), len(window))

    @torch.no_grad()
    def _ask(self, teachers: Sequence[Backbone], histories: Tensor, part: slice) -> None:
        mean = torch.zeros(())
        for teacher in teachers:
            scores = teacher.score_all(teacher.encode(histories[:, -teacher.config.max_length :]))
            mean = mean + torch.softmax(scores[:, 1:], dim=1)
        shares, classes = mean.topk(TAUGHT_ITEMS, dim=1)
        self.items[part] = (classes + 1).int()
        self.shares[part] = shares / shares.sum(dim=1, keepdim=True)

    def of(self, rows: Tensor) -> Taught:
        """The lessons for all targets of the windows ``rows``, window by window."""
        lengths = self.first[rows + 1] - self.first[rows]
        within = torch.arange(int(lengths.sum())) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
        places = torch.repeat_interleave(self.first[rows], lengths) + within
        return Taught(self.items[places].long(), self.shares[places])
