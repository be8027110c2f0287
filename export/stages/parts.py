"""What a model consists of, part by part: tables, layers, other tensors; and the same model with some of them changed."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch

from chordkit.backbones import Backbone
from chordkit.export.targets import Source
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows, QuantizedTable, quantize_table

_INT8, _INT4 = 127, 7


def part_names(source: Source) -> list[str]:
    """The parts in the order in which they are looked at: tables, the strategy's layers, all else."""
    if isinstance(source, tuple):
        master = source[0]
        return [*master.embeddings, *master.layers, *master.tensors]
    layers = list(source.channel_layers())
    owners = dict.fromkeys(_owner(name, layers) for name in source.state_dict())
    tables = [name for name, module in source.named_modules() if isinstance(module, torch.nn.Embedding)]
    return [*tables, *layers, *(name for name in owners if name not in {*tables, *layers})]


def altered(source: Source, parts: Collection[str]) -> Source:
    """The same model with other numbers in ``parts``, every one of them as far as that can be: what of its file changes is theirs.

    Tensors whose numbers are all the same are left: a file may hold them once for several parts.
    """
    if isinstance(source, tuple):
        return _altered_master(source[0], parts), source[1]
    backbone = copy.deepcopy(source)
    layers = list(backbone.channel_layers())
    with torch.no_grad():
        for name, tensor in backbone.state_dict().items():
            if _owner(name, layers) in parts and tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(_other_floats(tensor.numpy())))
    return backbone


def first_difference(backbone: Backbone, master: MasterWeights) -> str | None:
    """The first part of ``master`` that is not the float model's at 8 bits (a table at its own width), or None."""
    state = {name: tensor.detach().cpu().numpy().astype(np.float32) for name, tensor in backbone.state_dict().items()}
    for name, table in master.embeddings.items():
        if not _same_table(table, state.get(f"{name}.weight")):
            return name
    for name, layer in master.layers.items():
        as_table = QuantizedTable(layer.rows.codes, layer.rows.scales[2])
        if not _same_table(as_table, state.get(f"{name}.weight")) or not _equal(layer.bias, state.get(f"{name}.bias")):
            return name
    return next((name for name, tensor in master.tensors.items() if not _equal(tensor, state.get(name))), None)


def _same_table(table: QuantizedTable, weight: np.ndarray | None) -> bool:
    if weight is None or weight.shape != table.codes.shape:
        return False
    right = quantize_table(weight, table.bits)
    return np.array_equal(right.codes, table.codes) and np.allclose(right.scales, table.scales, rtol=1e-6)


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return (one is None and other is None) or (one is not None and other is not None and np.array_equal(one, other))


def _owner(tensor: str, layers: Sequence[str]) -> str:
    """The part that an entry of a state dictionary belongs to: its layer or table, else itself."""
    module, _, field = tensor.rpartition(".")
    return module if module in layers or (field == "weight" and module.endswith("embedding")) else tensor


def _altered_master(master: MasterWeights, parts: Collection[str]) -> MasterWeights:
    layers = {name: _other_layer(layer) if name in parts else layer for name, layer in master.layers.items()}
    tables = {name: _other_table(table) if name in parts else table for name, table in master.embeddings.items()}
    tensors = {name: _other_floats(tensor) if name in parts else tensor for name, tensor in master.tensors.items()}
    return replace(master, layers=layers, embeddings=tables, tensors=tensors)


def _other_layer(layer: MasterLayer) -> MasterLayer:
    rows = layer.rows
    changed = QuantizedRows(_other_codes(rows.codes, _INT8), rows.scales * np.float32(1.5), rows.ratios)
    return MasterLayer(changed, None if layer.bias is None else _other_floats(layer.bias))


def _other_table(table: QuantizedTable) -> QuantizedTable:
    codes = _other_codes(table.codes, _INT8 if table.bits == 8 else _INT4)
    codes[0] = table.codes[0]  # the padding's row is zero
    return QuantizedTable(codes, table.scales * np.float32(1.5), table.bits)


def _other_codes(codes: np.ndarray, most: int) -> np.ndarray:
    """Each code half the grid away, so that those of fewer bits that follow from it are others as well."""
    wide = codes.astype(np.int16)
    return np.where(wide > 0, wide - most, wide + most).astype(np.int8)


def _other_floats(values: np.ndarray) -> np.ndarray:
    if np.ptp(values) == 0:
        return values
    return (np.float32(-1.7) * values + np.float32(0.3) * np.std(values, dtype=np.float32)).astype(np.float32)
