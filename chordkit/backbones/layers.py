"""The layer that a strategy works on, and the interface that both backbones share."""

import abc
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.config import BackboneConfig

Choices = Mapping[str, Tensor]


class ChannelLinear(nn.Linear):
    """A Linear whose output channels each take part in the strategy.

    With ``choice`` the layer runs in *choice mode*: every sample and channel has its own convex (or one-hot) weights
    over the widths 2, 4 and 8. As the width of a channel scales nothing but that channel's output, per-sample weights
    are never built: three matmuls shared by the batch are mixed per sample and channel.
    """

    width_weights: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        # Not persistent: derived from the master, so a state_dict stays that of a plain Linear.
        self.register_buffer("width_weights", None, persistent=False)

    def attach_widths(self, int2: Tensor, int4: Tensor, int8: Tensor) -> None:
        """Freeze the dequantised weights (each [out, in]) that choice mode mixes, in the order of WIDTHS."""
        stacked = torch.cat([int2, int4, int8]).to(self.weight)
        if stacked.shape != (3 * self.out_features, self.in_features):
            raise ValueError(f"attach_widths: expected three weights of {tuple(self.weight.shape)}, got {tuple(stacked.shape)} stacked")
        self.width_weights = stacked

    def forward(self, x: Tensor, choice: Tensor | None = None) -> Tensor:
        """Apply the layer to ``x`` [batch, ..., in].

        Args:
            x: activations; the first axis is the sample when ``choice`` is given.
            choice: None for a plain Linear with ``weight``; otherwise [batch, out, 3], the weights over widths 2, 4, 8.

        Returns:
            [batch, ..., out].
        """
        if choice is None:
            return functional.linear(x, self.weight, self.bias)
        if self.width_weights is None:
            raise RuntimeError("choice mode needs frozen weights per width: call attach_widths first")
        each = functional.linear(x, self.width_weights).unflatten(-1, (3, self.out_features))
        weights = choice.transpose(1, 2)
        mixed = (each * weights.view(weights.shape[0], *[1] * (x.dim() - 2), 3, self.out_features)).sum(dim=-2)
        return mixed if self.bias is None else mixed + self.bias


def dropout(x: Tensor, probability: float) -> Tensor:
    """Dropout with the probability rounded to a multiple of 1/256: eight masks from one draw of 64 random bits.

    On a CPU the random numbers of torch's own dropout are a sixth of a training step.
    """
    threshold = min(round(probability * 256), 255)
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return x * kept.to(x.dtype).mul_(256 / (256 - threshold))


def choice_of(choices: Choices | None, name: str) -> Tensor | None:
    """The choice tensor of one layer, or None outside choice mode."""
    return None if choices is None else choices[name]


class Backbone(nn.Module, abc.ABC):
    """What a sequential recommender offers to training, quantisation and export.

    Histories are [batch, max_length] integer ids, left-padded with 0, the newest item in the last slot.
    """

    config: BackboneConfig
    item_embedding: nn.Embedding
    # Leading slots of a training window that are context only, see window_states().
    window_context: int = 0

    def channel_layers(self) -> dict[str, ChannelLinear]:
        """The layers of the strategy by module path; the order is that of the channel table."""
        return {name: module for name, module in self.named_modules() if isinstance(module, ChannelLinear)}

    @abc.abstractmethod
    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Training graph: hidden states [batch, positions, dim]; ``choices`` maps layer names to [batch, out, 3]."""

    @abc.abstractmethod
    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """Inference graph: the hidden state after the last item, [batch, dim], with no work for any other position."""

    def window_states(self, window: Tensor) -> Tensor:
        """Hidden states for training on many targets at once.

        ``window`` is [batch, window_context + positions]; the result [batch, positions, dim] is what the model knows after
        each of the last ``positions`` slots. SASRec needs no context and exactly ``max_length`` positions.
        """
        return self(window)

    def score(self, hidden: Tensor, candidates: Tensor) -> Tensor:
        """Scores [batch, C] of candidate ids [batch, C] (1..items) given ``hidden`` [batch, dim]."""
        return torch.matmul(self.item_embedding(candidates), hidden.unsqueeze(-1)).squeeze(-1)

    def score_all(self, hidden: Tensor) -> Tensor:
        """Scores [..., items + 1] of the whole catalogue; column 0 belongs to the padding id and means nothing."""
        return functional.linear(hidden, self.item_embedding.weight)
