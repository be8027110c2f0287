"""SASRec as pmixer/SASRec.pytorch computes it: for checkpoints that were trained there (docs/your-model.md)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.architecture import Architecture
from chordkit.backbones.attention import MASKED
from chordkit.backbones.backbone import CausalBackbone
from chordkit.backbones.config import BackboneConfig, training_only
from chordkit.backbones.layers import ChannelLinear, Choices, choice_of, dropout

_EPS = 1e-8


@dataclass(frozen=True)
class PmixerConfig(BackboneConfig):
    """Configuration of a SASRec of pmixer/SASRec.pytorch.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history, the newest item in the last slot.
        dim: width of the embeddings, the hidden states and the feed-forward layers.
        blocks: number of attention + feed-forward blocks.
        heads: attention heads; must divide ``dim``.
        variant: which of its versions. ``masked``: queries alone are normalised, and padded slots set to zero before and after every block;
            ``query``: the same without that; ``before``, ``after``: norms before (``--norm_first``) or after attention and feed-forward.
        dropout: probability, on embeddings, attention weights and both sub-layers; training only.
    """

    blocks: int = 2
    heads: int = 1
    variant: str = "after"
    dropout: float = training_only(0.2)
    architecture: ClassVar[str] = "pmixer"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_whole("blocks", "heads")
        self.require(self.dim % self.heads == 0, "heads", f"it must divide dim = {self.dim}")
        self.require_choice("variant", "masked", "query", "before", "after")
        self.require_probability("dropout")


class PmixerBlock(nn.Module):
    """One attention + feed-forward block."""

    def __init__(self, config: PmixerConfig) -> None:
        super().__init__()
        self.heads, self.variant, self.dropout = config.heads, config.variant, config.dropout
        for name in ("query", "key", "value", "output", "ffn1", "ffn2"):
            self.add_module(name, ChannelLinear(config.dim, config.dim))
        self.attention_norm = nn.LayerNorm(config.dim, eps=_EPS)
        self.ffn_norm = nn.LayerNorm(config.dim, eps=_EPS)

    def forward(self, x: Tensor, bias: Tensor | None, real: Tensor, choices: Choices | None, prefix: str) -> Tensor:
        """Run the block on ``x`` [batch, max_length, dim].

        Args:
            x: hidden states of all slots, padded ones too: they are attended to.
            bias: attention bias that hides the future; None = the last slot alone is wanted, from which nothing is hidden.
            real: 1 for an item, 0 for padding [batch, max_length, 1].
            choices: weights over widths by layer name, or None.
            prefix: module path of this block with a trailing dot, to look up ``choices``.

        Returns:
            [batch, max_length, dim], or [batch, 1, dim] without ``bias``.
        """
        source = self.attention_norm(x) if self.variant == "before" else x
        key, value = (self._split(self._layer(name, source, choices, prefix)) for name in ("key", "value"))
        x = x if bias is not None else _last(x)
        # Of one slot what is normalised may as well be normalised again: less than to keep it for all of them.
        asked = x if self.variant == "after" else self.attention_norm(x)
        query = self._split(self._layer("query", asked, choices, prefix))
        scores = torch.matmul(query, key.permute(0, 1, 3, 2)) * (1.0 / math.sqrt(query.shape[-1]))
        attention = self._drop(torch.softmax(scores if bias is None else scores + bias, dim=-1))
        mixed = torch.matmul(attention, value).permute(0, 2, 1, 3).reshape(x.shape)
        attended = self._layer("output", mixed, choices, prefix)
        if self.variant == "before":
            x = x + attended
            return x + self._feed_forward(self.ffn_norm(x), choices, prefix)
        if self.variant == "after":
            x = self.attention_norm(x + attended)
            return self.ffn_norm(x + self._feed_forward(x, choices, prefix))
        x = self.ffn_norm(asked + attended)
        x = x + self._feed_forward(x, choices, prefix)
        return x if self.variant == "query" else x * (real if bias is not None else _last(real))

    def _feed_forward(self, x: Tensor, choices: Choices | None, prefix: str) -> Tensor:
        inner = functional.relu(self._drop(self._layer("ffn1", x, choices, prefix)))
        return self._drop(self._layer("ffn2", inner, choices, prefix))

    def _layer(self, name: str, x: Tensor, choices: Choices | None, prefix: str) -> Tensor:
        out: Tensor = getattr(self, name)(x, choice_of(choices, prefix + name))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        return x.view(batch, length, self.heads, dim // self.heads).permute(0, 2, 1, 3)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout) if self.training and self.dropout else x


def _last(x: Tensor) -> Tensor:
    """The last slot of ``x`` [batch, length, ...], [batch, 1, ...]."""
    return x[:, x.shape[1] - 1 :]


class Pmixer(CausalBackbone):
    """SASRec with what pmixer/SASRec.pytorch does otherwise.

    Item embeddings are multiplied by the square root of their width, there is a norm at the end in every variant, and padded slots are
    attended to like all others: a state depends on how many there are. What such a slot holds is ``padding``, zero where both padding rows
    of the checkpoint are.
    """

    config: PmixerConfig
    padding: Tensor
    causal_bias: Tensor
    one: Tensor
    zero: Tensor

    def __init__(self, config: PmixerConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.register_buffer("padding", torch.zeros(config.dim))
        self.blocks = nn.ModuleList(PmixerBlock(config) for _ in range(config.blocks))
        self.final_norm = nn.LayerNorm(config.dim, eps=_EPS)
        self.register_buffer("causal_bias", torch.full((config.max_length, config.max_length), MASKED).triu(1), persistent=False)
        self.register_buffer("one", torch.tensor(1.0), persistent=False)
        self.register_buffer("zero", torch.tensor(0.0), persistent=False)

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden states [batch, length, dim] of all slots of ``history`` [batch, length]; a shorter one is padded to ``max_length``."""
        length = history.shape[1]
        x, real = self._embed(functional.pad(history, (self.config.max_length - length, 0)))
        for index, block in enumerate(self.blocks):
            x = block(x, self.causal_bias, real, choices, f"blocks.{index}.")
        states: Tensor = self.final_norm(x[:, -length:])
        return states

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, dim] of the last slot: ``forward(...)[:, -1]`` with the last block for that slot only."""
        length = history.shape[1]
        if length != self.config.max_length:
            history = functional.pad(history, (self.config.max_length - length, 0))
        x, real = self._embed(history)
        for index, block in enumerate(self.blocks):
            bias = self.causal_bias if index + 1 < len(self.blocks) else None
            x = block(x, bias, real, choices, f"blocks.{index}.")
        hidden: Tensor = self.final_norm(x[:, 0])
        return hidden

    def _embed(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded slots [batch, max_length, dim], and 1 for an item, 0 for padding [batch, max_length, 1]."""
        real = torch.where(history == 0, self.zero, self.one).unsqueeze(2)
        x = self.item_embedding(history) * math.sqrt(self.config.dim) + self.position_embedding.weight
        x = x * real + self.padding * (self.one - real)
        if self.training and self.config.dropout:
            x = dropout(x, self.config.dropout)
        return x, real


ARCHITECTURE = Architecture(
    title="SASRec of pmixer/SASRec.pytorch",
    config=PmixerConfig,
    model=Pmixer,
    examples=(
        PmixerConfig(items=40, max_length=6, dim=32, blocks=1, heads=1, variant="after"),
        PmixerConfig(items=40, max_length=6, dim=32, blocks=2, heads=2, variant="masked"),
    ),
    accuracy="that of the checkpoint that it is imported from",
)
