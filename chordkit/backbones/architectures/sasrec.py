"""SASRec: self-attention over the history (Kang and McAuley, ICDM 2018)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.architecture import Architecture
from chordkit.backbones.attention import MASKED
from chordkit.backbones.backbone import CausalBackbone
from chordkit.backbones.channel_order import ChannelOrder, order_within, reflected_order
from chordkit.backbones.config import BackboneConfig, later, training_only
from chordkit.backbones.layers import ChannelLinear, Choices, attention_weights, choice_of, dropout

SMALLEST_EPS, LARGEST_EPS = 1e-12, 1e4


@dataclass(frozen=True)
class SASRecConfig(BackboneConfig):
    """Configuration of SASRec.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history, the newest item in the last slot.
        dim: width of the embeddings and hidden states.
        blocks: number of attention + feed-forward blocks.
        heads: attention heads; must divide ``dim``.
        ffn_dim: hidden width of the feed-forward layers; ``None`` means ``dim``, as in the paper.
        activation: ``relu`` or ``gelu`` (the exact erf form).
        norm_first: True = pre-LN with a final norm; False = post-LN with a norm after the embeddings.
        norm_eps: epsilon of every LayerNorm.
        positions_from_oldest: False = a position belongs to a slot, the newest item always has the last one; True = row 0 of the positions
            is that of the oldest item in the window, as in frameworks that pad histories at their end (RecBole).
        dropout: probability, on embeddings, attention weights and both sub-layers; training only.
    """

    blocks: int = 2
    heads: int = 2
    ffn_dim: int | None = None
    activation: str = "relu"
    norm_first: bool = False
    norm_eps: float = 1e-5
    positions_from_oldest: bool = later(False)
    dropout: float = training_only(0.2)
    architecture: ClassVar[str] = "sasrec"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ffn_dim is None:
            object.__setattr__(self, "ffn_dim", self.dim)
        self.require_whole("blocks", "heads", "ffn_dim")
        self.require(self.dim % self.heads == 0, "heads", f"it must divide dim = {self.dim}")
        self.require_choice("activation", "relu", "gelu")
        self.require_flag("norm_first", "positions_from_oldest")
        self.require_positive("norm_eps")
        self.require(SMALLEST_EPS <= self.norm_eps <= LARGEST_EPS, "norm_eps", f"give a number of {SMALLEST_EPS:g} to {LARGEST_EPS:g}")
        self.require_probability("dropout")


class SASRecBlock(nn.Module):
    """One attention + feed-forward block; both are residual, normalised before (pre-LN) or after (post-LN)."""

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        assert config.ffn_dim is not None
        self.heads = config.heads
        self.gelu = config.activation == "gelu"
        self.norm_first = config.norm_first
        self.dropout = config.dropout
        self.query = ChannelLinear(config.dim, config.dim)
        self.key = ChannelLinear(config.dim, config.dim)
        self.value = ChannelLinear(config.dim, config.dim)
        self.output = ChannelLinear(config.dim, config.dim)
        self.ffn1 = ChannelLinear(config.dim, config.ffn_dim)
        self.ffn2 = ChannelLinear(config.ffn_dim, config.dim)
        self.attention_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.ffn_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def forward(self, x: Tensor, bias: Tensor, choices: Choices | None, prefix: str, last_only: bool = False) -> Tensor:
        """Run the block on ``x`` [batch, length, dim].

        Args:
            x: hidden states of all slots.
            bias: additive attention mask, broadcastable to [batch, heads, queries, length].
            choices: weights over widths by layer name, or None.
            prefix: module path of this block with a trailing dot, to look up ``choices``.
            last_only: compute queries, output and feed-forward for the last slot only; keys and values need all slots.

        Returns:
            [batch, length, dim], or [batch, 1, dim] with ``last_only``.
        """
        normed = self.attention_norm(x) if self.norm_first else x
        key = self._split(self.key(normed, choice_of(choices, prefix + "key")))
        value = self._split(self.value(normed, choice_of(choices, prefix + "value")))
        if last_only:
            final = x.shape[1] - 1
            x, normed = x[:, final : final + 1], normed[:, final : final + 1]
        query = self._split(self.query(normed, choice_of(choices, prefix + "query")))
        scores = torch.matmul(query, key.permute(0, 1, 3, 2)) * (1.0 / math.sqrt(query.shape[-1]))
        scores = scores + bias
        attention = self._drop(attention_weights(scores) if self.training else torch.softmax(scores, dim=-1))
        mixed = torch.matmul(attention, value).permute(0, 2, 1, 3).reshape(x.shape)
        x = x + self._drop(self.output(mixed, choice_of(choices, prefix + "output")))
        if not self.norm_first:
            x = self.attention_norm(x)
        inner = self.ffn1(self.ffn_norm(x) if self.norm_first else x, choice_of(choices, prefix + "ffn1"))
        inner = functional.gelu(inner) if self.gelu else functional.relu(inner)
        x = x + self._drop(self.ffn2(self._drop(inner), choice_of(choices, prefix + "ffn2")))
        return x if self.norm_first else self.ffn_norm(x)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        return x.view(batch, length, self.heads, dim // self.heads).permute(0, 2, 1, 3)

    def _drop(self, x: Tensor) -> Tensor:
        # A Python branch on a module attribute: an exported graph carries no dropout node at all.
        return dropout(x, self.dropout) if self.training and self.dropout else x


class SASRec(CausalBackbone):
    """SASRec with learned positions, by slot (the last item always sits in slot ``max_length - 1``) or from the oldest item on.

    Padding never reaches a real slot, however large the logits: id 0 is masked as a key everywhere. A history without any item has
    no meaning but gives finite scores.
    """

    config: SASRecConfig
    causal_bias: Tensor
    masked: Tensor
    unmasked: Tensor
    one: Tensor
    slots_after_row: Tensor

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        if not config.norm_first:
            self.embedding_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.blocks = nn.ModuleList(SASRecBlock(config) for _ in range(config.blocks))
        if config.norm_first:
            self.final_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        causal = torch.full((config.max_length, config.max_length), MASKED).triu(1)
        self.register_buffer("causal_bias", causal, persistent=False)
        self.register_buffer("masked", torch.tensor(MASKED), persistent=False)
        self.register_buffer("unmasked", torch.tensor(0.0), persistent=False)
        if config.positions_from_oldest:
            slots = torch.arange(config.max_length, dtype=torch.float32)
            self.register_buffer("one", torch.tensor(1.0), persistent=False)
            self.register_buffer("slots_after_row", slots[:, None] - slots, persistent=False)

    @property
    def counted_from_oldest(self) -> frozenset[str]:
        """The positions, if they count from there."""
        return frozenset({"position_embedding.weight"} if self.config.positions_from_oldest else ())

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden states [batch, max_length, dim] of all slots; those of padded slots mean nothing.

        A shorter history [batch, length] stands in the last slots: the same states as with padding before it, for less work.
        """
        return self.forward_personal(history, None, choices)

    def forward_personal(self, history: Tensor, user: Tensor | None, choices: Choices | None = None) -> Tensor:
        """Hidden states of all slots, with the user vector [batch, dim] added to every embedded slot after its LayerNorm."""
        x, key_bias = self._embed(history, user)
        bias = self._causal(key_bias)
        for index, block in enumerate(self.blocks):
            x = block(x, bias, choices, f"blocks.{index}.")
        return self.final_norm(x) if self.config.norm_first else x

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, dim] of the last slot: ``forward(...)[:, -1]`` with the last block for that slot only."""
        return self.encode_personal(history, None, choices)

    def encode_personal(self, history: Tensor, user: Tensor | None, choices: Choices | None = None) -> Tensor:
        """Hidden state of the last slot, with the user vector [batch, dim] added to every embedded slot after its LayerNorm."""
        x, key_bias = self._embed(history, user)
        final = len(self.blocks) - 1
        bias = self._causal(key_bias) if final else key_bias
        for index, block in enumerate(self.blocks):
            # The last slot may look at every slot before it: there the causal mask has nothing to add.
            x = block(x, key_bias if index == final else bias, choices, f"blocks.{index}.", last_only=index == final)
        x = x[:, 0]
        return self.final_norm(x) if self.config.norm_first else x

    def _embed(self, history: Tensor, user: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embedded history [batch, length, dim] and the padding's attention bias [batch, 1, 1, length]."""
        batch, length = history.shape
        x = self.item_embedding(history) + self._positions(history)
        if not self.config.norm_first:
            x = self.embedding_norm(x)
        if user is not None:
            x = x + user.unsqueeze(1)
        if self.training and self.config.dropout:
            x = dropout(x, self.config.dropout)
        return x, torch.where(history == 0, self.masked, self.unmasked).view(batch, 1, 1, length)

    def _positions(self, history: Tensor) -> Tensor:
        """Positions of the slots, [length, dim], or [batch, length, dim] counted from the oldest item."""
        length, whole = history.shape[1], history.shape[1] == self.config.max_length
        rows = self.position_embedding.weight
        if not self.config.positions_from_oldest:
            return rows if whole else rows[-length:]
        rows, distance = (rows, self.slots_after_row) if whole else (rows[:length], self.slots_after_row[:length, :length])
        # Slot s of a history with p padded slots has row s - p: as a product with ones and zeros, which is exact, since a graph of static
        # shapes cannot cut at a number that depends on the history.
        padded = torch.where(history == 0, self.one, self.unmasked).sum(dim=1).view(-1, 1, 1)
        return torch.matmul(torch.relu(self.one - torch.abs(distance - padded)), rows)

    def _causal(self, key_bias: Tensor) -> Tensor:
        """Attention bias [batch, 1, length, length] that hides padding and the future."""
        length = key_bias.shape[-1]
        return key_bias + (self.causal_bias if length == self.config.max_length else self.causal_bias[:length, :length])


