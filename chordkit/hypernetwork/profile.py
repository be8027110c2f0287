"""Stage 1 of CHORD: the profile, what the device computes from recent interactions and the cloud gets to see."""

import torch
from torch import Tensor

from chordkit.backbones import Backbone


def pooled_profile(embedding: Tensor, histories: Tensor, pools: tuple[int, ...], dropout: float = 0.0) -> Tensor:
    """Mean item embeddings over the most recent items, one pool after the other.

    Args:
        embedding: [items + 1, dim]; row 0 is padding. Never receives a gradient: the feature extractor learns from item
            embeddings as they are, and does not bend them to its needs.
        histories: integer [batch, length], left-padded with 0, any length.
        pools: how many of the last items each pool covers, ascending.
        dropout: probability of hiding each item, from the global generator; 0 outside training.

    Returns:
        [batch, len(pools) * dim]; a pool without any item is zero.
    """
    recent = histories[:, -pools[-1] :].long()
    present = (recent != 0).to(embedding.dtype)
    if dropout:
        present = present * (torch.rand_like(present) >= dropout)
    slots = torch.arange(recent.shape[1], 0, -1, device=recent.device)
    inside = torch.stack([(slots <= pool).to(embedding.dtype) for pool in pools])
    weights = present.unsqueeze(1) * inside
    weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=1.0)
    return torch.matmul(weights, embedding.detach()[recent]).flatten(1)


def profile(backbone: Backbone, histories: Tensor, pools: tuple[int, ...] = (5, 25, 50)) -> Tensor:
    """The profile [batch, len(pools) * dim] of every history: mean item embeddings of the last 5, 25 and 50 items."""
    return pooled_profile(backbone.item_embedding.weight, histories, pools)
