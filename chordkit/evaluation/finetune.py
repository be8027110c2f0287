"""On-device fine-tuning as a rival: a few steps on a user's own history, on all channel weights in fp32 or around frozen int8 ones."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chordkit.backbones import Backbone, from_master, make_master
from chordkit.data import Dataset, SplitPart, left_pad
from chordkit.estimate import Estimate
from chordkit.evaluation.experiment import ExperimentOptions, per_user
from chordkit.evaluation.measure import Temperatures, fit_temperatures, measure
from chordkit.evaluation.results import not_a_result, open_result
from chordkit.evaluation.retrieval import candidate_sets
from chordkit.evaluation.rivals import Models
from chordkit.evaluation.summary import HEADLINE, halves
from chordkit.progress import Progress, renamed
from chordkit.quantization import ScalePolicy
from chordkit.training import bootstrap
from chordkit.training.checkpoint import write_tensors
from chordkit.training.device import torch_arithmetic
from chordkit.training.loss import Rows, catalogue_loss

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
STEPS = (1, 5, 15)
_VERSION = 1
_USERS_SEED = 20261126
# Users of the choice half on whose validation items the learning rate and the steps are chosen.
_DECIDING_USERS = 50
# The newest items of a history that a phone trains on.
_TARGETS = 100


@dataclass(frozen=True)
class Tuned:
    """One model, fine-tuned for each of some users, beside itself as it was, under one seed.

    Attributes:
        key: ``finetuned_fp32`` or ``finetuned_int8``.
        label: in words.
        lr: learning rate, as chosen.
        steps: as chosen.
        users: int64 [n], the users' numbers, ascending.
        before: means over each user's test items by measure, float32 [n], of the model as the cloud trained it.
        after: the same once it was fine-tuned.
    """

    key: str
    label: str
    lr: float
    steps: int
    users: NDArray[np.int64]
    before: Mapping[str, NDArray[np.float32]]
    after: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TunedLine:
    """A fine-tuned rival over all seeds.

    Attributes:
        key: ``finetuned_fp32`` or ``finetuned_int8``.
        label: in words.
        users: how many.
        lrs: learning rate chosen under each seed.
        steps: steps chosen under each seed.
        before: headline measures of the model as the cloud trained it, over the same users.
        after: once it was fine-tuned.
        gain: after - before, paired.
        confirmed: the same over the users of the confirmation half.
    """

    key: str
    label: str
    users: int
    lrs: tuple[float, ...]
    steps: tuple[int, ...]
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]
    confirmed: Mapping[str, Estimate]


def finetune(
    dataset: Dataset, models: Models, options: ExperimentOptions, seed: int, users: int = 300, progress: Progress | None = None
) -> tuple[Tuned, ...]:
    """Fine-tune the fp32 rival at the phone's window for ``users`` drawn users, half of them of the choice half; nothing where it was not
    trained.

    Each user's model learns from the history before the user's first test item, once, and answers for all of the user's test items.
    """
    if models.full is None:
        return ()
    with torch_arithmetic(options.personal.threads):
        return _finetune(dataset, models.full.backbone, options, seed, users, progress)


def _finetune(
    dataset: Dataset, source: Backbone, options: ExperimentOptions, seed: int, users: int, progress: Progress | None
) -> tuple[Tuned, ...]:
    parts = options.split(dataset, source.config.max_length)
    order = np.random.default_rng(_USERS_SEED).permutation(dataset.users)
    choice = halves(dataset.users)[order]
    validated, tested = (np.isin(order, part.users) for part in (parts.valid, parts.test))
    drawn = np.concatenate([order[choice & tested][: max(1, users // 2)], order[~choice & tested][: max(1, users - users // 2)]])
    drawn = np.sort(drawn)
    deciding = order[choice & validated][: min(max(1, users // 2), _DECIDING_USERS)]
    valid, test = parts.valid.of_users(deciding), parts.test.of_users(drawn)
    candidates = candidate_sets(test, parts.train, dataset.items)
    masked = options.personal.seen_masked
    found = []
    for key, label, backbone, learn in (
        ("finetuned_fp32", "fp32, all channel weights and norms learn on the phone", copy.deepcopy(source), _weights),
        ("finetuned_int8", "int8, norms and biases learn on the phone", from_master(make_master(source, ScalePolicy.MSE)), _small),
    ):
        tuner = _Tuner(backbone, learn(backbone), masked, renamed(progress, f"seed {seed}, {key}"))
        lr, steps, temperatures = tuner.choose(valid)
        states = tuner.states(test, lr, (0, steps))
        before, after = (per_user(measure(backbone, states[at], test, candidates, temperatures[at]), test) for at in (0, steps))
        found.append(Tuned(key, label, lr, steps, drawn, before, after))
    return tuple(found)


def _small(backbone: Backbone) -> list[str]:
    """Norms and biases: what an int8 model has in fp32."""
    norms = {name for name, module in backbone.named_modules() if isinstance(module, nn.LayerNorm)}
    biases = {f"{name}.bias" for name in backbone.channel_layers()}
    return [name for name, _ in backbone.named_parameters() if name in biases or name.rpartition(".")[0] in norms]


def _weights(backbone: Backbone) -> list[str]:
    """All but the embedding tables, whose gradients would not fit what a phone keeps."""
    channels = {f"{name}.weight" for name in backbone.channel_layers()}
    return [*_small(backbone), *(name for name, _ in backbone.named_parameters() if name in channels)]


class _Tuner:
    """A backbone that learns for one user after the other, and is as it was in between."""

    def __init__(self, backbone: Backbone, learning: Sequence[str], masked: bool, progress: Progress | None) -> None:
        self.backbone, self.masked, self.progress = backbone.eval(), masked, progress
        self.parameters = {name: parameter for name, parameter in backbone.named_parameters() if name in set(learning)}
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in self.parameters)
        self.initial = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def choose(self, valid: SplitPart) -> tuple[float, int, dict[int, Temperatures]]:
        """Learning rate and steps with the best likelihood on ``valid``, and the temperatures there after no steps and after these."""
        name = "masked_likelihood" if self.masked else "likelihood"
        scores, temperatures = {}, {}
        for lr in LEARNING_RATES:
            for steps, states in self.states(valid, lr, STEPS).items():
                fitted = temperatures[lr, steps] = fit_temperatures(self.backbone, states, valid)
                scores[lr, steps] = float(np.mean(per_user(measure(self.backbone, states, valid, {}, fitted), valid)[name]))
        # NaN is a run that diverged.
        lr, steps = max(scores, key=lambda each: -np.inf if np.isnan(scores[each]) else scores[each])
        untouched = fit_temperatures(self.backbone, self.states(valid, lr, (0,))[0], valid)
        return lr, steps, {0: untouched, steps: temperatures[lr, steps]}

    def states(self, part: SplitPart, lr: float, steps: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states [rows, dim] of ``part`` after each number of ``steps``, every user's rows by the user's own model."""
        first = part.first_rows
        found: dict[int, list[Tensor]] = {step: [] for step in steps}
        for done, (start, stop) in enumerate(zip(first, [*first[1:], len(part)], strict=True)):
            histories = torch.from_numpy(part.histories[start:stop]).long()
            for step in self._learn(part.full_history(start), lr, steps):
                with torch.no_grad():
                    found[step].append(self.backbone.encode(histories))
            if self.progress:
                self.progress("", done + 1, len(first))
        return {step: torch.cat(states) for step, states in found.items()}

    def _learn(self, sequence: NDArray[np.int32], lr: float, steps: Sequence[int]) -> Any:
        """Yield each number of ``steps`` when the model has taken as many on ``sequence``."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.initial[name])
        optimizer = torch.optim.AdamW(self.parameters.values(), lr=lr, weight_decay=0.0)
        histories, goal = _lessons(sequence, self.backbone.config.max_length, self.masked)
        for step in range(max(steps) + 1):
            if step in steps:
                yield step
            if step < max(steps) and len(histories):
                optimizer.zero_grad()
                catalogue_loss(self.backbone, self.backbone.encode(histories), goal).backward()
                optimizer.step()


def _lessons(sequence: NDArray[np.int32], length: int, masked: bool) -> tuple[Tensor, Rows]:
    """The newest items of ``sequence`` as targets, each with the history [targets, length] before it."""
    first = max(1, len(sequence) - _TARGETS)
    places = range(first, len(sequence))
    histories = torch.from_numpy(left_pad([sequence[max(0, place - length) : place] for place in places], length)).long()
    targets = torch.from_numpy(sequence[first:].astype(np.int64))
    barred = None
    if masked:
        pairs = [(row, item) for row, place in enumerate(places) for item in np.unique(sequence[:place]) if item != sequence[place]]
        barred = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return histories, Rows(targets, barred)


def summarise_tuned(seeds: Sequence[tuple[Tuned, ...]], users: int) -> tuple[TunedLine, ...]:
    """Pool the seeds; ``users`` is how many the data set has."""
    return tuple(_line(each, users) for each in zip(*seeds, strict=True))


def _line(seeds: Sequence[Tuned], users: int) -> TunedLine:
    first = seeds[0]
    before, after = (
        np.stack([np.mean([getattr(each, when)[measure].astype(np.float64) for each in seeds], axis=0) for measure in HEADLINE], axis=1)
        for when in ("before", "after")
    )
    confirming = ~halves(users)[first.users]

    def estimates(columns: NDArray[np.float64]) -> dict[str, Estimate]:
        return dict(zip(HEADLINE, bootstrap(columns), strict=True))

    return TunedLine(
        key=first.key,
        label=first.label,
        users=len(first.users),
        lrs=tuple(each.lr for each in seeds),
        steps=tuple(each.steps for each in seeds),
        before=estimates(before),
        after=estimates(after),
        gain=estimates(after - before),
        confirmed=estimates((after - before)[confirming]),
    )


# --- on disk ----------------------------------------------------------------------------------------------------------


def save_tuned(path: Path, found: Sequence[Tuned], identity: Mapping[str, Any]) -> None:
    """Write ``found`` atomically, with the JSON values ``identity`` of what it depends on."""
    tensors = {}
    for each in found:
        # A copy: all have one array of users, and safetensors refuses tensors that share memory.
        tensors[f"{each.key}/users/users"] = torch.tensor(each.users)
        for when in ("before", "after"):
            tensors |= {f"{each.key}/{when}/{name}": torch.from_numpy(values) for name, values in getattr(each, when).items()}
    rows = [{"key": each.key, "label": each.label, "lr": each.lr, "steps": each.steps} for each in found]
    write_tensors(path, tensors, {"version": _VERSION, "identity": identity, "rows": rows})


def load_tuned(path: Path, identity: Mapping[str, Any]) -> tuple[Tuned, ...]:
    """Read what :func:`save_tuned` wrote.

    Raises:
        CheckpointError: it is damaged, or the result of something else than ``identity``.
    """
    tensors, metadata = open_result(path, identity, _VERSION)
    try:
        found = []
        for row in metadata["rows"]:
            values: dict[str, dict[str, Any]] = {"users": {}, "before": {}, "after": {}}
            for name, tensor in tensors.items():
                key, when, measured = name.split("/")
                if key == row["key"]:
                    values[when][measured] = tensor.numpy()
            found.append(Tuned(**row, users=values["users"]["users"], before=values["before"], after=values["after"]))
        return tuple(found)
    except (KeyError, TypeError, ValueError):
        raise not_a_result(path) from None
