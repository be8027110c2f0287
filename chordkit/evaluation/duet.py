"""A rival after DUET (Lv et al., WWW 2023): the cloud sends no widths but weights, made from the same profile by a hypernetwork of its own.

The last channel layer of a backbone, W, becomes W + sum_r u_r v_r^T for each user, u and v generated and sent in int8. Everything else is
trained as the fp32 rival is: the same start, windows, data, steps and rates.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones import Backbone, config_to_dict, from_master, make_master
from chordkit.data import Dataset, SplitPart, split, split_identity
from chordkit.hypernetwork import HypernetworkOptions
from chordkit.hypernetwork.joint import phone_backbone, training_backbone
from chordkit.hypernetwork.likelihood import calibrated_likelihood
from chordkit.hypernetwork.profile import directions, pooled_profile, profile_width
from chordkit.hypernetwork.windows import strategy_windows
from chordkit.progress import Progress
from chordkit.quantization import ScalePolicy
from chordkit.strategy import quantize_user_vectors
from chordkit.training.checkpoint import digest
from chordkit.training.device import borrowed_generators, torch_arithmetic, torch_device
from chordkit.training.loss import Rows, catalogue_loss
from chordkit.training.run import Run, decay_groups

RANK = 4
# As a strategy and a user vector have: magic, version, fingerprint, length, CRC.
_HEADER_BYTES = 24
_AT_ONCE = 512


class Duet(nn.Module):
    """A backbone whose last channel layer is another one for every user."""

    def __init__(self, backbone: Backbone, options: HypernetworkOptions) -> None:
        super().__init__()
        self.backbone, self.options = backbone, options
        self.layer = list(backbone.channel_layers())[-1]
        target = backbone.channel_layers()[self.layer]
        self.sizes = target.out_features, target.in_features
        dim = backbone.item_embedding.weight.shape[1]
        self.features = nn.Linear(profile_width(dim, options.pools), options.hidden)
        self.factors = nn.Linear(options.hidden, RANK * sum(self.sizes))
        # It begins as the backbone that it is given: no user has a change, but each v a direction to learn from.
        with torch.no_grad():
            self.factors.weight[: RANK * self.sizes[0]] = 0.0
            self.factors.bias[: RANK * self.sizes[0]] = 0.0

    @property
    def wire_bytes(self) -> int:
        """What a user is sent: int8 factors, a scale each, and the header that everything on the wire has."""
        return RANK * sum(self.sizes) + 4 * 2 * RANK + _HEADER_BYTES

    def generate(self, histories: Tensor, hidden: float = 0.0) -> tuple[Tensor, Tensor]:
        """The factors [batch, rank, out] and [batch, rank, in] for users with ``histories`` [batch, length]."""
        profile = pooled_profile(self.backbone.item_embedding.weight, histories, self.options.pools, hidden)
        features = functional.dropout(functional.gelu(self.features(directions(profile))), self.options.feature_dropout, self.training)
        up, down = self.factors(features).split([RANK * size for size in self.sizes], dim=1)
        return up.unflatten(1, (RANK, -1)), down.unflatten(1, (RANK, -1))

    @contextmanager
    def personal(self, up: Tensor, down: Tensor) -> Iterator[Backbone]:
        """The backbone for a batch of users with these factors."""

        def add(layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
            inner = torch.einsum("b...i,bri->b...r", arguments[0], down)
            return output + torch.einsum("b...r,bro->b...o", inner, up)

        handle = self.backbone.channel_layers()[self.layer].register_forward_hook(add)
        try:
            yield self.backbone
        finally:
            handle.remove()

    @torch.no_grad()
    def states(self, part: SplitPart) -> Tensor:
        """Hidden states [rows, dim] of ``part``, with the factors as their int8 codes have them."""
        self.eval()
        profiles, found = part.recent(self.options.pools[-1]), []
        for start in range(0, len(part), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            factors = [_rounded(each) for each in self.generate(torch.from_numpy(profiles[rows]))]
            with self.personal(*factors) as backbone:
                found.append(backbone.encode(torch.from_numpy(part.histories[rows]).long()))
        return torch.cat(found)

    def quantised(self) -> "Duet":
        """The same with the backbone rounded to int8, as it is shipped."""
        shipped = copy.deepcopy(self)
        shipped.backbone = from_master(make_master(self.backbone, ScalePolicy.MSE))
        return shipped


def _rounded(factors: Tensor) -> Tensor:
    codes, scales = quantize_user_vectors(factors.flatten(0, 1).numpy())
    return torch.from_numpy(codes.astype(np.float32) * scales[:, None]).view_as(factors)


class _Task:
    name = "duet"

    def __init__(self, model: Duet, train: list[NDArray[np.int32]], valid: SplitPart) -> None:
        self.model, self.valid, self.options = model, valid, model.options
        self.windows = strategy_windows(train, model.backbone.config.max_length, self.options.stride, self.options.pools[-1])

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        return self.windows.shuffle(self.options.batch, self.options.seed, epoch)

    def loss(self, rows: Tensor) -> Tensor:
        windows, model = self.windows, self.model.train()
        targets = windows.targets[rows].long()
        kept = targets != 0
        with model.personal(*model.generate(windows.profiles[rows], self.options.history_dropout)) as backbone:
            hidden = backbone(windows.inputs[rows].long())[kept]
        seen = windows.seen(rows) if self.options.seen_masked else None
        return catalogue_loss(model.backbone, hidden, Rows(targets[kept], seen))

    def validate(self) -> dict[str, float]:
        states = self.model.states(self.valid)
        return {"likelihood": calibrated_likelihood(self.model.backbone, states, self.valid, masked=self.options.seen_masked)}


def train_duet(
    dataset: Dataset,
    start: Backbone,
    options: HypernetworkOptions,
    folder: Path | None = None,
    progress: Progress | None = None,
    *,
    held_out: int = 1,
    validation: int = 1,
    split_at: str | None = None,
) -> Duet | None:
    """Train the rival; None for a backbone that has one state for a whole history, which would need a pass for each target.

    Args:
        dataset: the data.
        start: what it begins with; not modified.
        options: those of the fp32 rival; a strategy's have no say.
        folder: of the checkpoint; None = none is kept.
        progress: called with (phase, done, total).
        held_out: test items a user that training does not see.
        validation: items before them that decide which epoch is kept.
        split_at: the moments from which on items validate and test, for a split by time.

    Raises:
        CheckpointError: the checkpoint is damaged or belongs to another run.
    """
    source = phone_backbone(start, options)
    if source.window_context:
        return None
    parts = split(dataset, source.config.max_length, held_out, validation, split_at)
    with borrowed_generators(torch_device("cpu")), torch_arithmetic(options.threads):
        torch.manual_seed(options.seed)
        learning, _ = training_backbone(source, None, options)
        model = Duet(learning, options)
        weights = dict(model.named_parameters())
        identity: dict[str, dict[str, Any]] = {
            "dataset": split_identity(dataset, held_out, validation, split_at),
            "configuration": config_to_dict(source.config),
            "start": {"digest": digest(source.state_dict())},
            "options": options.to_json() | {"duet_rank": RANK},
        }
        own = [parameter for name, parameter in weights.items() if not name.startswith("backbone.")]
        groups = decay_groups(own, options.vector_lr, options.weight_decay)
        groups += decay_groups(learning.parameters(), options.backbone_lr, 0.0)
        path = None if folder is None else folder / "duet-training.safetensors"
        Run(_Task(model, parts.train, parts.valid), weights, torch.optim.AdamW(groups), options.schedule, identity, path).train(progress)
    return model.requires_grad_(False).eval()
