"""Stages 2 and 3 of CHORD: from a profile to the importance of every channel."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.errors import StrategyError
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.quantization import ChannelTable, MasterWeights, dequantize_rows, dequantize_table


class Hypernetwork(nn.Module):
    """CHORD's cloud model: profile -> element-, filter- and layer-level importance -> one importance per channel.

    For a user with profile p and hidden features h = gelu(W p), and a frozen layer with weights M [out, in]:

    * filter level: f = F h, one value per output channel;
    * element level: E = sum_r u_r v_r^T over ``rank`` pairs u = U h [out], v = V h [in], never built: its effect on a filter is
      e = mean over ``in`` of |M| * E = sum_r u_r * (|M| v_r), which rebuilds the filter's importance as f + e;
    * f + e is standardised per channel over the users, so that only what differs between users is left of it, and what
      all users share is one learned offset per channel;
    * layer level: the result is weighted by 2 * sigmoid(l h), one value per layer.

    The paper (arXiv 2510.03038) names these levels; the low rank, the standardisation, the offset and the layer's scale
    are this project's.
    """

    mean: Tensor
    deviation: Tensor
    item_embedding: Tensor
    layer_of: Tensor

    def __init__(self, master: MasterWeights, options: HypernetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.table: ChannelTable = master.channel_table
        self.fingerprint = master.fingerprint
        inputs = [layer.in_features for layer in self.table.layers]
        channels, rank = self.table.channels, options.rank
        self._inputs = inputs
        dim = next(iter(_item_embedding(master).shape[1:]))
        self.offset = nn.Parameter(torch.zeros(channels))
        if options.personal:
            self.features = nn.Linear(len(options.pools) * dim, options.hidden)
            self.filters = nn.Linear(options.hidden, channels)
            self.rows = nn.Linear(options.hidden, rank * channels)
            self.columns = nn.Linear(options.hidden, rank * sum(inputs))
            self.layers = nn.Linear(options.hidden, len(inputs))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("item_embedding", torch.zeros(0), persistent=False)
        owner = np.repeat(np.arange(len(inputs)), [layer.out_channels for layer in self.table.layers])
        self.register_buffer("layer_of", torch.from_numpy(owner), persistent=False)
        # Frozen and rebuilt from the master: a hypernetwork on disk carries nothing of the backbone but its fingerprint.
        for index, layer in enumerate(self.table.layers):
            rows = master.layers[layer.name].rows
            weight = np.abs(dequantize_rows(rows, np.full(layer.out_channels, 8, np.uint8)))
            weight = weight / (max(float(weight.mean()), 1e-12) * math.sqrt(layer.in_features))
            self.register_buffer(f"magnitude{index}", torch.from_numpy(weight.astype(np.float32)), persistent=False)
        self.bind(master)

    def bind(self, master: MasterWeights) -> None:
        """Take item embeddings and fingerprint from ``master``, whose channel layers must be those this was built for."""
        if master.channel_table != self.table:
            raise StrategyError("hypernetwork: its channel table is not that of these master weights: give the backbone it was trained for")
        self.item_embedding = torch.from_numpy(np.array(_item_embedding(master), dtype=np.float32)).to(self.offset.device)
        self.fingerprint = master.fingerprint

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> "Hypernetwork":
        """Fresh weights from ``generator``, in place."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) / math.sqrt(module.in_features))
                module.bias.zero_()
        # Ties between channels would all break towards low channel numbers: a small noise instead.
        self.offset.copy_(0.1 * torch.randn(self.offset.shape, generator=generator))
        return self

    def profile(self, histories: Tensor) -> Tensor:
        """The profile [batch, pools * dim] from the embeddings the device has: the master's, dequantised."""
        return pooled_profile(self.item_embedding, histories, self.options.pools)

    def importance(self, profile: Tensor) -> Tensor:
        """The importance [batch, channels] of every channel for users with ``profile`` [batch, pools * dim].

        In training mode f + e is standardised over the batch, otherwise over the users that :meth:`calibrate` saw.
        """
        if not self.options.personal:
            return self.offset.expand(len(profile), -1)
        hidden = self._hidden(profile)
        levels = self._rebuilt_filters(hidden)
        if self.training:
            mean, deviation = _moments(levels)
        else:
            mean, deviation = self.mean, self.deviation
        scale = 2.0 * torch.sigmoid(self.layers(hidden))
        return scale.index_select(1, self.layer_of) * ((levels - mean) / deviation + self.offset)

    @torch.no_grad()
    def calibrate(self, profiles: Tensor) -> None:
        """Fix the standardisation to the population of ``profiles`` [users, pools * dim], for use outside training."""
        if self.options.personal:
            mean, deviation = _moments(self._rebuilt_filters(self._hidden(profiles)))
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)

    def _hidden(self, profile: Tensor) -> Tensor:
        # Item embeddings start at 0.02 and grow in training; the direction is what tells users apart.
        normed = functional.layer_norm(profile, profile.shape[1:])
        return functional.gelu(self.features(normed))

    def _rebuilt_filters(self, hidden: Tensor) -> Tensor:
        """Filter-level plus element-level importance [batch, channels], before standardisation."""
        batch, rank = len(hidden), self.options.rank
        rows = self.rows(hidden).view(batch, rank, self.table.channels)
        columns = self.columns(hidden).view(batch, rank, -1).split(self._inputs, dim=2)
        products = [functional.linear(v, getattr(self, f"magnitude{index}")) for index, v in enumerate(columns)]
        return self.filters(hidden) + (rows * torch.cat(products, dim=2)).sum(dim=1)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [channels] over the batch; a channel that is the same for all users stays at 0."""
    variance, mean = torch.var_mean(values, dim=0, correction=0)
    return mean, torch.sqrt(variance + 1e-5)


def _item_embedding(master: MasterWeights) -> np.ndarray:
    return dequantize_table(master.embeddings["item_embedding"])
