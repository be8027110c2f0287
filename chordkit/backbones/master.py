"""Between a torch backbone and its master weights (contract 1: int8 per channel, int4 and int2 derived)."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from chordkit.backbones.backbone import Backbone
from chordkit.backbones.config import config_to_dict
from chordkit.backbones.outline import require_outline
from chordkit.backbones.registry import build, config_from_dict
from chordkit.backbones.soundness import require_sound
from chordkit.errors import MasterError, MasterWarning
from chordkit.quantization import (
    ENGINE_ARCHITECTURES,
    WIDTHS,
    MasterLayer,
    MasterWeights,
    QuantizedTable,
    ScalePolicy,
    dequantize_rows,
    dequantize_table,
    engine_refusal,
    quantize_rows,
    quantize_table,
)

_LARGEST_SHARE = 10.0
"""From here on the items' shared mean is told: int8 rounding then takes 2.8 % of what tells items apart, instead of 0.6 % without a mean
(64 normal numbers an item; 23 % at 100 times)."""


def make_master(backbone: Backbone, policy: ScalePolicy = ScalePolicy.MSE, embedding_bits: int = 8) -> MasterWeights:
    """Quantise a backbone into the master weights that are shipped once and never change.

    Gives a MasterWarning where the native engine knows the architecture and will not run this master, and where the items' embeddings share
    so large a part that rounding takes much of what tells them apart.

    Args:
        backbone: the frozen model.
        policy: how int4 and int2 scales are chosen; a property of the master, not of any strategy.
        embedding_bits: 8 or 4, width of the row-wise embedding tables.

    Raises:
        MasterError: a weight is NaN or infinite, or the padding's row is not zero; one tensor has two names in the backbone, or one of
            whole numbers does not fit float32.
    """
    require_sound(backbone.state_dict(), MasterError, "master weights")
    names: dict[int, str] = {}
    for name, tensor in backbone.state_dict(keep_vars=True).items():
        if names.setdefault(id(tensor), name) != name:
            raise MasterError(
                f"master weights: {names[id(tensor)]!r} and {name!r} are one tensor, which cannot have the widths of both: "
                "give it one name in the backbone, or a tensor to each"
            )
        if not tensor.is_floating_point() and not torch.equal(tensor.to(torch.float32).to(tensor.dtype), tensor):
            raise MasterError(
                f"master weights: {name!r} has whole numbers beyond 2**24, which float32 does not hold: keep it out of the state "
                "(register_buffer(..., persistent=False))"
            )
    arrays = {name: tensor.detach().cpu().numpy().astype(np.float32) for name, tensor in backbone.state_dict().items()}
    layers = {}
    items = arrays["item_embedding.weight"]
    for name in backbone.channel_layers():
        bias = arrays.pop(f"{name}.bias", None)
        layers[name] = MasterLayer(quantize_rows(arrays.pop(f"{name}.weight"), policy), bias)
    embeddings = {}
    for name, module in backbone.named_modules():
        if isinstance(module, torch.nn.Embedding):
            embeddings[name] = quantize_table(arrays.pop(f"{name}.weight"), embedding_bits)
    config: dict[str, Any] = config_to_dict(backbone.config, training=False)
    master = MasterWeights(config=config, layers=layers, embeddings=embeddings, tensors=arrays)
    refusal = engine_refusal(master) if config["architecture"] in ENGINE_ARCHITECTURES else None
    for remark in (refusal, _shared_part(items, embeddings["item_embedding"])):
        if remark is not None:
            warnings.warn(f"master weights: {remark}", MasterWarning, stacklevel=2)
    return master


def _shared_part(items: np.ndarray, table: QuantizedTable) -> str | None:
    """What rounding takes from items [items + 1, dim] that share a large part, as a sentence; None where they do not.

    A row's scale follows its largest number, whatever of that is common to all rows, and tells no item from another.
    """
    own = items[1:].astype(np.float64)
    shared = own.mean(0)
    own -= shared
    spread = np.sqrt((own**2).sum(1).mean())
    ratio = np.linalg.norm(shared) / spread if spread else 0.0
    if ratio < _LARGEST_SHARE:
        return None
    lost = dequantize_table(table)[1:].astype(np.float64) - shared - own
    lost -= lost.mean(0)
    share = np.sqrt((lost**2).sum(1).mean()) / spread
    return (
        f"the item embeddings share a mean {ratio:.0f} times as long as what tells the items apart, "
        f"of which rounding to {table.bits} bits takes {share:.1%}: train with weight decay on the embeddings, "
        "or subtract the mean where the model allows it"
    )


def from_master(master: MasterWeights, widths: np.ndarray | None = None) -> Backbone:
    """The reference model: the backbone with exactly the master's dequantised weights, fp32, in eval mode.

    Args:
        master: the master weights.
        widths: uint8 [channels], a strategy's widths in {0, 2, 4, 8}; None = int8 everywhere.

    Raises:
        MasterError: the tensors do not fit the configuration that the master carries, or the padding's row is not zero.
    """
    config = config_from_dict(master.config)
    state = {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in master.state_dict(widths).items()}
    require_sound(state, MasterError, "master weights")
    try:
        require_outline(lambda: build(config), state)
    except RuntimeError as error:
        raise MasterError(f"master weights: the tensors do not fit the configuration they carry, make the master again: {error}") from None
    backbone = build(config)
    if list(backbone.channel_layers()) != list(master.layers):
        raise MasterError(
            f"master weights: the layers {list(master.layers)} are not in the order of the {config.architecture} configuration "
            "they carry: make the master again from its backbone"
        )
    backbone.load_state_dict(state)
    return backbone.eval()


def attach_widths(backbone: Backbone, master: MasterWeights, widths: Sequence[int] = WIDTHS) -> Backbone:
    """Prepare choice mode: give every channel layer the master's frozen weights at each of ``widths``; return ``backbone``."""
    for name, layer in backbone.channel_layers().items():
        rows = master.layers[name].rows
        each = [dequantize_rows(rows, np.full(layer.out_features, width, dtype=np.uint8)) for width in widths]
        layer.attach_widths([torch.from_numpy(np.asarray(weight, dtype=np.float32)).to(layer.weight) for weight in each])
    return backbone
