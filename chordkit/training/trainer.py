"""Training a backbone: full-softmax cross-entropy, early stopping, and checkpoints that a kill cannot spoil."""

import copy
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, BackboneConfig, build, config_to_dict, initialise
from chordkit.data import Dataset, Split, split
from chordkit.errors import DataError, InputError
from chordkit.progress import Progress
from chordkit.training.checkpoint import read_tensors, require_same, write_tensors
from chordkit.training.device import torch_device, torch_threads
from chordkit.training.loss import full_softmax_loss
from chordkit.training.metrics import Metrics, evaluate, rank_targets
from chordkit.training.options import TrainingOptions, default_options
from chordkit.training.windows import TrainingWindows

CHECKPOINT_NAME = "training.safetensors"
_VERSION = 1


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
) -> TrainedBackbone:
    """Train a backbone, or go on where an interrupted run with the same arguments stopped.

    Args:
        dataset: sequences of all users; the last item of each is the test target, the last but one validates.
        config: of the backbone; ``items`` must be the data set's.
        options: how to train; None = :func:`default_options` of the architecture.
        checkpoint_dir: where the run keeps ``training.safetensors``; None = no checkpoints. On the CPU a resumed run gives
            bit for bit what an uninterrupted one gives.
        progress: called as (``"training"``, steps done, steps at most) after every step, and once at the end of an epoch.

    Raises:
        DataError: the data set has nothing to train on, or another number of items than ``config``.
        CheckpointError: the checkpoint is damaged or belongs to another data set, configuration or options.
        InputError: the device is not there.
    """
    options = options or default_options(config.architecture)
    if dataset.items != config.items:
        raise DataError(f"data set '{dataset.name}' has {dataset.items} items but the configuration {config.items}: set items to that")
    device = torch_device(options.device)
    parts = split(dataset, config.max_length)
    # Dropout and the order of the data draw from torch's global generators: borrow them, so that the caller's stay untouched.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch_threads(options.threads):
        run = _Run(dataset, config, options, parts, device, None if checkpoint_dir is None else Path(checkpoint_dir))
        run.resume()
        run.train(progress)
        return run.result()


