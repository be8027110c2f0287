"""Training a backbone: full-softmax cross-entropy at every position, early stopping on the validation items."""

import functools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chordkit.backbones import Backbone, BackboneConfig, build, config_to_dict, find_architecture, initialise
from chordkit.data import Dataset, Split, split, split_identity
from chordkit.errors import DataError
from chordkit.progress import Progress
from chordkit.training.checkpoint import digest
from chordkit.training.device import borrowed_generators, torch_arithmetic, torch_device
from chordkit.training.loss import Rows, catalogue_loss
from chordkit.training.metrics import Metrics, evaluate, last_states, looked_up, mean_ndcg10, rank_targets
from chordkit.training.options import TrainingOptions, default_options
from chordkit.training.parallel import ALONE, Group
from chordkit.training.run import Run, Schedule, decay_groups
from chordkit.training.teacher import Distillation, Teaching
from chordkit.training.windows import TrainingWindows

CHECKPOINT_NAME = "training.safetensors"
_LOOK = 32


@dataclass(frozen=True)
class TrainedBackbone:
    """What training leaves.

    Attributes:
        backbone: the weights of the best epoch, on the CPU, in eval mode.
        metrics: ``valid``, ``test`` (full ranking), ``test_masked`` and ``test_negatives`` (against 100 drawn items).
        history: one record per epoch: ``epoch``, ``loss``, ``valid_ndcg10``.
        best_epoch: the epoch (from 0) the weights come from.
        options: the options used.
    """

    backbone: Backbone
    metrics: dict[str, Metrics]
    history: list[dict[str, float]]
    best_epoch: int
    options: TrainingOptions


def train_backbone(
    dataset: Dataset,
    config: BackboneConfig,
    options: TrainingOptions | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    held_out: int = 1,
    validation: int = 1,
    split_at: str | None = None,
    distillation: Distillation | None = None,
    best_so_far: bool = False,
    group: Group = ALONE,
) -> TrainedBackbone:
    """Train a backbone, or go on where an interrupted run with the same arguments stopped.

    It starts from fresh weights that depend on the seed, or, where the architecture brings weights of its own (a module that was
    adapted), from those.

    Args:
        dataset: sequences of all users.
        config: of the backbone; ``items`` must be the data set's.
        options: how to train; None = :func:`default_options` of the architecture.
        checkpoint_dir: where the run keeps ``training.safetensors``; None = no checkpoints. On the CPU a resumed run gives
            bit for bit what an uninterrupted one gives.
        progress: called as (``"training"``, steps done, steps at most) after every step, and once at the end of an epoch; before, as
            (``"teacher"``, interactions done, interactions).
        held_out: the last so many items of each user test, as in :func:`chordkit.data.split`.
        validation: items before them that decide which epoch is kept.
        split_at: the moments from which on items validate and test, for a split by time as in :func:`chordkit.data.split`.
        distillation: trained backbones that it learns from beside the clicks.
        best_so_far: train no further; take the best epoch of an interrupted run.
        group: the processes that share the run (:func:`chordkit.training.parallel.joined`), each of which calls this with the same
            arguments and gets the same result, up to rounding that of one process.

    Raises:
        DataError: the data set has nothing to train on, or another number of items than ``config``.
        CheckpointError: the checkpoint, or the file of the teachers' lessons, is damaged or belongs to another data set, configuration,
            teacher or options.
        InputError: the device is not there, or the teachers do not know the catalogue.
        ProcessError: another process was lost or started otherwise.
    """
    options = options or default_options(config.architecture)
    if dataset.items != config.items:
        raise DataError(f"data set '{dataset.name}' has {dataset.items} items but the configuration {config.items}: set items to that")
    device = torch_device(options.device, group)
    parts = split(dataset, config.max_length, held_out, validation, split_at)
    told = split_identity(dataset, held_out, validation, split_at)
    identity: dict[str, dict[str, Any]] = {
        "dataset": {"interactions": dataset.interactions, **told},
        "configuration": config_to_dict(config),
        "options": options.to_json(),
        "teachers": {} if distillation is None else distillation.identity(),
    }
    brought = _brought_weights(config)
    if brought is not None:
        identity["starting weights"] = {"fingerprint": digest(brought.state_dict())}
    schedule = Schedule(options.epochs, options.patience, options.averaging, options.warmup, options.clip, options.checkpoint_steps)
    with borrowed_generators(device), torch_arithmetic(options.threads):
        teaching = None
        if distillation is not None:
            prepare = functools.partial(distillation.prepare, parts.train, told, checkpoint_dir, device=device, progress=progress)
            teaching = group.one_after_the_others(prepare)
        task = _Task(dataset, config, brought, options, parts, teaching, device, group)
        optimizer = torch.optim.AdamW(decay_groups(task.model.parameters(), options.lr, options.weight_decay))
        path = None if checkpoint_dir is None else Path(checkpoint_dir) / CHECKPOINT_NAME
        run = Run(task, task.model.state_dict(keep_vars=True), optimizer, schedule, identity, path, group)
        run.train(progress, best_so_far=best_so_far)
        backbone = task.model.cpu().eval()
        test = looked_up(backbone, last_states(backbone, parts.test), parts.test)
        metrics = {
            "valid": evaluate(backbone, parts.valid),
            "test": evaluate(*test),
            "test_masked": evaluate(*test, masked=True),
            "test_negatives": evaluate(*test, negatives=100),
        }
        return TrainedBackbone(backbone, metrics, run.history, run.best_epoch, options)


