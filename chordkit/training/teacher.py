"""Distillation: trained backbones whose mean prediction a student follows beside the clicks (Hinton et al. 2015)."""

import copy
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone, config_to_dict
from chordkit.errors import InputError
from chordkit.progress import Progress
from chordkit.training.checkpoint import digest
from chordkit.training.lessons import TAUGHT_ITEMS, Lesson, Lessons, write_lessons
from chordkit.training.loss import NOTHING, Taught
from chordkit.training.past import histories_before, seen_before

LESSONS_NAME = "lessons.safetensors"
# Scores of one batch of histories: 4 M floats = 16 MB, whatever the size of the catalogue; and no more histories than their states fit.
_BATCH_SCORES = 4_000_000
_BATCH_HISTORIES = 1024


@dataclass(frozen=True)
class Distillation:
    """Who teaches, and how much of it counts.

    Attributes:
        teachers: fp32 backbones of the student's data set, of any architecture and size; of several, the mean of their distributions.
        weight: share of the loss that follows them.
        temperature: that logits are divided by; above 1, the order of a teacher's list counts more and its head less.
        lessons: file that what they say is kept in, for all runs with the same teachers and data; None = in the run's own folder.
    """

    teachers: Sequence[Backbone]
    weight: float = 0.5
    temperature: float = 1.0
    lessons: Path | None = None

    def __post_init__(self) -> None:
        require_teaching(self.weight, self.temperature, "distillation")
        if not self.teachers:
            raise InputError("distillation: there is no teacher: name a trained backbone")

    def identity(self) -> dict[str, Any]:
        """All of it that a run's result depends on, as JSON values."""
        return {**teachers_identity(self.teachers), "weight": self.weight, "temperature": self.temperature}

    def prepare(
        self,
        sequences: Sequence[NDArray[np.int32]],
        split: Mapping[str, Any],
        folder: str | os.PathLike[str] | None,
        *,
        seen_masked: bool = False,
        device: torch.device | None = None,
        progress: Progress | None = None,
    ) -> "Teaching":
        """What the teachers say of the training sequences, kept in ``lessons``, or else in ``folder``, or else for this run alone; the rest
        is as for :func:`learn_lessons`."""
        path = self.lessons or (None if folder is None else Path(folder) / LESSONS_NAME)
        made = learn_lessons(self.teachers, sequences, split, path, seen_masked=seen_masked, device=device, progress=progress)
        return Teaching(made, self.weight, self.temperature)


@dataclass(frozen=True)
class Teaching:
    """Lessons, and how much of them counts."""

    lessons: Lessons
    weight: float
    temperature: float

    def of(self, places: Tensor, device: torch.device) -> Taught:
        """What is taught of the targets at ``places`` int64 [n] of the training sequences, in item ids; on ``device``."""
        items, logits = self.lessons.of(places)
        return Taught(items.to(device), logits.to(device), self.weight, self.temperature)


def require_teaching(weight: float, temperature: float, of: str) -> None:
    """Hold that a share of the loss and a temperature are possible; ``of`` begins the sentence.

    Raises:
        InputError: they are not.
    """
    if not 0.0 <= weight <= 1.0:
        raise InputError(f"{of}: teacher_weight = {weight!r} is not possible: give a number in [0, 1]")
    if not 0.1 <= temperature <= 100.0:
        raise InputError(f"{of}: teacher_temperature = {temperature!r} is not possible: give a number in [0.1, 100]")


def teachers_identity(teachers: Sequence[Backbone]) -> dict[str, Any]:
    """What tells teachers from others: SHA-256 over configuration and weights, by their number."""
    texts = [json.dumps(config_to_dict(teacher.config), sort_keys=True) for teacher in teachers]
    return {str(index): digest(each.state_dict(), text) for index, (each, text) in enumerate(zip(teachers, texts, strict=True))}


def learn_lessons(
    teachers: Sequence[Backbone],
    sequences: Sequence[NDArray[np.int32]],
    split: Mapping[str, Any],
    path: Path | None,
    *,
    seen_masked: bool = False,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Lessons:
    """The lessons for every interaction of the training sequences: out of the file ``path`` where they are there, else made.

    Each teacher sees as much of the history before a target as it can look at. No more of it is in memory than a batch.

    Args:
        teachers: fp32 backbones. They are not modified.
        sequences: of the training part, all users'; the lessons are numbered as their interactions are, one sequence after the other.
        split: identity of the split that the sequences are of.
        path: where the lessons are kept; None = in a temporary file as long as they are in use.
        seen_masked: items that a user has seen get nothing, as in a loss that leaves them out.
        device: where the teachers run; None = the CPU.
        progress: called as (``"teacher"``, interactions done, interactions).

    Raises:
        InputError: the teachers know different numbers of items, or fewer than are there, or no more than a lesson has.
        CheckpointError: the file is damaged, or of other teachers or data.
    """
    items = teachers[0].config.items
    highest = max((int(sequence.max()) for sequence in sequences if len(sequence)), default=0)
    if any(teacher.config.items != items for teacher in teachers) or items < highest or items <= TAUGHT_ITEMS:
        raise InputError(f"teacher: all teachers must know the data set's catalogue, of more than {TAUGHT_ITEMS} items")
    identity = {"teachers": teachers_identity(teachers), "dataset": split, "lessons": {"items": TAUGHT_ITEMS, "seen_masked": seen_masked}}
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            return learn_lessons(
                teachers, sequences, split, Path(folder) / LESSONS_NAME, seen_masked=seen_masked, device=device, progress=progress
            )
    count = sum(map(len, sequences))
    if not path.exists():
        own = [copy.deepcopy(teacher).to(device or torch.device("cpu")).eval() for teacher in teachers]
        write_lessons(path, identity, count, _lessons(own, sequences, seen_masked, progress))
    return Lessons(path, identity, count, items)


@torch.no_grad()
def _lessons(
    teachers: Sequence[Backbone], sequences: Sequence[NDArray[np.int32]], seen_masked: bool, progress: Progress | None
) -> Iterator[Lesson]:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    begins = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    flat = torch.from_numpy(np.concatenate(sequences).astype(np.int32))
    length = max(teacher.config.max_length for teacher in teachers)
    step = max(1, min(_BATCH_HISTORIES, _BATCH_SCORES // teachers[0].config.items))
    for places in torch.arange(len(flat)).split(step):
        own = begins[places]
        seen = seen_before(flat, own, places) if seen_masked else None
        shares = _mean_distribution(teachers, histories_before(flat, own, places, length).long(), seen)
        best, classes = shares.topk(TAUGHT_ITEMS, dim=1)
        others = shares.scatter(1, classes, 0.0).sum(dim=1, keepdim=True)
        logits = torch.cat([best, others], dim=1).log().sub(best[:, :1].log()).clamp(min=NOTHING)
        yield (classes + 1).int().cpu(), logits.half().cpu()
        if progress:
            progress("teacher", int(places[-1]) + 1, len(flat))


def _mean_distribution(teachers: Sequence[Backbone], histories: Tensor, seen: Tensor | None) -> Tensor:
    """The mean of the teachers' distributions over all items, [histories, items]."""
    mean = torch.zeros(())
    for teacher in teachers:
        device = teacher.item_embedding.weight.device
        scores = teacher.score_all(teacher.encode(histories[:, -teacher.config.max_length :].to(device)))
        if seen is not None:
            scores[seen[0].to(device), seen[1].to(device)] = -torch.inf
        mean = mean.to(device) + torch.softmax(scores[:, 1:], dim=1) / len(teachers)
    return mean
