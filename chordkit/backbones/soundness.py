"""Weights that nothing can be made of, refused at every door through which weights come in or go out."""

from collections.abc import Mapping

import torch
from torch import Tensor

from chordkit.errors import InputError


def require_finite(state: Mapping[str, Tensor], error: type[InputError], where: str) -> None:
    """Refuse NaN and infinity; ``where`` begins the sentence.

    Raises:
        InputError: of the class ``error``; names the tensor.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise error(
                f"{where}: {name!r} holds NaN or infinity: where it is a weight, train again with a lower learning rate; "
                "where it is a mask, keep it out of the state (register_buffer(..., persistent=False))"
            )


def require_sound(state: Mapping[str, Tensor], error: type[InputError], where: str) -> None:
    """Refuse a backbone's state dict with NaN or infinity, or a padding row that is not the zero vector that every target takes it for.

    Raises:
        InputError: of the class ``error``; names the tensor.
    """
    require_finite(state, error, where)
    table = state.get("item_embedding.weight")
    if table is not None and bool(table[0].any()):
        raise error(
            f"{where}: row 0 of 'item_embedding', the padding's, is not zero, as it must be: train with padding_idx=0, "
            "or zero it (with torch.no_grad(): backbone.item_embedding.weight[0] = 0)"
        )
