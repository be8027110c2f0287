"""Stages 2 and 3 of CHORD: from a profile to the importance of every channel."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.errors import StrategyError
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.profile import directions, pooled_profile, profile_width
from chordkit.quantization import ChannelTable, MasterWeights, dequantize_rows, dequantize_table


class Hypernetwork(nn.Module):
    """CHORD's cloud model: profile -> element-, filter- and layer-level importance -> one importance per channel.

    For a user with profile p and hidden features h = gelu(W p), and a frozen layer with weights M [out, in]:

    * filter level: f = F h, one value per output channel;
    * element level: E = sum_r u_r v_r^T over ``rank`` pairs u = U h [out], v = V h [in], never built: its effect on a filter is
      e = mean over ``in`` of |M| * E = sum_r u_r * (|M| v_r), which rebuilds the filter's importance as f + e;
    * f + e is standardised per channel over the users, so that only what differs between users is left of it, and what
      all users share is one learned offset per channel; one that serves many budgets adds to the offset a slope along log2(bits);
    * layer level: the result is weighted by 2 * sigmoid(l h), one value per layer.

    Beside the importance it can make a *user vector*, a second input of the model, from the same profile.

    The paper (arXiv 2510.03038) names the three levels; the low rank, the standardisation, the offset, the layer's scale, the budget as an
    input and the user vector are this project's.
    """

    mean: Tensor
    deviation: Tensor
    item_embedding: Tensor
    layer_of: Tensor

    def __init__(self, master: MasterWeights, options: HypernetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.table: ChannelTable = master.channel_table
        inputs = [layer.in_features for layer in self.table.layers]
        channels, rank = self.table.channels, options.rank
        self._inputs = inputs
        dim = int(_item_embedding(master).shape[1])
        width = profile_width(dim, options.pools)
        self._personal = options.personal and options.quantised
        self.offset = nn.Parameter(torch.zeros(channels))
        if options.budgets is not None:
            self.slope = nn.Parameter(torch.zeros(channels))
        if self._personal:
            self.features = nn.Linear(width, options.hidden)
            if "filter" not in options.without:
                self.filters = nn.Linear(options.hidden, channels)
            if "element" not in options.without:
                self.rows = nn.Linear(options.hidden, rank * channels)
                self.columns = nn.Linear(options.hidden, rank * sum(inputs))
            if "layer" not in options.without:
                self.layers = nn.Linear(options.hidden, len(inputs))
        if options.user_vector:
            self.vector_features = nn.Linear(width, options.hidden)
            self.vector = nn.Linear(options.hidden, dim)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("item_embedding", torch.zeros(0), persistent=False)
        owner = np.repeat(np.arange(len(inputs)), [layer.out_channels for layer in self.table.layers])
        self.register_buffer("layer_of", torch.from_numpy(owner), persistent=False)
        # Frozen and rebuilt from the master: a hypernetwork on disk carries nothing of the backbone but its fingerprint.
        for index, layer in enumerate(self.table.layers if self._personal and "element" not in options.without else ()):
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
        if self.options.user_vector:
            # Everybody starts without a vector, at the backbone as it was.
            self.vector.weight.zero_()
        # Ties between channels would all break towards low channel numbers: a small noise instead.
        self.offset.copy_(0.1 * torch.randn(self.offset.shape, generator=generator))
        return self

    def profile(self, histories: Tensor) -> Tensor:
        """The profile [batch, pools * dim + 1] from the embeddings the device has: the master's, dequantised."""
        return pooled_profile(self.item_embedding, histories, self.options.pools)

    def importance(self, profile: Tensor, bits: float | Tensor | None = None) -> Tensor:
        """The importance [batch, channels] of every channel for users with ``profile`` [batch, pools * dim + 1].

        In training mode f + e is standardised over the batch, otherwise over the users that :meth:`calibrate` saw.

        Args:
            profile: of the users.
            bits: the budget's average bits, one or [batch, 1], for one that serves many; None = what it was trained around.
        """
        shared = self.offset.expand(len(profile), -1)
        if self.options.budgets is not None:
            shared = shared + self.slope * self._doublings(self.options.average_bits if bits is None else bits)
        if not self._personal:
            return shared
        hidden = self._hidden(profile)
        levels = self._rebuilt_filters(hidden)
        if self.training:
            mean, deviation = _moments(levels)
        else:
            mean, deviation = self.mean, self.deviation
        importance = (levels - mean) / deviation + shared
        if "layer" in self.options.without:
            return importance
        scale = 2.0 * torch.sigmoid(self.layers(hidden))
        return scale.index_select(1, self.layer_of) * importance

    def user_vector(self, profile: Tensor) -> Tensor:
        """The user vector [batch, dim] of users with ``profile``, before it is rounded to int8."""
        vector: Tensor = self.vector(self._drop(functional.gelu(self.vector_features(directions(profile)))))
        return vector

    def _doublings(self, bits: float | Tensor) -> Tensor:
        """How far a budget is from the one trained around, in doublings."""
        given = torch.as_tensor(bits, dtype=self.offset.dtype, device=self.offset.device)
        return torch.log2(given / self.options.average_bits)

    @torch.no_grad()
    def calibrate(self, profiles: Tensor) -> None:
        """Fix the standardisation to the population of ``profiles`` [users, pools * dim + 1], for use outside training."""
        if self._personal:
            mean, deviation = _moments(self._rebuilt_filters(self._hidden(profiles)))
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)

    def _hidden(self, profile: Tensor) -> Tensor:
        return self._drop(functional.gelu(self.features(directions(profile))))

    def _drop(self, features: Tensor) -> Tensor:
        return functional.dropout(features, self.options.feature_dropout, self.training)

    def _rebuilt_filters(self, hidden: Tensor) -> Tensor:
        """Filter-level plus element-level importance [batch, channels], before standardisation."""
        without = self.options.without
        if "element" in without:
            filters: Tensor = self.filters(hidden)
            return filters
        batch, rank = len(hidden), self.options.rank
        rows = self.rows(hidden).view(batch, rank, self.table.channels)
        columns = self.columns(hidden).view(batch, rank, -1).split(self._inputs, dim=2)
        products = [functional.linear(v, getattr(self, f"magnitude{index}")) for index, v in enumerate(columns)]
        elements: Tensor = (rows * torch.cat(products, dim=2)).sum(dim=1)
        return elements if "filter" in without else self.filters(hidden) + elements


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [channels] over the batch; a channel that is the same for all users stays at 0."""
    mean = values.mean(dim=0)
    # Two passes: along the first axis torch's own var_mean is ten times as slow.
    variance = (values - mean).square().mean(dim=0)
    return mean, torch.sqrt(variance + 1e-5)


def _item_embedding(master: MasterWeights) -> np.ndarray:
    return dequantize_table(master.embeddings["item_embedding"])
