"""Training the hypernetwork end to end through the frozen backbone, with checkpoints that a kill cannot spoil."""

import copy
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, attach_widths, build, config_to_dict, from_master, initialise, make_master
from chordkit.data import Dataset, split
from chordkit.errors import CheckpointError, DataError, InputError
from chordkit.hypernetwork.inference import make_strategies, rank_with_widths
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.hypernetwork.selection import by_layer, choose_widths, straight_through
from chordkit.hypernetwork.windows import StrategyWindows, strategy_windows
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights
from chordkit.training import full_softmax_loss
from chordkit.training.checkpoint import read_tensors, require_same, write_tensors
from chordkit.training.device import torch_device, torch_threads

CHECKPOINT_NAME = "hypernetwork-training.safetensors"
_VERSION = 1
# Caser has one hidden state per history, so a window of it trains on this many of its targets.
_SINGLE_TARGETS = 4
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
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch_threads(options.threads):
        run = _Run(dataset, backbone, master, options, device, None if checkpoint_dir is None else Path(checkpoint_dir), held_out)
        run.resume()
        run.train(progress)
        return run.result()


def _frozen_backbone(backbone: Backbone, master: MasterWeights | None, options: HypernetworkOptions) -> tuple[Backbone, MasterWeights]:
    """The model that training runs through, widths attached, and its (for ``random``: preliminary) master weights."""
    if options.backbone_init == "trained":
        master = master or make_master(backbone, options.scale_policy, options.embedding_bits)
        frozen = from_master(master)
    else:
        frozen = initialise(build(backbone.config), "random", distribution=options.distribution, seed=options.seed)
        if options.warm_start:
            channel_weights = {f"{name}.weight" for name in frozen.channel_layers()}
            state = {name: tensor for name, tensor in backbone.state_dict().items() if name not in channel_weights}
            frozen.load_state_dict(state, strict=False)
        master = make_master(frozen, options.scale_policy, options.embedding_bits)
    for layer in frozen.channel_layers().values():
        layer.weight.requires_grad_(False)
    if options.backbone_init == "trained":
        frozen.requires_grad_(False)
    return attach_widths(frozen, master), master


class _Model(nn.Module):
    """Hypernetwork and backbone as one module, so that optimiser, average and checkpoints see one set of names."""

    def __init__(self, hypernetwork: Hypernetwork, backbone: Backbone) -> None:
        super().__init__()
        self.hypernetwork = hypernetwork
        self.backbone = backbone

    def trainable(self) -> dict[str, nn.Parameter]:
        """What changes in training; everything else is fixed by the seed or the master."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def loss(self, profiles: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Full-softmax cross-entropy of the targets, each window under the strategy of its own profile history."""
        hypernetwork, backbone, options = self.hypernetwork, self.backbone, self.hypernetwork.options
        embedding = backbone.item_embedding.weight
        profile = pooled_profile(embedding, profiles, options.pools, options.history_dropout)
        importance = hypernetwork.importance(profile)
        widths = choose_widths(importance, hypernetwork.table, options.budget)
        choices = straight_through(importance, widths, options.temperature)
        if backbone.window_context:
            rows, inputs, targets = _single_targets(inputs, targets)
            hidden = backbone.encode(inputs, by_layer(choices.index_select(0, rows), hypernetwork.table))
        else:
            kept = targets != 0
            hidden, targets = backbone(inputs, by_layer(choices, hypernetwork.table))[kept], targets[kept]
        bias = getattr(backbone, "item_bias", None)
        return full_softmax_loss(hidden, embedding[1:], targets - 1, None if bias is None else bias[1:])


