"""The layer that a strategy works on, and what its neighbours in a backbone need."""

import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.part import drawn_shape

Choices = Mapping[str, Tensor]


class ChannelLinear(nn.Linear):
    """A Linear whose output channels each take part in the strategy.

    With ``choice`` the layer runs in *choice mode*: every sample and channel has its own weights over a few widths, one-hot or none
    (a channel that is off). As the width of a channel scales nothing but that channel's output, per-sample weights are never built: one
    matmul a width, shared by the batch, and a mixture per sample and channel.
    """

    width_weights: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        # Not persistent: derived from the master, so a state_dict stays that of a plain Linear.
        self.register_buffer("width_weights", None, persistent=False)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Self:
        """The layer with these very parameters, ``weight`` [out, in] and ``bias`` [out] or None."""
        out_features, in_features = weight.shape
        with torch.device("meta"):  # no initial weights are drawn that nobody needs
            layer = cls(in_features, out_features, bias is not None)
        layer.weight, layer.bias = weight, bias  # type: ignore[assignment]
        return layer

    def attach_widths(self, weights: Sequence[Tensor]) -> None:
        """Set the weights that choice mode mixes, each [out, in], one a width, in the order of the choices."""
        stacked = torch.cat(list(weights))
        if stacked.shape != (len(weights) * self.out_features, self.in_features):
            raise ValueError(f"attach_widths: weights of {tuple(self.weight.shape)} are needed, got {tuple(stacked.shape)} stacked")
        self.width_weights = stacked

    def forward(self, x: Tensor, choice: Tensor | None = None) -> Tensor:
        """Apply the layer to ``x`` [batch, ..., in].

        Args:
            x: activations; the first axis is the sample when ``choice`` is given.
            choice: None for a plain Linear with ``weight``; otherwise [batch, out, widths], the weights over the attached widths.

        Returns:
            [batch, ..., out].
        """
        if choice is None:
            return functional.linear(x, self.weight, self.bias)
        if self.width_weights is None:
            raise RuntimeError("choice mode needs weights per width: call attach_widths first")
        weights = choice.transpose(1, 2)
        widths = weights.shape[1]
        each = functional.linear(x, self.width_weights).unflatten(-1, (widths, self.out_features))
        mixed = (each * weights.view(weights.shape[0], *[1] * (x.dim() - 2), widths, self.out_features)).sum(dim=-2)
        return mixed if self.bias is None else mixed + self.bias


def dropout(x: Tensor, probability: float) -> Tensor:
    """Dropout with the probability rounded to a multiple of 1/256: eight masks from one draw of 64 random bits.

    On a CPU the random numbers of torch's own dropout are a sixth of a training step. Where ``x`` is part of a batch
    (:meth:`chordkit.backbones.part.Part.drawing`), its rows get the masks that they have in the whole.
    """
    threshold = min(round(probability * 256), 255)
    shape, rows = drawn_shape(x.shape)
    drawn = math.prod(shape)
    words = torch.empty((drawn + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:drawn].view(shape)[rows] >= threshold
    return x * kept.to(x.dtype).mul_(256 / (256 - threshold))


def choice_of(choices: Choices | None, name: str) -> Tensor | None:
    """The choice tensor of one layer, or None outside choice mode."""
    return None if choices is None else choices[name]
