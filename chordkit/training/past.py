"""What stood before places of training sequences that lie one after the other in one flat tensor."""

import torch
from torch import Tensor


def histories_before(flat: Tensor, begins: Tensor, places: Tensor, length: int) -> Tensor:
    """[places, length], of the type of ``flat``: the last items before each place, left-padded with 0; int64 ``begins`` [places] is where
    its user begins."""
    wanted = places.unsqueeze(1) + torch.arange(-length, 0)
    return torch.where(wanted >= begins.unsqueeze(1), flat[wanted.clamp(min=0)], 0)


def seen_before(flat: Tensor, begins: Tensor, places: Tensor) -> Tensor:
    """What a user had seen before each place, the item at the place itself left out.

    Returns:
        int64 [2, n]: the number of the place, ascending, and an item.
    """
    targets, lengths = flat[places].long(), places - begins
    number = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    within = torch.arange(int(lengths.sum())) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
    items = flat[begins[number] + within].long()
    other = items != targets[number]
    return torch.stack([number[other], items[other]])
