"""One training run: epochs, moving average, early stopping, and checkpoints that a kill cannot spoil, whatever is trained."""

import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from torch import Tensor, nn

from chordkit.errors import CheckpointError, InputError, ProcessError
from chordkit.files import read_bytes
from chordkit.progress import Progress
from chordkit.training.checkpoint import parse_tensors, require_same, write_tensors
from chordkit.training.parallel import ALONE, Group

_VERSION = 1
_COUNTERS = ("epoch", "step", "steps_done", "loss_sum", "best_score", "best_epoch", "finished")
_FRACTIONS = ("loss_sum", "best_score")
_LENGTH = ("epochs", "patience")
"""Options that say how long a run goes on; where the learning rates do not fall towards its end, nothing before it depends on them."""


class Task(Protocol):
    """What is trained: where its steps come from, what they minimise, and how good the weights are.

    Everything random in it draws from torch's global generators, whose states travel in the checkpoint.

    Attributes:
        name: of the run, in progress and messages.
    """

    name: str

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        """A fresh order of the training rows, int64 [rows], and how many of them each step takes, int64 [steps]."""

    def loss(self, rows: Tensor) -> Tensor:
        """The loss of one step, on the rows with these numbers; of several processes' tasks each gives a part, and these add up to it."""

    def validate(self) -> dict[str, float]:
        """How good the weights are as they now are, by name, higher is better; the first decides which epoch is kept. Draws no random
        numbers."""


@dataclass(frozen=True)
class Schedule:
    """How long a run goes on and how its steps are taken.

    Attributes:
        epochs: at most so many.
        patience: stop after so many epochs without a better validation.
        averaging: decay per step of the exponential moving average of the weights that is validated and kept; 0 = none.
        warmup: steps over which the learning rates rise linearly from 0.
        clip: largest gradient norm; 0 = no clipping.
        checkpoint_steps: write a checkpoint every so many steps besides the one after each epoch; 0 = epochs only.
        floor: share of the learning rates that a cosine over all epochs leaves at the end; 1 = they stay.
    """

    epochs: int
    patience: int
    averaging: float = 0.0
    warmup: int = 0
    clip: float = 0.0
    checkpoint_steps: int = 0
    floor: float = 1.0