class _Run:
    """The whole state of one training run, and how it goes to disk and comes back."""

    def __init__(
        self, dataset: Dataset, config: BackboneConfig, options: TrainingOptions, parts: Split, device: torch.device, folder: Path | None
    ) -> None:
        self.options, self.parts, self.device = options, parts, device
        self.path = None if folder is None else folder / CHECKPOINT_NAME
        self.identity = {
            "dataset": {"fingerprint": dataset.fingerprint, "interactions": dataset.interactions},
            "configuration": _plain(config_to_dict(config)),
            "options": options.to_json(),
        }
        torch.manual_seed(options.seed)
        self.model = initialise(build(config), seed=options.seed).to(device)
        self.average = copy.deepcopy(self.model).requires_grad_(False) if options.averaging else None
        self.names = dict(self.model.named_parameters())
        self.optimizer = _optimizer(self.model, options)
        positions = options.stride if self.model.window_context else config.max_length
        self.windows = TrainingWindows(parts.train, positions, self.model.window_context, options.stride).to(device)
        if not len(self.windows):
            raise DataError(f"data set '{dataset.name}': no user has two training interactions: use longer sequences")
        self.epoch, self.step, self.steps_done, self.loss_sum = 0, 0, 0, 0.0
        self.order, self.sizes = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        self.history: list[dict[str, float]] = []
        self.best_score, self.best_epoch = -1.0, -1
        self.best = self._weights()
        self.finished = False

    @property
    def validated(self) -> Backbone:
        """The weights that are validated and kept: the moving average where there is one."""
        return self.model if self.average is None else self.average

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().clone() for name, tensor in self.validated.state_dict().items()}

    def train(self, progress: Progress | None) -> None:
        """Run epochs until patience or the limit ends them."""
        while not self.finished:
            if not len(self.sizes):
                self.order, self.sizes = self.windows.shuffle(self.options.batch, self.options.bucketing)
            self._epoch(progress)
            self._validate()
            self.save()
        if progress:
            progress("training", self.steps_done, self.steps_done)

    def _epoch(self, progress: Progress | None) -> None:
        self.model.train()
        ends = torch.cumsum(self.sizes, 0).tolist()
        while self.step < len(ends):
            end, size = ends[self.step], int(self.sizes[self.step])
            self._step(self.order[end - size : end])
            self.step += 1
            self.steps_done += 1
            if progress:
                progress("training", self.steps_done, self.steps_done - self.step + len(ends) * (self.options.epochs - self.epoch))
            if self.options.checkpoint_steps and self.steps_done % self.options.checkpoint_steps == 0 and self.step < len(ends):
                self.save()

    def _step(self, numbers: Tensor) -> None:
        options = self.options
        batch = self.windows.batch(numbers)
        hidden = self.model.window_states(batch.inputs).flatten(0, 1).index_select(0, batch.indices)
        bias = getattr(self.model, "item_bias", None)
        # Row 0 is padding: it is no class, and so stays the zero vector.
        loss = full_softmax_loss(
            hidden, self.model.item_embedding.weight[1:], batch.targets - 1, None if bias is None else bias[1:], options.smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), options.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * min(1.0, (self.steps_done + 1) / (options.warmup + 1))
        self.optimizer.step()
        self.loss_sum += float(loss.detach())
        if self.average is not None:
            # A short memory at first, so that the average does not drag the initial weights along.
            decay = min(options.averaging, (1 + self.steps_done) / (10 + self.steps_done))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1.0 - decay)

    def _validate(self) -> None:
        ranks = rank_targets(self.validated, self.parts.valid)
        score = float(np.mean((ranks <= 10) / np.log2(ranks + 1.0)))
        self.history.append({"epoch": self.epoch, "loss": self.loss_sum / self.step, "valid_ndcg10": score})
        if not math.isfinite(self.history[-1]["loss"]):
            raise InputError(f"training options: the loss is no longer finite in epoch {self.epoch}: lower lr = {self.options.lr}")
        if score > self.best_score:
            self.best_score, self.best_epoch, self.best = score, self.epoch, self._weights()
        self.finished = self.epoch + 1 >= self.options.epochs or self.epoch - self.best_epoch >= self.options.patience
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self.order, self.sizes = self.order[:0], self.sizes[:0]

    def save(self) -> None:
        """Write the checkpoint: everything that the next step depends on."""
        if self.path is None:
            return
        tensors: dict[str, Tensor] = {"order": self.order, "sizes": self.sizes, "rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["rng_cuda"] = torch.cuda.get_rng_state(self.device)
        tensors |= {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.state_dict().items()}
        for name, parameter in self.names.items():
            tensors |= {f"adam/{key}/{name}": value for key, value in self.optimizer.state[parameter].items()}
        counters = {name: getattr(self, name) for name in _COUNTERS}
        write_tensors(self.path, tensors, {"version": _VERSION, "history": self.history, "counters": counters, **self.identity})

    def resume(self) -> None:
        """Take over the checkpoint when there is one."""
        if self.path is None:
            return
        # What a kill in the middle of a write left behind; the checkpoint itself was only ever replaced by a whole file.
        for unfinished in self.path.parent.glob(f".{self.path.name}.*.partial"):
            unfinished.unlink(missing_ok=True)
        if not self.path.exists():
            return
        tensors, metadata = read_tensors(self.path, "training checkpoint")
        require_same(self.path, "format", {"version": metadata.get("version")}, {"version": _VERSION})
        for kind, wanted in self.identity.items():
            require_same(self.path, kind, metadata.get(kind, {}), wanted)
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = tensor
        self.model.load_state_dict(groups["model"])
        self.best = groups["best"]
        if self.average is not None:
            self.average.load_state_dict(groups["average"])
        for name, parameter in self.names.items():
            state = {key: groups["adam"][f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            # AdamW keeps its step counter on the CPU, the moments beside their parameter.
            self.optimizer.state[parameter] = {key: value if key == "step" else value.to(self.device) for key, value in state.items()}
        self.order, self.sizes, self.history = tensors["order"], tensors["sizes"], metadata["history"]
        for name in _COUNTERS:
            setattr(self, name, metadata["counters"][name])
        torch.set_rng_state(tensors["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng_cuda"], self.device)

    def result(self) -> TrainedBackbone:
        """The best weights with all their metrics."""
        backbone = copy.deepcopy(self.model).cpu()
        backbone.load_state_dict(self.best)
        backbone.requires_grad_(True).eval()
        metrics = {
            "valid": evaluate(backbone, self.parts.valid),
            "test": evaluate(backbone, self.parts.test),
            "test_masked": evaluate(backbone, self.parts.test, masked=True),
            "test_negatives": evaluate(backbone, self.parts.test, negatives=100),
        }
        return TrainedBackbone(backbone, metrics, self.history, self.best_epoch, self.options)


_COUNTERS = ("epoch", "step", "steps_done", "loss_sum", "best_score", "best_epoch", "finished")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples are lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW whose decay leaves vectors (biases, LayerNorms) alone."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=options.lr)
