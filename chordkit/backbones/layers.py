"""The layer that a strategy works on, and what its neighbours in a backbone need."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

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

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Self:
        """The layer with these very parameters, ``weight`` [out, in] and ``bias`` [out] or None."""
        out_features, in_features = weight.shape
        with torch.device("meta"):  # no initial weights are drawn that nobody needs
            layer = cls(in_features, out_features, bias is not None)
        layer.weight, layer.bias = weight, bias  # type: ignore[assignment]
        return layer

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
