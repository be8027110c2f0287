"""GRU4Rec: a gated recurrent unit over the history (Hidasi et al., ICLR 2016; full cross-entropy as in RecBole)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from chordkit.backbones.architecture import Architecture
from chordkit.backbones.backbone import CausalBackbone
from chordkit.backbones.channel_order import ChannelOrder, reflected_order
from chordkit.backbones.config import BackboneConfig, training_only
from chordkit.backbones.layers import ChannelLinear, Choices, choice_of, dropout


@dataclass(frozen=True)
class GRU4RecConfig(BackboneConfig):
    """Configuration of GRU4Rec.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history, the newest item in the last slot.
        dim: width of the embeddings and of the state that scores.
        hidden: units of the recurrent layer.
        dropout: probability, on the embeddings; training only.
    """

    hidden: int = 128
    dropout: float = training_only(0.3)
    architecture: ClassVar[str] = "gru4rec"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_whole("hidden")
        self.require_probability("dropout")


class GRU4Rec(CausalBackbone):
    """One GRU layer, with the arithmetic and the weights of ``torch.nn.GRU``, and a dense layer back to the embeddings' width.

    Its two matrices are layers of the strategy: ``input`` is nn.GRU's ``weight_ih_l0`` and ``recurrent`` its ``weight_hh_l0``, so that
    a channel is one gate (reset, update, new, in this order) of one hidden unit. The recurrence is unrolled over the slots; all that
    does not depend on the state is computed for all slots at once before it.

    A padded slot leaves the state at exactly zero, where it starts.
    """

    config: GRU4RecConfig
    start: Tensor
    real: Tensor
    padded: Tensor

    def __init__(self, config: GRU4RecConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.input = ChannelLinear(config.dim, 3 * config.hidden)
        self.recurrent = ChannelLinear(config.hidden, 3 * config.hidden)
        self.dense = ChannelLinear(config.hidden, config.dim)
        self.register_buffer("start", torch.zeros(1, config.hidden), persistent=False)
        self.register_buffer("real", torch.tensor(1.0), persistent=False)
        self.register_buffer("padded", torch.tensor(0.0), persistent=False)

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden states [batch, length, dim] of all slots; those of padded slots mean nothing.

        A shorter history [batch, length] stands in the last slots: the same states as with padding before it, for less work.
        """
        return self.dense(torch.stack(self._states(history, choices), dim=1), choice_of(choices, "dense"))

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, dim] of the last slot: ``forward(...)[:, -1]`` with the dense layer for that slot only."""
        return self.dense(self._states(history, choices)[-1], choice_of(choices, "dense"))

    def _states(self, history: Tensor, choices: Choices | None) -> list[Tensor]:
        """The recurrent layer's state [batch, hidden] after each slot."""
        x = self.item_embedding(history)
        if self.training and self.config.dropout:
            x = dropout(x, self.config.dropout)
        hidden, choice = self.config.hidden, choice_of(choices, "recurrent")
        gates, new = self.input(x, choice_of(choices, "input")).split((2 * hidden, hidden), dim=2)
        mask = torch.where(history == 0, self.padded, self.real).unsqueeze(2)
        state, states = self.start, []
        for slot_gates, slot_new, slot_mask in zip(gates.unbind(1), new.unbind(1), mask.unbind(1), strict=True):
            recurrent_gates, recurrent_new = self.recurrent(state, choice).split((2 * hidden, hidden), dim=1)
            reset, update = torch.sigmoid(slot_gates + recurrent_gates).chunk(2, dim=1)
            candidate = torch.tanh(slot_new + reset * recurrent_new)
            state = (candidate + update * (state - candidate)) * slot_mask
            states.append(state)
        return states


def reorder_channels(order: ChannelOrder) -> None:
    """Sort the hidden units, each with its three gates, and the hidden state that scores."""
    hidden = order.number("hidden")
    # The recurrent layer runs once per slot, the input layer once: the first gets the fewest runs.
    chosen = reflected_order([gate for key in order.keys(["recurrent", "input"]) for gate in key.reshape(3, hidden)])
    gates = np.concatenate([gate * hidden + chosen for gate in range(3)])
    for name in ("input", "recurrent"):
        order.rows(name, gates)
    for name in ("recurrent", "dense"):
        order.columns(name, chosen)
    stream = reflected_order(order.keys(["dense"]))
    order.rows("dense", stream)
    order.columns("input", stream)
    for name in order.embeddings:
        order.table(name, stream)


ARCHITECTURE = Architecture(
    title="GRU4Rec",
    config=GRU4RecConfig,
    model=GRU4Rec,
    examples=(
        GRU4RecConfig(items=40, max_length=6, dim=32, hidden=48),
        GRU4RecConfig(items=40, max_length=5, dim=32, hidden=32),
    ),
    accuracy="test NDCG@10 0.0706 on ml-100k, full ranking, mean of three seeds (docs/training.md)",
    training={"batch": 1024, "stride": 50, "averaging": 0.995, "patience": 10},
    demo_epochs=30,
    channel_order=reorder_channels,
)
