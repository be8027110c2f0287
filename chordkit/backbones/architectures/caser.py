"""Caser: convolutions over the history as an image (Tang and Wang, WSDM 2018), without a user embedding."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.config import CaserConfig
from chordkit.backbones.layers import Backbone, ChannelLinear, Choices, choice_of, dropout


class Caser(Backbone):
    """Caser whose convolutions are Linears over unfolded windows, so that each filter is a channel of the strategy.

    Padding slots are zero vectors and windows over them count, in training and in inference alike. There is no user
    embedding: the history is all the model knows of a user, and no user id ever leaves the phone.
    """

    config: CaserConfig

    def __init__(self, config: CaserConfig) -> None:
        super().__init__()
        self.config = config
        self.window_context = config.max_length - 1
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.horizontal = nn.ModuleList(ChannelLinear(height * config.dim, config.filters) for height in config.heights)
        self.vertical = ChannelLinear(config.max_length, config.vertical_filters)
        self.fc = ChannelLinear(config.filters * len(config.heights) + config.vertical_filters * config.dim, config.dim)
        if config.item_bias:
            self.item_bias = nn.Parameter(torch.zeros(config.items + 1))

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, 1, dim] after the last item: Caser has one state per history, not one per slot."""
        return self.encode(history, choices).unsqueeze(1)

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

    def score(self, hidden: Tensor, candidates: Tensor) -> Tensor:
        """Scores [batch, C] of candidate ids, with the item bias when the configuration has one."""
        scores = super().score(hidden, candidates)
        return scores + functional.embedding(candidates, self.item_bias.unsqueeze(1)).squeeze(-1) if self.config.item_bias else scores

    def score_all(self, hidden: Tensor) -> Tensor:
        """Scores [..., items + 1] of the whole catalogue, with the item bias when the configuration has one."""
        return functional.linear(hidden, self.item_embedding.weight, self.item_bias if self.config.item_bias else None)

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