def _single_targets(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For a model with one state per history: up to four random targets a window as (window row, history, target)."""
    length = inputs.shape[1]
    keys = torch.rand(targets.shape, device=targets.device).masked_fill(targets == 0, -1.0)
    values, columns = keys.topk(min(_SINGLE_TARGETS, length), dim=1)
    kept = values >= 0
    rows = torch.arange(len(inputs), device=inputs.device).unsqueeze(1).expand_as(columns)[kept]
    columns = columns[kept]
    # Column t of a window knows the inputs up to t: shift them to the right end and pad the left with 0.
    source = torch.arange(length, device=inputs.device) - (length - 1 - columns).unsqueeze(1)
    histories = torch.where(source >= 0, inputs[rows].gather(1, source.clamp(min=0)), 0)
    return rows, histories, targets[rows, columns]


class _Run:
    """The whole state of one training run, and how it goes to disk and comes back."""

    def __init__(
        self,
        dataset: Dataset,
        backbone: Backbone,
        master: MasterWeights | None,
        options: HypernetworkOptions,
        device: torch.device,
        folder: Path | None,
        held_out: int,
    ) -> None:
        self.options, self.device = options, device
        self.path = None if folder is None else folder / CHECKPOINT_NAME
        self.source = backbone
        length = backbone.config.max_length
        self.parts = split(dataset, length, held_out)
        frozen, self.master = _frozen_backbone(backbone, master, options)
        generator = torch.Generator().manual_seed(options.seed)
        hypernetwork = Hypernetwork(self.master, options).initialise(generator)
        self.model = _Model(hypernetwork, frozen).to(device)
        self.parameters = self.model.trainable()
        self.average = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.optimizer = _optimizer(self.parameters, options)
        self.windows: StrategyWindows = strategy_windows(self.parts.train, length, options.stride, options.pools[-1]).to(device)
        self.steps = -(-len(self.windows) // options.batch)
        self.identity: dict[str, dict[str, Any]] = {
            "dataset": {"fingerprint": dataset.fingerprint, "held_out": held_out},
            "configuration": {key: list(v) if isinstance(v, tuple) else v for key, v in config_to_dict(backbone.config).items()},
            "master": {"fingerprint": self.master.fingerprint.hex()},
            "options": options.to_json(),
        }
        self.epoch, self.best_score, self.best_epoch, self.finished = 0, -1.0, -1, False
        self.history: list[dict[str, float]] = []
        self.best = {name: tensor.cpu() for name, tensor in self.average.items()}

    def train(self, progress: Progress | None) -> None:
        """Run epochs until patience or the limit ends them; every epoch draws from a seed of its own, so it can be repeated."""
        while not self.finished:
            torch.manual_seed(self.options.seed * 1_000_003 + self.epoch)
            loss = self._epoch(progress)
            self._validate(loss)
            self.save()
        if progress:
            progress("hypernetwork", self.epoch * self.steps, self.epoch * self.steps)

    def _epoch(self, progress: Progress | None) -> float:
        self.model.hypernetwork.train()
        self.model.backbone.train(self.options.backbone_init == "random")
        total = 0.0
        # chunk(), not split(): no last batch of two windows, whose standardised importances would mean nothing.
        for step, rows in enumerate(torch.randperm(len(self.windows)).to(self.device).chunk(self.steps)):
            profiles, inputs, targets = (each[rows].long() for each in (self.windows.profiles, self.windows.inputs, self.windows.targets))
            loss = self.model.loss(profiles, inputs, targets)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self._update_average(self.epoch * self.steps + step)
            total += float(loss.detach())
            if progress:
                progress("hypernetwork", self.epoch * self.steps + step + 1, self.options.epochs * self.steps)
        return total / self.steps

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # A short memory at first, so that the average does not drag the initial weights along.
        decay = min(self.options.averaging, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), [each.detach() for each in self.parameters.values()], 1.0 - decay)

    def _validate(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise InputError(f"hypernetwork options: the loss is no longer finite in epoch {self.epoch}: lower lr = {self.options.lr}")
        raw = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._load(self.average)
        self._settle(self.model.backbone.item_embedding.weight.detach())
        valid = self.parts.valid
        widths = make_strategies(self.model.hypernetwork, valid.histories)
        ranks = rank_with_widths(self.model.backbone, self.model.hypernetwork.table, valid, widths)
        score = float(np.mean((ranks <= 10) / np.log2(ranks + 1.0)))
        self._load(raw)
        self.history.append({"epoch": self.epoch, "loss": loss, "valid_ndcg10": score})
        if score > self.best_score:
            self.best_score, self.best_epoch = score, self.epoch
            self.best = {name: tensor.cpu().clone() for name, tensor in self.average.items()}
        self.epoch += 1
        self.finished = self.epoch >= self.options.epochs or self.epoch - 1 - self.best_epoch >= self.options.patience

    @torch.no_grad()
    def _load(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])

    def _settle(self, embedding: Tensor) -> None:
        """Give the hypernetwork ``embedding`` and standardise its importances over the training profiles under it."""
        hypernetwork = self.model.hypernetwork
        hypernetwork.item_embedding = embedding
        some = self.windows.profiles[:: -(-len(self.windows) // _CALIBRATION_PROFILES)]
        hypernetwork.calibrate(hypernetwork.profile(some))

    def save(self) -> None:
        """Write the checkpoint: everything that the next epoch depends on."""
        if self.path is None:
            return
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            tensors |= {f"model/{name}": parameter, f"average/{name}": self.average[name], f"best/{name}": self.best[name]}
            tensors |= {f"adam/{key}/{name}": value for key, value in self.optimizer.state[parameter].items()}
        counters = {name: getattr(self, name) for name in _COUNTERS}
        write_tensors(self.path, tensors, {"version": _VERSION, "history": self.history, "counters": counters, **self.identity})

    def resume(self) -> None:
        """Take over the checkpoint when there is one."""
        if self.path is None or not self.path.exists():
            return
        tensors, metadata = read_tensors(self.path, "hypernetwork checkpoint")
        require_same(self.path, "format", {"version": metadata.get("version")}, {"version": _VERSION})
        for kind, wanted in self.identity.items():
            require_same(self.path, kind, metadata.get(kind, {}), wanted)
        try:
            self._load({name: tensors[f"model/{name}"] for name in self.parameters})
            for name, parameter in self.parameters.items():
                self.average[name].copy_(tensors[f"average/{name}"])
                self.best[name] = tensors[f"best/{name}"]
                state = {key: tensors[f"adam/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                # AdamW keeps its step counter on the CPU, the moments beside their parameter.
                self.optimizer.state[parameter] = {key: value if key == "step" else value.to(self.device) for key, value in state.items()}
            self.history = metadata["history"]
            for name in _COUNTERS:
                setattr(self, name, metadata["counters"][name])
        except (KeyError, RuntimeError):
            raise CheckpointError(f"{self.path}: this checkpoint is not one of this hypernetwork: delete it to start anew") from None

    def result(self) -> TrainedHypernetwork:
        """The best weights, settled on the master that the strategies will belong to."""
        self._load(self.best)
        model = self.model.cpu()
        self.windows = self.windows.to(torch.device("cpu"))
        if self.options.backbone_init == "random":
            backbone = build(self.source.config)
            backbone.load_state_dict(model.backbone.state_dict())
            master = make_master(backbone, self.options.scale_policy, self.options.embedding_bits)
        else:
            backbone, master = copy.deepcopy(self.source), self.master
        hypernetwork = model.hypernetwork
        hypernetwork.bind(master)
        self._settle(hypernetwork.item_embedding)
        hypernetwork.requires_grad_(False).eval()
        return TrainedHypernetwork(hypernetwork, backbone.eval(), master, self.history, self.best_epoch, replace(self.options))


_COUNTERS = ("epoch", "best_score", "best_epoch", "finished")


def _optimizer(parameters: dict[str, nn.Parameter], options: HypernetworkOptions) -> torch.optim.Optimizer:
    """AdamW with one learning rate for the hypernetwork and one for the backbone; decay on the hypernetwork's matrices only."""
    groups: list[dict[str, Any]] = []
    for prefix, lr in (("hypernetwork.", options.lr), ("backbone.", options.backbone_lr)):
        own = [parameter for name, parameter in parameters.items() if name.startswith(prefix)]
        decay = options.weight_decay if prefix == "hypernetwork." else 0.0
        groups.append({"params": [each for each in own if each.dim() > 1], "lr": lr, "weight_decay": decay})
        groups.append({"params": [each for each in own if each.dim() <= 1], "lr": lr, "weight_decay": 0.0})
    return torch.optim.AdamW([group for group in groups if group["params"]])
