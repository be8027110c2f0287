"""Training the hypernetwork end to end through the frozen backbone."""

import copy
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
from chordkit.data import Dataset, SplitPart, split
from chordkit.errors import DataError, InputError
from chordkit.hypernetwork.inference import make_strategies, rank_with_widths
from chordkit.hypernetwork.joint import JointModel, frozen_backbone
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.windows import StrategyWindows, strategy_windows
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights
from chordkit.training.device import borrowed_generators, torch_device, torch_threads
from chordkit.training.run import Run, Schedule, decay_groups

CHECKPOINT_NAME = "hypernetwork-training.safetensors"
# More training profiles than this add nothing to a mean and a standard deviation, but memory.
_CALIBRATION_PROFILES = 8192


@dataclass(frozen=True)
class TrainedHypernetwork:
    """What training leaves.

    Attributes:
        hypernetwork: the weights of the best epoch, on the CPU, in eval mode, calibrated and bound to ``master``.
        backbone: the fp32 backbone behind ``master``: the one given (``trained``), or the random one with its trained
            embeddings, LayerNorms and biases (``random``).
        master: the master weights the strategies belong to; with ``random`` they only exist from now on.
        history: one record per epoch: ``epoch``, ``loss``, ``valid_ndcg10``.
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
) -> TrainedHypernetwork:
    """Train a hypernetwork, or go on after the last whole epoch of an interrupted run with the same arguments.

    Args:
        dataset: sequences of all users, split as :func:`chordkit.data.split` does with ``held_out`` test items a user.
        backbone: with ``trained`` the frozen model; with ``random`` only its configuration counts, and with ``warm_start``
            also its embeddings, LayerNorms and biases. It is not modified.
        master: with ``trained`` the master weights made from ``backbone`` (None = they are made here). Must be None with
            ``random``, whose embeddings are not known before training.
        options: how to train; None = the defaults.
        checkpoint_dir: where the run keeps ``hypernetwork-training.safetensors``; None = no checkpoints. On the CPU a resumed
            run gives bit for bit what an uninterrupted one gives.
        progress: called as (``"hypernetwork"``, steps done, steps at most).
        held_out: test items per user that training must not see.

    Raises:
        DataError: the data set has nothing to train on, or another number of items than the backbone.
        CheckpointError: the checkpoint is damaged or belongs to another data set, backbone or options.
        InputError: the device is not there, or a master was given where there can be none.
    """
    options = options or HypernetworkOptions()
    if dataset.items != backbone.config.items:
        raise DataError(
            f"data set '{dataset.name}' has {dataset.items} items but the backbone {backbone.config.items}: use its own data set"
        )
    if options.backbone_init == "random" and master is not None:
        raise InputError("hypernetwork: master weights were given, but backbone_init = random makes its own: leave them out")
    device = torch_device(options.device)
    parts = split(dataset, backbone.config.max_length, held_out)
    with borrowed_generators(device), torch_threads(options.threads):
        frozen, master = frozen_backbone(backbone, master, options)
        hypernetwork = Hypernetwork(master, options).initialise(torch.Generator().manual_seed(options.seed))
        task = _Task(JointModel(hypernetwork, frozen), parts.train, parts.valid, options, device)
        identity: dict[str, dict[str, Any]] = {
            "dataset": {"fingerprint": dataset.fingerprint, "held_out": held_out},
            "configuration": config_to_dict(backbone.config),
            "master": {"fingerprint": master.fingerprint.hex()},
            "options": options.to_json(),
        }
        weights = task.model.trainable()
        path = None if checkpoint_dir is None else Path(checkpoint_dir) / CHECKPOINT_NAME
        schedule = Schedule(options.epochs, options.patience, options.averaging)
        run = Run(task, weights, _optimizer(weights, options), schedule, identity, path)
        run.train(progress)
        return _result(task, run, backbone, master)


class _Task:
    """A hypernetwork that learns through the frozen backbone; every epoch draws from a seed of its own, so it can be repeated."""

    name = "hypernetwork"

    def __init__(
        self, model: JointModel, train: Sequence[NDArray[np.int32]], valid: SplitPart, options: HypernetworkOptions, device: torch.device
    ) -> None:
        self.options, self.valid = options, valid
        self.model = model.to(device)
        windows = strategy_windows(train, model.backbone.config.max_length, options.stride, options.pools[-1])
        self.windows: StrategyWindows = windows.to(device)
        self._to_training()

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(self.options.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.windows))
        # chunk(), not split(): no last batch of two windows, whose standardised importances would mean nothing.
        chunks = order.chunk(-(-len(self.windows) // self.options.batch))
        return order, torch.tensor([len(chunk) for chunk in chunks])

    def loss(self, rows: Tensor) -> Tensor:
        windows, rows = self.windows, rows.to(self.windows.inputs.device)
        return self.model.loss(windows.profiles[rows].long(), windows.inputs[rows].long(), windows.targets[rows].long())

    def validate(self) -> NDArray[np.int64]:
        hypernetwork, backbone = self.model.hypernetwork, self.model.backbone
        self.settle(backbone.item_embedding.weight.detach())
        widths = make_strategies(hypernetwork, self.valid.histories)
        ranks = rank_with_widths(backbone, hypernetwork.table, self.valid, widths)
        self._to_training()
        return ranks

    def settle(self, embedding: Tensor) -> None:
        """Give the hypernetwork ``embedding`` and standardise its importances over the training profiles under it."""
        hypernetwork = self.model.hypernetwork
        hypernetwork.item_embedding = embedding
        some = self.windows.profiles[:: -(-len(self.windows) // _CALIBRATION_PROFILES)]
        hypernetwork.calibrate(hypernetwork.profile(some.to(embedding.device)))

    def _to_training(self) -> None:
        self.model.hypernetwork.train()
        self.model.backbone.train(self.options.backbone_init == "random")


def _optimizer(parameters: dict[str, nn.Parameter], options: HypernetworkOptions) -> torch.optim.Optimizer:
    """AdamW with one learning rate for the hypernetwork and one for the backbone; decay on the hypernetwork's matrices only."""
    groups: list[dict[str, Any]] = []
    for prefix, lr, decay in (("hypernetwork.", options.lr, options.weight_decay), ("backbone.", options.backbone_lr, 0.0)):
        groups += decay_groups([each for name, each in parameters.items() if name.startswith(prefix)], lr, decay)
    return torch.optim.AdamW(groups)


def _result(task: _Task, run: Run, source: Backbone, master: MasterWeights) -> TrainedHypernetwork:
    """The best weights, settled on the master that the strategies will belong to."""
    model, options = task.model.cpu(), task.options
    if options.backbone_init == "random":
        backbone = build(source.config)
        backbone.load_state_dict(model.backbone.state_dict())
        master = make_master(backbone, options.scale_policy, options.embedding_bits)
    else:
        backbone = copy.deepcopy(source)
    hypernetwork = model.hypernetwork
    hypernetwork.bind(master)
    task.settle(hypernetwork.item_embedding)
    hypernetwork.requires_grad_(False).eval()
    return TrainedHypernetwork(hypernetwork, backbone.eval(), master, run.history, run.best_epoch, replace(options))
