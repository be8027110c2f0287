"""Between a torch backbone and its master weights (contract 1: int8 per channel, int4 and int2 derived)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from chordkit.backbones.backbone import Backbone
from chordkit.backbones.config import config_to_dict
from chordkit.backbones.registry import build, config_from_dict
from chordkit.errors import MasterError
from chordkit.quantization import (
    WIDTHS,
    MasterLayer,
    MasterWeights,
    ScalePolicy,
    dequantize_rows,
    quantize_rows,
    quantize_table,
)


def make_master(backbone: Backbone, policy: ScalePolicy = ScalePolicy.MSE, embedding_bits: int = 8) -> MasterWeights:
    """Quantise a backbone into the master weights that are shipped once and never change.

    Args:
        backbone: the frozen model.
        policy: how int4 and int2 scales are chosen; a property of the master, not of any strategy.
        embedding_bits: 8 or 4, width of the row-wise embedding tables.

    Raises:
        MasterError: one tensor has two names in the backbone, or one of whole numbers does not fit float32.
    """
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
    for name in backbone.channel_layers():
        bias = arrays.pop(f"{name}.bias", None)
        layers[name] = MasterLayer(quantize_rows(arrays.pop(f"{name}.weight"), policy), bias)
    embeddings = {}
    for name, module in backbone.named_modules():
        if isinstance(module, torch.nn.Embedding):
            embeddings[name] = quantize_table(arrays.pop(f"{name}.weight"), embedding_bits)
    config: dict[str, Any] = config_to_dict(backbone.config, training=False)
    return MasterWeights(config=config, layers=layers, embeddings=embeddings, tensors=arrays)


def from_master(master: MasterWeights, widths: np.ndarray | None = None) -> Backbone:
    """The reference model: the backbone with exactly the master's dequantised weights, fp32, in eval mode.

    Args:
        master: the master weights.
        widths: uint8 [channels], a strategy's widths in {0, 2, 4, 8}; None = int8 everywhere.

    Raises:
        MasterError: the tensors do not fit the configuration that the master carries.
    """
    backbone = build(config_from_dict(master.config))
    if list(backbone.channel_layers()) != list(master.layers):
        raise MasterError(
            f"master weights: the layers {list(master.layers)} are not those of the {backbone.config.architecture} configuration "
            "they carry: make the master again from its backbone"
        )
    state = {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in master.state_dict(widths).items()}
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise MasterError(f"master weights: the tensors do not fit the configuration they carry, make the master again: {detail}") from None
    return backbone.eval()


def attach_widths(backbone: Backbone, master: MasterWeights, widths: Sequence[int] = WIDTHS) -> Backbone:
    """Prepare choice mode: give every channel layer the master's frozen weights at each of ``widths``; return ``backbone``."""
    for name, layer in backbone.channel_layers().items():
        rows = master.layers[name].rows
        each = [dequantize_rows(rows, np.full(layer.out_features, width, dtype=np.uint8)) for width in widths]
        layer.attach_widths([torch.from_numpy(np.asarray(weight, dtype=np.float32)).to(layer.weight) for weight in each])
    return backbone
