"""Stage 1 of CHORD: the profile, what the device computes from recent interactions and the cloud gets to see."""

import torch
from torch import Tensor
from torch.nn import functional

from chordkit.backbones import Backbone

# log(1 + items) of long and short histories then lies between 0 and about 2.
_COUNT_SCALE = 0.25


def profile_width(dim: int, pools: tuple[int, ...]) -> int:
    """Numbers in a profile."""
    return len(pools) * dim + 1


def pooled_profile(embedding: Tensor, histories: Tensor, pools: tuple[int, ...], dropout: float = 0.0) -> Tensor:
    """Mean item embeddings over the most recent items, one pool after the other, and how many items there are.

    Args:
        embedding: [items + 1, dim]; row 0 is padding. Never receives a gradient: the feature extractor learns from item
            embeddings as they are, and does not bend them to its needs.
        histories: integer [batch, length], left-padded with 0, any length; the last ``pools[-1]`` items count.
        pools: how many of the last items each pool covers, ascending.
        dropout: probability of hiding each item, from the global generator; 0 outside training.

    Returns:
        [batch, len(pools) * dim + 1]; a pool without any item is zero. The last column is log(1 + items) / 4.
    """
    recent = histories[:, -pools[-1] :]
    table = embedding.detach()
    present = (recent != 0).to(table.dtype)
    count = torch.log1p(present.sum(dim=1, keepdim=True)) * _COUNT_SCALE
    if dropout:
        present = present * (torch.rand_like(present) >= dropout)
    means = []
    for pool in pools:
        weights = present[:, -pool:]
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
        means.append(functional.embedding_bag(recent[:, -pool:], table, per_sample_weights=weights, mode="sum"))
    return torch.cat([*means, count], dim=1)


def directions(profile: Tensor) -> Tensor:
    """A profile [batch, width] as a network takes it: pooled embeddings start at 0.02 and grow in training; their direction tells users
    apart."""
    pooled, count = profile[:, :-1], profile[:, -1:]
    return torch.cat([functional.layer_norm(pooled, pooled.shape[1:]), count], dim=1)


def profile(backbone: Backbone, histories: Tensor, pools: tuple[int, ...] = (5, 25, 200)) -> Tensor:
    """The profile [batch, len(pools) * dim + 1] of every history, from the backbone's item embeddings."""
    return pooled_profile(backbone.item_embedding.weight, histories, pools)