class Run:
    """The whole state of one training run, and how it goes to disk and comes back.

    Attributes:
        history: one record per epoch: ``epoch``, ``loss``, and what the task validates by, ``valid_<name>``.
        best_epoch: the epoch (from 0) of the best validation.
    """

    def __init__(
        self,
        task: Task,
        weights: Mapping[str, Tensor],
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        identity: Mapping[str, Mapping[str, Any]],
        path: Path | None,
        group: Group = ALONE,
    ) -> None:
        """Begin at epoch 0 with the weights as they are.

        Args:
            task: what is trained.
            weights: the live tensors, by name, that change in training: parameters, and buffers that belong to a model's state.
            optimizer: over the parameters among them.
            schedule: how long, how.
            identity: what the result depends on, as JSON values by kind: a checkpoint of another identity is refused.
            path: the checkpoint; None = none is kept. Of several processes only the one that leads reads and writes it.
            group: the processes that share the run. What comes of it depends on their number by nothing but rounding, so a checkpoint may
                be resumed with another number.
        """
        self._task, self._weights, self._optimizer, self._schedule, self._path = task, dict(weights), optimizer, schedule, path
        self._group = group
        self._identity: dict[str, dict[str, Any]] = json.loads(json.dumps(identity))
        self._device = next(iter(self._weights.values())).device
        self._parameters = {name: tensor for name, tensor in self._weights.items() if isinstance(tensor, nn.Parameter)}
        floating = {name: tensor for name, tensor in self._weights.items() if tensor.is_floating_point()} if schedule.averaging else {}
        self._average = {name: tensor.detach().clone() for name, tensor in floating.items()}
        for each in optimizer.param_groups:
            each.setdefault("initial_lr", each["lr"])
        self._order, self._sizes = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        self.epoch, self.step, self.steps_done, self.loss_sum = 0, 0, 0, 0.0
        self.best_score, self.best_epoch, self.finished = -sys.float_info.max, -1, False
        self.history: list[dict[str, float]] = []
        self._best = self._kept()

    def train(self, progress: Progress | None = None, *, best_so_far: bool = False) -> None:
        """Go on from the checkpoint, if there is one, until patience or the limit ends the run; leave the best weights in place.

        On the CPU a resumed run gives bit for bit what an uninterrupted one gives. Where the learning rates do not fall towards the end
        (``floor`` = 1), it may be resumed with other epochs and another patience.

        Args:
            progress: called as (task's name, steps done, steps at most) after every step, and once at the end.
            best_so_far: do not go on; take what the checkpoint has.

        Raises:
            CheckpointError: the checkpoint is damaged or belongs to a run of another identity, or has no epoch to take.
            InputError: the loss, a weight, or what validation finds is no longer finite.
            ProcessError: another process was lost or started with something else, or the model has state that each would see a part of.
        """
        self._begin_together()
        self._resume()
        progress = progress if self._group.leads else None
        if best_so_far and self.best_epoch < 0:
            raise CheckpointError(f"{self._path}: no epoch of this run is finished yet, so there is no best one: let it go on")
        while not (self.finished or best_so_far):
            if not len(self._sizes):
                self._order, self._sizes = self._task.shuffle(self.epoch)
                self._align_epoch()
            self._run_epoch(progress)
            self._close_epoch()
            self._save()
        if progress:
            progress(self._task.name, self.steps_done, self.steps_done)
        self._optimizer.zero_grad(set_to_none=True)
        self._load(self._best)

    def _run_epoch(self, progress: Progress | None) -> None:
        every, epochs = self._schedule.checkpoint_steps, self._schedule.epochs
        ends = torch.cumsum(self._sizes, 0).tolist()
        while self.step < len(ends):
            end, size = ends[self.step], int(self._sizes[self.step])
            self._take_step(self._order[end - size : end])
            self.step += 1
            self.steps_done += 1
            if progress:
                progress(self._task.name, self.steps_done, self.steps_done - self.step + len(ends) * (epochs - self.epoch))
            if every and self.steps_done % every == 0 and self.step < len(ends):
                self._save()

    def _take_step(self, rows: Tensor) -> None:
        loss = self._task.loss(rows)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        value = self._group.add_up(list(self._parameters.values()), loss)
        if self._schedule.clip:
            nn.utils.clip_grad_norm_(dict.fromkeys(self._parameters.values()), self._schedule.clip)
        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * rate
        self._optimizer.step()
        self._require_finite(math.isfinite(value), "loss is")
        self.loss_sum += value
        if self._average:
            # A short memory at first, so that the average does not drag the initial weights along.
            decay = min(self._schedule.averaging, (1 + self.steps_done) / (10 + self.steps_done))
            torch._foreach_lerp_(list(self._average.values()), [self._weights[name].detach() for name in self._average], 1.0 - decay)

    def _rate(self) -> float:
        """What the step takes of the learning rates."""
        warmup, floor = self._schedule.warmup, self._schedule.floor
        rising = min(1.0, (self.steps_done + 1) / (warmup + 1))
        if floor == 1.0:
            return rising
        done = (self.epoch + self.step / len(self._sizes)) / self._schedule.epochs
        return rising * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done)))

    def _close_epoch(self) -> None:
        loss = self.loss_sum / self.step
        # The last step of an epoch has no loss after it.
        self._require_finite(all(bool(torch.isfinite(tensor).all()) for tensor in self._parameters.values()), "weights are")
        found: dict[str, float] = json.loads(self._group.told(lambda: json.dumps(self._validated()).encode()))
        self._require_finite(all(map(math.isfinite, found.values())), "scores are")
        score = next(iter(found.values()))
        self.history.append({"epoch": self.epoch, "loss": loss} | {f"valid_{name}": value for name, value in found.items()})
        if score > self.best_score:
            self.best_score, self.best_epoch, self._best = score, self.epoch, self._kept()
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self.finished = self._is_over()
        self._order, self._sizes = self._order[:0], self._sizes[:0]

    def _validated(self) -> dict[str, float]:
        with self._averaged():
            return self._task.validate()

    def _is_over(self) -> bool:
        return self.epoch >= self._schedule.epochs or self.epoch - 1 - self.best_epoch >= self._schedule.patience

    def _require_finite(self, finite: bool, what: str) -> None:
        if not finite:
            lr = self._optimizer.param_groups[0]["initial_lr"]
            raise InputError(f"{self._task.name} options: the {what} no longer finite in epoch {self.epoch}: lower lr = {lr}")

    def _kept(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of the weights that are validated and kept: the moving average where there is one."""
        return {name: tensor.detach().cpu().clone() for name, tensor in (self._weights | self._average).items()}

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let the task's weights be the moving average inside the block."""
        current = {name: self._weights[name].detach().clone() for name in self._average}
        self._load(self._average)
        try:
            yield
        finally:
            self._load(current)

    @torch.no_grad()
    def _load(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._weights[name].copy_(value)

    def _begin_together(self) -> None:
        """Hold that all processes were started to do the same; begin with the weights of the one that leads."""
        if self._group.size == 1:
            return
        state = [name for name in self._weights if name not in self._parameters]
        if state:
            raise ProcessError(
                f"{self._task.name}: the model changes {state[0]} by the rows that it sees, of which each process has others: "
                "train it in one process"
            )
        wanted = json.loads(self._group.told(lambda: json.dumps(self._identity).encode()))
        for kind, own in self._identity.items():
            for name in sorted({*own, *wanted.get(kind, {})}):
                if own.get(name) != wanted.get(kind, {}).get(name):
                    raise ProcessError(
                        f"{kind} {name} = {own.get(name)!r} here and {wanted.get(kind, {}).get(name)!r} in process 0: "
                        "give all processes the same command and the same data"
                    )
        self._group.align([*self._weights.values(), *self._average.values()])
        self._best = self._kept()

    def _align_epoch(self) -> None:
        """Let all processes begin an epoch with the leading one's weights, order and random numbers, whatever machines they are on."""
        if self._group.size == 1:
            return
        kept = {"order": self._order, "sizes": self._sizes, **self._generators()}
        data = self._group.told(lambda: safetensors.torch.save(kept))
        tensors = safetensors.torch.load(data)
        self._order, self._sizes = tensors["order"], tensors["sizes"]
        self._set_generators(tensors)
        self._group.align(list(self._weights.values()))

    def _generators(self) -> dict[str, Tensor]:
        states = {"rng": torch.get_rng_state()}
        return states | {"rng_cuda": torch.cuda.get_rng_state(self._device)} if self._device.type == "cuda" else states

    def _set_generators(self, states: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(states["rng"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states["rng_cuda"], self._device)

    def _save(self) -> None:
        """Write the checkpoint: everything that the next step depends on."""
        if self._path is None or not self._group.leads:
            return
        tensors: dict[str, Tensor] = {"order": self._order, "sizes": self._sizes, **self._generators()}
        for group, values in (("model", self._weights), ("best", self._best), ("average", self._average)):
            tensors |= {f"{group}/{name}": tensor for name, tensor in values.items()}
        for name, parameter in self._parameters.items():
            tensors |= {f"adam/{key}/{name}": value for key, value in self._optimizer.state.get(parameter, {}).items()}
        counters = {name: getattr(self, name) for name in _COUNTERS}
        write_tensors(self._path, tensors, {"version": _VERSION, "history": self.history, "counters": counters, **self._identity})

    def _resume(self) -> None:
        """Take over the checkpoint when there is one."""
        path, what = self._path, f"{self._task.name} checkpoint"
        if path is None:
            return
        data = self._group.told_if_any(lambda: read_bytes(path, what) if path.exists() else None)
        if data is None:
            return
        tensors, metadata = parse_tensors(data, path, what)
        require_same(path, "format", {"version": metadata.get("version")}, {"version": _VERSION})
        free = _LENGTH if self._schedule.floor == 1.0 else ()
        for kind, wanted in self._identity.items():
            found = metadata.get(kind, {})
            taken = {name: found[name] for name in free if name in wanted and isinstance(found, dict) and name in found}
            require_same(path, kind, found, wanted | taken)
        try:
            self._take_over(tensors, metadata)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            raise CheckpointError(
                f"{path}: this checkpoint does not hold all of this run, so another version of chordkit wrote it: delete it to start anew"
            ) from None

    def _take_over(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        self._load({name: tensors[f"model/{name}"] for name in self._weights})
        self._best = {name: tensors[f"best/{name}"] for name in self._weights}
        for name, average in self._average.items():
            average.copy_(tensors[f"average/{name}"])
        for entry, value in tensors.items():
            if entry.startswith("adam/"):
                _, key, name = entry.split("/", 2)
                # AdamW keeps its step counter on the CPU, the moments beside their parameter.
                self._optimizer.state[self._parameters[name]][key] = value if key == "step" else value.to(self._device)
        self._order, self._sizes, self.history = tensors["order"], tensors["sizes"], metadata["history"]
        if not isinstance(self.history, list):
            raise TypeError("history")
        for name in _COUNTERS:
            value = metadata["counters"][name]
            if not isinstance(value, int) and not (isinstance(value, float) and name in _FRACTIONS):
                raise TypeError(name)
            setattr(self, name, value)
        if self.step == 0 and self.epoch > 0:  # between two epochs, where another length may end it or let it go on
            self.finished = self._is_over()
        self._set_generators(tensors)


def decay_groups(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of an optimizer whose decay leaves vectors (biases, LayerNorms) alone."""
    own = list(parameters)
    matrices, vectors = [each for each in own if each.dim() > 1], [each for each in own if each.dim() <= 1]
    groups = [{"params": matrices, "lr": lr, "weight_decay": weight_decay}, {"params": vectors, "lr": lr, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
