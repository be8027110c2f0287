"""Training the hypernetwork end to end, through a frozen backbone or together with one that goes on learning."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chordkit.backbones import Backbone, build, config_to_dict, make_master
from chordkit.data import Dataset, SplitPart, split, split_identity
from chordkit.errors import DataError, InputError
from chordkit.hypernetwork.inference import make_strategies, make_user_vectors, personal_states, rank_states
from chordkit.hypernetwork.joint import JointModel, phone_backbone, training_backbone, used_widths
from chordkit.hypernetwork.likelihood import calibrated_likelihood
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.windows import StrategyWindows, strategy_windows
from chordkit.progress import Progress
from chordkit.quantization import WIDTHS, MasterWeights
from chordkit.training.device import borrowed_generators, torch_arithmetic, torch_device
from chordkit.training.metrics import mean_ndcg10
from chordkit.training.parallel import ALONE, Group
from chordkit.training.run import Run, decay_groups
from chordkit.training.teacher import Distillation, Teaching, teachers_identity

CHECKPOINT_NAME = "hypernetwork-training.safetensors"


@dataclass(frozen=True)
class TrainedHypernetwork:
    """What training leaves.

    Attributes:
        hypernetwork: the weights of the best epoch, on the CPU, in eval mode, calibrated and bound to ``master``.
        backbone: the fp32 backbone behind ``master``, with the phone's window.
        master: the master weights the strategies belong to; unless the backbone was frozen, they only exist from now on.
        history: one record per epoch: ``epoch``, ``loss``, ``valid_likelihood``, ``valid_ndcg10``.
        best_epoch: the epoch (from 0) the weights come from.
        options: the options used.
    """

    hypernetwork: Hypernetwork
    backbone: Backbone
    master: MasterWeights
    history: list[dict[str, float]]
    best_epoch: int
    options: HypernetworkOptions


def train_hypernetwork(
    dataset: Dataset,
    backbone: Backbone,
    master: MasterWeights | None = None,
    options: HypernetworkOptions | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    held_out: int = 1,
    validation: int = 1,
    split_at: str | None = None,
    teachers: Sequence[Backbone] = (),
    lessons: Path | None = None,
    best_so_far: bool = False,
    group: Group = ALONE,
) -> TrainedHypernetwork:
    """Train a hypernetwork, or go on after the last whole epoch of an interrupted run with the same arguments.

    Args:
        dataset: sequences of all users, split as :func:`chordkit.data.split` does with ``held_out`` test items a user.
        backbone: the trained model that is taken over (``joint``) or frozen (``trained``); with ``random`` only its configuration counts,
            and with ``warm_start`` also its embeddings, LayerNorms and biases. It is not modified.
        master: with ``trained`` the master weights made from ``backbone`` (None = they are made here). Must be None otherwise: the master
            is then known only after training.
        options: how to train; None = the defaults.
        checkpoint_dir: where the run keeps ``hypernetwork-training.safetensors``; None = no checkpoints. On the CPU a resumed
            run gives bit for bit what an uninterrupted one gives.
        progress: called as (``"hypernetwork"``, steps done, steps at most).
        held_out: test items per user that training must not see.
        validation: items before them that decide which epoch is kept; training does not see them either.
        split_at: the moments from which on items validate and test, for a split by time as in :func:`chordkit.data.split`.
        teachers: backbones whose mean prediction the model learns beside the targets (distillation); fp32, static and personal alike.
        lessons: file that what they say is kept in, for all runs with the same teachers and data; None = in the run's own folder.
        best_so_far: train no further; take the best epoch of an interrupted run.
        group: the processes that share the run, as in :func:`chordkit.training.train_backbone`.

    Raises:
        DataError: the data set has nothing to train on, or another number of items than the backbone.
        CheckpointError: the checkpoint, or the file of lessons, is damaged or belongs to another data set, backbone, teacher or options.
        InputError: the device is not there, or a master was given where there can be none.
        ProcessError: another process was lost or started otherwise.
    """
    options = options or HypernetworkOptions()
    if dataset.items != backbone.config.items:
        raise DataError(
            f"data set '{dataset.name}' has {dataset.items} items but the backbone {backbone.config.items}: use its own data set"
        )
    if options.backbone_init != "trained" and master is not None:
        raise InputError(
            f"hypernetwork: master weights were given, but backbone_init = {options.backbone_init} makes its own: leave them out"
        )
    device = torch_device(options.device, group)
    with borrowed_generators(torch.device("cpu")):
        source = phone_backbone(backbone, options)
    if master is not None and source.config.max_length != backbone.config.max_length:
        raise InputError("hypernetwork: master weights were given, which have the backbone's own window: set window = 0, or leave them out")
    parts = split(dataset, source.config.max_length, held_out, validation, split_at)
    with borrowed_generators(device), torch_arithmetic(options.threads):
        learning, master = training_backbone(source, master, options)
        hypernetwork = Hypernetwork(master, options).initialise(torch.Generator().manual_seed(options.seed))
        told, teaching = split_identity(dataset, held_out, validation, split_at), None
        if teachers:
            distillation = Distillation(teachers, options.teacher_weight, options.teacher_temperature, lessons)
            prepare = functools.partial(
                distillation.prepare, parts.train, told, checkpoint_dir, seen_masked=options.seen_masked, device=device, progress=progress
            )
            teaching = group.one_after_the_others(prepare)
        task = _Task(JointModel(hypernetwork, learning, master), parts.train, parts.valid, options, device, teaching, group)
        identity: dict[str, dict[str, Any]] = {
            "dataset": told,
            "configuration": config_to_dict(source.config),
            "master": {"fingerprint": master.digest.hex()},
            "options": options.to_json(),
            "teachers": teachers_identity(teachers),
        }
        weights = task.model.trainable()
        path = None if checkpoint_dir is None else Path(checkpoint_dir) / CHECKPOINT_NAME
        run = Run(task, weights, _optimizer(weights, options), options.schedule, identity, path, group)
        run.train(progress, best_so_far=best_so_far)
        return _result(task, run, source, master)


class _Task:
    """A hypernetwork that learns through a backbone; every epoch draws from a seed of its own, so it can be repeated."""

    name = "hypernetwork"

    def __init__(
        self,
        model: JointModel,
        train: Sequence[NDArray[np.int32]],
        valid: SplitPart,
        options: HypernetworkOptions,
        device: torch.device,
        teaching: Teaching | None,
        group: Group,
    ) -> None:
        self.options, self.valid, self.teaching, self.group = options, valid, teaching, group
        self.model = model.to(device)
        windows = strategy_windows(train, model.backbone.config.max_length, options.stride, options.pools[-1])
        self.windows: StrategyWindows = windows.to(device)
        self._to_training()

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        return self.windows.shuffle(self.options.batch, self.options.seed, epoch)

    def loss(self, rows: Tensor) -> Tensor:
        windows, part = self.windows, self.group.part(len(rows))
        device, own = windows.inputs.device, part.of(rows)
        seen = windows.seen(own).to(device) if self.options.seen_masked else None
        taught = None if self.teaching is None else self.teaching.of(windows.places(own), device)
        profiles = windows.profiles[rows.to(device)]
        if self.options.profile_age:
            profiles = windows.older_profiles(rows, torch.randint(self.options.profile_age + 1, (len(rows),))).to(device)
        rows = rows.to(device)
        return self.model.loss(profiles, windows.inputs[rows].long(), windows.targets[rows].long(), seen, taught, part)

    def validate(self) -> dict[str, float]:
        hypernetwork, backbone, options = self.model.hypernetwork, self.model.backbone, self.options
        self.settle(backbone.item_embedding.weight.detach())
        histories = self.valid.recent(options.pools[-1])
        widths = users = None
        if options.quantised:
            with torch.no_grad():
                self.model.attach(WIDTHS)
            widths = make_strategies(hypernetwork, histories)
        if options.user_vector:
            users = make_user_vectors(hypernetwork, histories)
        states = personal_states(backbone, hypernetwork.table, self.valid.histories, widths, users)
        ranks = rank_states(backbone, states, self.valid, masked=options.seen_masked)
        likelihood = calibrated_likelihood(backbone, states, self.valid, masked=options.seen_masked)
        self._to_training()
        # A few thousand held-out items tell two epochs apart by their likelihood long before they do by NDCG; by that at the best
        # temperature, for a model that has grown too sure of itself may still order better.
        return {"likelihood": likelihood, "ndcg10": mean_ndcg10(ranks)}

    def settle(self, embedding: Tensor) -> None:
        """Give the hypernetwork ``embedding`` and standardise its importances over the training profiles under it."""
        hypernetwork = self.model.hypernetwork
        hypernetwork.item_embedding = embedding
        hypernetwork.eval()
        hypernetwork.calibrate(hypernetwork.profile(self.windows.profiles.to(embedding.device)))

    def _to_training(self) -> None:
        self.model.attach(used_widths(self.options))
        self.model.hypernetwork.train()
        self.model.backbone.train(self.options.backbone_init != "trained")


def _optimizer(parameters: dict[str, nn.Parameter], options: HypernetworkOptions) -> torch.optim.Optimizer:
    """AdamW with a learning rate for each of three parts; decay on the hypernetwork's matrices only."""
    kinds: dict[str, tuple[float, float]] = {
        "hypernetwork.vector": (options.vector_lr, options.weight_decay),
        "hypernetwork.": (options.lr, options.weight_decay),
        "backbone.": (options.backbone_lr, 0.0),
    }
    groups: list[dict[str, Any]] = []
    left = dict(parameters)
    for prefix, (lr, decay) in kinds.items():
        groups += decay_groups([left.pop(name) for name in list(left) if name.startswith(prefix)], lr, decay)
    # One pass a parameter; on GPUs torch does as much by itself.
    return torch.optim.AdamW(groups, fused=True if next(iter(parameters.values())).device.type == "cpu" else None)


def _result(task: _Task, run: Run, source: Backbone, master: MasterWeights) -> TrainedHypernetwork:
    """The best weights, settled on the master that the strategies will belong to."""
    model, options = task.model.cpu(), task.options
    backbone = source
    if options.backbone_init != "trained":
        backbone = build(source.config)
        backbone.load_state_dict(model.backbone.state_dict())
        master = make_master(backbone, options.scale_policy, options.embedding_bits)
    hypernetwork = model.hypernetwork
    hypernetwork.bind(master)
    task.settle(hypernetwork.item_embedding)
    hypernetwork.requires_grad_(False).eval()
    return TrainedHypernetwork(hypernetwork, backbone.eval(), master, run.history, run.best_epoch, replace(options))
