"""What a sequential recommender offers to training, quantisation and export."""

import abc

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.config import BackboneConfig
from chordkit.backbones.layers import ChannelLinear, Choices


class Backbone(nn.Module, abc.ABC):
    """A model that knows one thing of a user: the hidden state after the last item of a history.

    Histories are [batch, max_length] integer ids, left-padded with 0, the newest item in the last slot; row 0 of ``item_embedding``
    is the zero vector and stays so. An item's score is the inner product of the hidden state with its embedding, plus its bias where
    the model has an ``item_bias`` [items + 1]: that is what training optimises and what is exported.

    A subclass makes ``item_embedding`` and :meth:`encode`; all else has a default here. A model that gets the states of all slots in
    one pass is a :class:`CausalBackbone`.
    """

    config: BackboneConfig
    item_embedding: nn.Embedding
    item_bias: nn.Parameter | None

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.register_parameter("item_bias", None)

    @property
    def counted_from_oldest(self) -> frozenset[str]:
        """Names of tensors whose rows belong to the oldest item, the next one, and so on, not to slots; a short window keeps the first."""
        return frozenset()

    @property
    def window_context(self) -> int:
        """Leading slots of a training window that are context only, see :meth:`window_states`; 0 = every slot has a state."""
        return self.config.max_length - 1

    def channel_layers(self) -> dict[str, ChannelLinear]:
        """The layers of the strategy by module path; the order is that of the channel table."""
        return {name: module for name, module in self.named_modules() if isinstance(module, ChannelLinear)}

    @abc.abstractmethod
    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Inference graph: the hidden state after the last item, [batch, dim], with no work for any other position.

        Args:
            history: [batch, max_length].
            choices: weights over widths [batch, out, 3] by layer name, for :class:`ChannelLinear`; None = plain layers.
        """

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Training graph: hidden states [batch, positions, dim], the last of which is :meth:`encode`'s."""
        return self.encode(history, choices).unsqueeze(1)

    def encode_personal(self, history: Tensor, user: Tensor | None, choices: Choices | None = None) -> Tensor:
        """:meth:`encode` with a user vector [batch, dim] as a second input; zeros change nothing, and None is none.

        By default it is added to the hidden state, so that it tilts the scores of all items, as Caser's user embedding does.
        """
        hidden = self.encode(history, choices)
        return hidden if user is None else hidden + user

    def forward_personal(self, history: Tensor, user: Tensor | None, choices: Choices | None = None) -> Tensor:
        """The training graph of :meth:`encode_personal`: hidden states [batch, positions, dim]."""
        states: Tensor = self(history, choices)
        return states if user is None else states + user.unsqueeze(1)

    def window_states(self, window: Tensor) -> Tensor:
        """Hidden states for training on many targets at once: [batch, positions, dim], one after each of the last ``positions`` slots.

        Args:
            window: [batch, window_context + positions]; state p is that of the history ``window[:, p : p + max_length]``.
        """
        histories = window.unfold(1, self.config.max_length, 1)
        return self.encode(histories.flatten(0, 1)).unflatten(0, histories.shape[:2])

    def score(self, hidden: Tensor, candidates: Tensor) -> Tensor:
        """Scores [batch, C] of candidate ids [batch, C] (1..items) given ``hidden`` [batch, dim]."""
        scores = torch.matmul(self.item_embedding(candidates), hidden.unsqueeze(-1)).squeeze(-1)
        return scores if self.item_bias is None else scores + functional.embedding(candidates, self.item_bias.unsqueeze(1)).squeeze(-1)

    def score_all(self, hidden: Tensor) -> Tensor:
        """Scores [..., items + 1] of the whole catalogue; column 0 belongs to the padding id and means nothing."""
        return functional.linear(hidden, self.item_embedding.weight, self.item_bias)


class CausalBackbone(Backbone):
    """A backbone with a state in every slot that knows nothing of later slots, nor of padding.

    A subclass makes ``item_embedding`` and :meth:`forward`; :meth:`encode` is its last state until the subclass computes that with less.
    """

    @property
    def window_context(self) -> int:
        """None: a training window of up to ``max_length`` slots has a state in each."""
        return 0

    @abc.abstractmethod
    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden states [batch, length, dim] of all slots; those of padded slots mean nothing.

        A shorter history [batch, length] stands in the last slots: the same states as with padding before it, for less work.
        """

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Hidden state [batch, dim] of the last slot."""
        return self(history, choices)[:, history.shape[1] - 1]

    def window_states(self, window: Tensor) -> Tensor:
        """Hidden states [batch, positions, dim] of all slots of ``window`` [batch, positions], at most ``max_length`` of them."""
        states: Tensor = self(window)
        return states
