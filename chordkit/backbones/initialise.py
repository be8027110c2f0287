"""Initial weights of a backbone: for training from scratch, or frozen random ones as in CHORD."""

import math

import torch
from torch import Tensor, nn

from chordkit.backbones.backbone import Backbone

DISTRIBUTIONS = ("student_t", "xavier", "normal")
_STUDENT_DEGREES = 3
_EMBEDDING_STD = 0.02


def _draw(shape: torch.Size, distribution: str, generator: torch.Generator) -> Tensor:
    """Weights [out, in] with the variance of Xavier initialisation, 2 / (in + out), whatever the distribution."""
    std = math.sqrt(2.0 / (shape[0] + shape[1]))
    normal = torch.randn(shape, generator=generator)
    if distribution == "student_t":
        # t = normal / sqrt(chi2 / degrees); its variance is degrees / (degrees - 2).
        chi2 = torch.randn((_STUDENT_DEGREES, *shape), generator=generator).square().sum(dim=0)
        return normal * torch.rsqrt(chi2 / _STUDENT_DEGREES) * (std / math.sqrt(_STUDENT_DEGREES / (_STUDENT_DEGREES - 2)))
    if distribution == "xavier":
        bound = math.sqrt(3.0) * std
        return torch.rand(shape, generator=generator) * (2.0 * bound) - bound
    return normal * std


@torch.no_grad()
def initialise(backbone: Backbone, init: str = "trained", *, distribution: str = "student_t", seed: int = 0) -> Backbone:
    """Give ``backbone`` fresh weights that depend on ``seed`` alone, in place.

    Args:
        backbone: the model to initialise.
        init: ``trained`` = a starting point for training (Xavier-uniform channel layers); ``random`` = CHORD's frozen
            random backbone, channel layers drawn from ``distribution``. Embeddings, LayerNorms and biases start the
            same way in both: N(0, 0.02), ones, zeros.
        distribution: of the random channel layers: ``student_t`` (3 degrees of freedom: heavy tails make the widths of a
            channel differ, which is what a strategy works with), ``xavier`` or ``normal``; all with equal variance.
        seed: of a generator of its own; the global one is not touched.

    Returns:
        ``backbone`` itself.

    Raises:
        ValueError: unknown ``init`` or ``distribution``.
    """
    if init not in ("trained", "random"):
        raise ValueError(f"init = {init!r}: use trained or random")
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution = {distribution!r}: use one of {', '.join(DISTRIBUTIONS)}")
    generator = torch.Generator().manual_seed(seed)
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            module.weight.copy_(_draw(module.weight.shape, distribution if init == "random" else "xavier", generator))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * _EMBEDDING_STD)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
    return backbone


def freeze_channel_layers(backbone: Backbone) -> list[nn.Parameter]:
    """Freeze the weights (not the biases) of all channel layers; return the parameters that still train."""
    for layer in backbone.channel_layers().values():
        layer.weight.requires_grad_(False)
    return [parameter for parameter in backbone.parameters() if parameter.requires_grad]