def _brought_weights(config: BackboneConfig) -> Backbone | None:
    """The backbone with the weights that its architecture brings; None where training is to make them."""
    return build(config) if find_architecture(config.architecture).trained else None


class _Task:
    """A backbone that learns the next item at every real position of its windows."""

    name = "training"

    def __init__(
        self,
        dataset: Dataset,
        config: BackboneConfig,
        brought: Backbone | None,
        options: TrainingOptions,
        parts: Split,
        teaching: Teaching | None,
        device: torch.device,
        group: Group,
    ) -> None:
        self.options, self.valid, self.teaching, self.group = options, parts.valid, teaching, group
        torch.manual_seed(options.seed)
        self.model = (brought or initialise(build(config), seed=options.seed)).to(device).train()
        context = self.model.window_context
        positions = options.stride if context else config.max_length
        self.windows = TrainingWindows(parts.train, positions, context, options.stride).to(device)
        if not len(self.windows):
            raise DataError(f"data set '{dataset.name}': no user has two training interactions: use longer sequences")

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        return self.windows.shuffle(self.options.batch, self.options.bucketing)

    def loss(self, rows: Tensor) -> Tensor:
        part = self.group.part(len(rows))
        batch = self.windows.batch(rows, part)
        with part.drawing():
            hidden = self.model.window_states(batch.inputs).flatten(0, 1).index_select(0, batch.indices)
        taught = None if self.teaching is None else self.teaching.of(batch.places, hidden.device)
        loss = catalogue_loss(self.model, hidden, Rows(batch.targets, taught=taught), self.options.smoothing)
        return loss * part.share(len(batch.targets), self.windows.targets(rows))

    def validate(self) -> dict[str, float]:
        ranks = rank_targets(self.model, self.valid)
        finite = self._scores_are_finite()
        self.model.train()
        # Not a number counts against the model, as a rank; a run of which nothing else comes has diverged.
        return {"ndcg10": mean_ndcg10(ranks) if finite else math.nan}

    @torch.no_grad()
    def _scores_are_finite(self) -> bool:
        """Weights may be finite and so large that nothing finite comes of them: looked at on the first histories."""
        device = next(self.model.parameters()).device
        histories = torch.from_numpy(self.valid.histories[:_LOOK]).long().to(device)
        return bool(self.model.score_all(self.model.encode(histories))[:, 1:].isfinite().all())
