"""Caser: convolutions over the history as an image (Tang and Wang, WSDM 2018), without a user embedding."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.architecture import Architecture
from chordkit.backbones.backbone import Backbone
from chordkit.backbones.channel_order import ChannelOrder, reflected_order
from chordkit.backbones.config import BackboneConfig, training_only
from chordkit.backbones.layers import ChannelLinear, Choices, choice_of, dropout


@dataclass(frozen=True)
class CaserConfig(BackboneConfig):
    """Configuration of Caser.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history.
        dim: width of the embeddings and of the final hidden state.
        heights: heights of the horizontal filters, one ChannelLinear each.
        filters: horizontal filters per height (n_h of the paper).
        vertical_filters: vertical filters over all slots (n_v of the paper).
        item_bias: whether a per-item bias is added to the score.
        dropout: probability, on the embeddings and on the concatenated filter outputs; training only.
    """

    heights: tuple[int, ...] = (2, 3, 4)
    filters: int = 16
    vertical_filters: int = 4
    item_bias: bool = False
    dropout: float = training_only(0.4)
    architecture: ClassVar[str] = "caser"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_whole("filters", "vertical_filters")
        self.require_whole_tuple("heights")
        fits = all(1 <= height <= self.max_length for height in self.heights)
        self.require(fits, "heights", f"give at least one height, each in 1..{self.max_length}")
        self.require_flag("item_bias")
        self.require_probability("dropout")


class Caser(Backbone):
    """Caser whose convolutions are Linears over unfolded windows, so that each filter is a channel of the strategy.

    Padding slots are zero vectors and windows over them count, in training and in inference alike. There is no user
    embedding: the history is all the model knows of a user, and no user id ever leaves the phone.
    """

    config: CaserConfig

    def __init__(self, config: CaserConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.horizontal = nn.ModuleList(ChannelLinear(height * config.dim, config.filters) for height in config.heights)
        self.vertical = ChannelLinear(config.max_length, config.vertical_filters)
        self.fc = ChannelLinear(config.filters * len(config.heights) + config.vertical_filters * config.dim, config.dim)
        if config.item_bias:
            self.item_bias = nn.Parameter(torch.zeros(config.items + 1))

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, dim] after the last item (section 3.2 of the paper, user part of eq. 10 left out)."""
        x = self._drop(self.item_embedding(history))
        parts = []
        for index, (height, layer) in enumerate(zip(self.config.heights, self.horizontal, strict=True)):
            filtered = functional.relu(layer(unfold(x, height), choice_of(choices, f"horizontal.{index}")))
            parts.append(filtered.amax(dim=1))
        vertical = self.vertical(x.permute(0, 2, 1), choice_of(choices, "vertical"))
        parts.append(vertical.permute(0, 2, 1).reshape(history.shape[0], self.config.vertical_filters * self.config.dim))
        z = self._drop(torch.cat(parts, dim=1))
        return functional.relu(self.fc(z, choice_of(choices, "fc")))

    def window_states(self, window: Tensor) -> Tensor:
        """States [batch, positions, dim] after each of the last slots of ``window`` [batch, max_length - 1 + positions].

        State p equals ``encode(window[:, p : p + max_length])``: neighbouring histories share all but one slot, so a
        horizontal filter runs once over the window and each history takes its sliding maximum (about a tenth of the work).
        """
        length, dim, filters = self.config.max_length, self.config.dim, self.config.vertical_filters
        batch, positions = window.shape[0], window.shape[1] - length + 1
        x = self._drop(self.item_embedding(window))
        parts = [
            sliding_max(functional.relu(layer(unfold(x, height))), length - height + 1)
            for height, layer in zip(self.config.heights, self.horizontal, strict=True)
        ]
        # Row (p, v) of the band matrix is vertical filter v placed over the slots p .. p + length - 1.
        band = functional.pad(self.vertical.weight, (0, positions)).repeat(1, positions)[:, : positions * window.shape[1]]
        band = band.view(filters, positions, window.shape[1]).transpose(0, 1).reshape(positions * filters, window.shape[1])
        vertical = torch.matmul(band, x).view(batch, positions, filters, dim) + self.vertical.bias.unsqueeze(1)
        z = self._drop(torch.cat([*parts, vertical.flatten(2)], dim=2))
        return functional.relu(self.fc(z))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.config.dropout) if self.training and self.config.dropout else x


def unfold(x: Tensor, height: int) -> Tensor:
    """All windows of ``height`` rows of ``x`` [batch, length, dim]: [batch, length - height + 1, height * dim].

    Slot-major inside a window (feature ``slot * dim + j``): concatenated slices, an op that every runtime has.
    """
    windows = x.shape[1] - height + 1
    return x if height == 1 else torch.cat([x[:, start : start + windows] for start in range(height)], dim=-1)


def sliding_max(x: Tensor, width: int) -> Tensor:
    """Maximum over every run of ``width`` rows of ``x`` [batch, rows, channels], by doubling the run in log2(width) steps."""
    run = 1
    while run < width:
        step = min(run, width - run)
        x = torch.maximum(x[:, :-step], x[:, step:])
        run += step
    return x


def reorder_channels(order: ChannelOrder) -> None:
    """Sort every layer's filters and the hidden state; fc and the windows read them where they now stand."""
    dim = order.number("dim")
    stream = reflected_order(order.keys(["fc"]))
    columns: list[np.ndarray] = []
    start = 0
    for name in [name for name in order.layers if name != "fc"]:
        filters = order.widths[name].size
        chosen = reflected_order(order.keys([name]))
        order.rows(name, chosen)
        if name == "vertical":
            # fc reads vertical filters as [filter, dim]; the inner axis is the embedding's.
            columns.append(start + (chosen[:, None] * dim + stream).reshape(-1))
            start += filters * dim
        else:
            slots = order.layers[name].rows.codes.shape[1] // dim
            order.columns(name, (np.arange(slots)[:, None] * dim + stream).reshape(-1))
            columns.append(start + chosen)
            start += filters
    order.columns("fc", np.concatenate(columns))
    order.rows("fc", stream)
    for name in order.embeddings:
        order.table(name, stream)


ARCHITECTURE = Architecture(
    title="Caser",
    config=CaserConfig,
    model=Caser,
    examples=(
        CaserConfig(items=40, max_length=12, dim=32, heights=(2, 3), filters=6, vertical_filters=3),
        CaserConfig(items=40, max_length=12, dim=16, heights=(1, 12), filters=3, vertical_filters=1, item_bias=True),
    ),
    accuracy="test NDCG@10 0.0662 on ml-100k, full ranking, mean of three seeds (docs/training.md)",
    training={"batch": 512, "lr": 1e-3, "stride": 50, "averaging": 0.995, "patience": 10, "bucketing": True, "smoothing": 0.1},
    demo_epochs=30,
    channel_order=reorder_channels,
)
