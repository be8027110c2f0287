"""The layer that a strategy works on, and what its neighbours in a backbone need."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from chordkit.backbones.part import drawn_shape

Choices = Mapping[str, Tensor]

_VECTOR = 16


class ChannelLinear(nn.Linear):
    """A Linear whose output channels each take part in the strategy.

    With ``choice`` the layer runs in *choice mode*: every sample and channel has its own weights over a few widths, one-hot or none
    (a channel that is off). As the width of a channel scales nothing but that channel's output, per-sample weights are never built: one
    matmul a width, shared by the batch, and a mixture per sample and channel. The weights at the widths are roundings of ``weight``: their
    gradients go straight through to it (Bengio et al. 2013).
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
        # A state that all samples begin with may stand for all of them.
        samples = max(len(x), len(choice))
        x, choice = x.expand(samples, *x.shape[1:]), choice.expand(samples, -1, -1)
        mixed: Tensor = _Mixture.apply(x, self.weight, self.bias, self.width_weights, choice)
        return mixed


class _Mixture(torch.autograd.Function):
    """What choice mode computes, and its gradients.

    As the gradients of all widths are the weight's, one product has them all. Inside, a sample's rows stand outermost, so that a sample's
    choice meets them in long runs: one product a width, and mixtures at the speed of memory.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stacked: Tensor, choice: Tensor) -> Tensor:
        rows = x.reshape(len(x), -1, x.shape[-1]).transpose(0, 1).contiguous()
        shares, weights = choice.unbind(dim=2), stacked.split(len(weight))
        each = [functional.linear(rows, own) for own in weights]
        mixed = each[0] * shares[0]
        for product, share in zip(each[1:], shares[1:], strict=True):
            mixed.addcmul_(product, share)
        if bias is not None:
            mixed += bias
        ctx.save_for_backward(rows, *shares, *weights, *each)
        ctx.shape = x.shape
        return mixed.transpose(0, 1).reshape(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, *saved = ctx.saved_tensors
        widths = len(saved) // 3
        shares, weights, each = saved[:widths], saved[widths : 2 * widths], saved[2 * widths :]
        grad = grad.reshape(len(grad), -1, grad.shape[-1]).transpose(0, 1).contiguous()
        grad_x = grad_weight = grad_bias = grad_choice = None
        if ctx.needs_input_grad[0]:
            flat = (grad * shares[0]).flatten(0, 1) @ weights[0]
            for share, own in zip(shares[1:], weights[1:], strict=True):
                flat.addmm_((grad * share).flatten(0, 1), own)
            grad_x = flat.view(rows.shape).transpose(0, 1).reshape(ctx.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * sum(shares)).flatten(0, 1).T @ rows.flatten(0, 1)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=(0, 1))
        if ctx.needs_input_grad[4]:
            grad_choice = torch.stack([(grad * product).sum(dim=0) for product in each], dim=1).transpose(1, 2)
        return grad_x, grad_weight, grad_bias, None, grad_choice


def dropout(x: Tensor, probability: float) -> Tensor:
    """Dropout with the probability rounded to a multiple of 1/256: eight masks from one draw of 64 random bits.

    On a CPU the random numbers of torch's own dropout are a sixth of a training step. Where ``x`` is part of a batch
    (:meth:`chordkit.backbones.part.Part.drawing`), its rows get the masks that they have in the whole.
    """
    threshold = min(round(probability * 256), 255)
    shape, rows = drawn_shape(x.shape)
    drawn = math.prod(shape)
    words = torch.empty((drawn + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    # Compared as floating-point numbers, for comparisons of bytes are not vectorised.
    kept = words.view(torch.uint8)[:drawn].view(shape)[rows].to(x.dtype).ge_(threshold)
    return x * kept.mul_(256 / (256 - threshold))


def attention_weights(scores: Tensor) -> Tensor:
    """Softmax over the last axis, in training: torch's own works in vectors of 16, and is several times as slow on shorter rows."""
    weights: Tensor = _ShortSoftmax.apply(scores) if scores.shape[-1] < _VECTOR else torch.softmax(scores, dim=-1)
    return weights


class _ShortSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        weights = (scores - scores.amax(dim=-1, keepdim=True)).exp_()
        weights /= weights.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (weights,) = ctx.saved_tensors
        each = grad * weights
        return each.addcmul_(weights, each.sum(dim=-1, keepdim=True), value=-1.0)


def choice_of(choices: Choices | None, name: str) -> Tensor | None:
    """The choice tensor of one layer, or None outside choice mode."""
    return None if choices is None else choices[name]