def reorder_channels(order: ChannelOrder) -> None:
    """Sort the channels of every head, of every feed-forward layer, and of the residual stream."""
    heads, blocks = order.number("heads"), [f"blocks.{index}." for index in range(order.number("blocks"))]
    for block in blocks:
        chosen = order_within(heads, order.keys([block + "key", block + "query"]))
        order.rows(block + "query", chosen)
        order.rows(block + "key", chosen)
        for writer, reader, parts in (("value", "output", heads), ("ffn1", "ffn2", 1)):
            chosen = order_within(parts, order.keys([block + writer]))
            order.rows(block + writer, chosen)
            order.columns(block + reader, chosen)
    # The first blocks work on every slot, the last one on a single slot: the first get the fewest runs.
    stream = reflected_order(order.keys([block + name for block in blocks for name in ("output", "ffn2")]))
    for block in blocks:
        for name in ("query", "key", "value", "ffn1"):
            order.columns(block + name, stream)
        for name in ("output", "ffn2"):
            order.rows(block + name, stream)
    for name in order.embeddings:
        order.table(name, stream)
    for name in order.tensors:
        if name.endswith("norm.weight"):
            order.norm(name.removesuffix(".weight"), stream)


ARCHITECTURE = Architecture(
    title="SASRec",
    config=SASRecConfig,
    model=SASRec,
    examples=(
        SASRecConfig(items=40, max_length=12, dim=32, blocks=2, heads=2),
        SASRecConfig(items=40, max_length=12, dim=32, blocks=3, heads=1, ffn_dim=64, activation="gelu", norm_first=True, norm_eps=1e-8),
        SASRecConfig(items=40, max_length=12, dim=32, blocks=1, heads=4, ffn_dim=128, positions_from_oldest=True),
    ),
    accuracy="test NDCG@10 0.0656 on ml-100k, full ranking, mean of three seeds (docs/training.md)",
    demo_epochs=14,
    channel_order=reorder_channels,
)
