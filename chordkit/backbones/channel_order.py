"""The order of channels, which no output depends on, and the freedom to change it.

Hidden channels have no order of their own: permuting the rows of one layer and the columns of its readers gives the same model. An
architecture's rule uses every such freedom so that the channels that a strategy gives one width stand together, in few contiguous runs:

* the two sides of an inner product (query and key of a head) share an order, so do a layer and its only reader (value and output of a
  head, ffn1 and ffn2, Caser's filters and fc);
* the residual stream has one order for all that is added to it, that looks it up (embedding columns) or normalises it.

Several layers that share an order are sorted by a reflected code: layer by layer, each next one alternating between rising and falling,
so that the k-th of them falls into at most ``groups**k`` runs and neighbours merge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows
from chordkit.quantization.master import ConfigValue


class ChannelOrder:
    """A master under reordering; every method permutes one side of one tensor, and a rule calls those that cancel out.

    An *order* is a permutation: position ``j`` of the new order holds what stood at ``order[j]``.

    Attributes:
        config: the flat configuration of the backbone.
        layers: the strategy's layers as reordered so far, by name in channel order.
        embeddings: the embedding tables, likewise.
        tensors: all other tensors, likewise.
        widths: uint8 ``[channels of the layer]`` by layer, moved along with its rows.
        hidden: order ``[dim]`` of the hidden state, which is that of the item table's columns: a score is their inner product.
    """

    def __init__(self, master: MasterWeights, widths: np.ndarray, group_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Begin with the order of ``master``.

        Args:
            master: the master weights; they stay as they are.
            widths: uint8 ``[channels]`` in {0, 2, 4, 8}.
            group_of: maps widths to group numbers; the channels of one group are to stand together.
        """
        table = master.channel_table
        self.config: Mapping[str, ConfigValue] = master.config
        self.layers = dict(master.layers)
        self.embeddings = dict(master.embeddings)
        self.tensors = dict(master.tensors)
        self.widths = {layer.name: widths[table.layer_slice(layer.name)] for layer in table.layers}
        self.hidden = np.arange(master.dim)
        self._master, self._group_of = master, group_of

    def number(self, field: str) -> int:
        """The whole number in ``field`` of the configuration."""
        value = self.config[field]
        assert isinstance(value, int)
        return value

    def keys(self, names: Sequence[str]) -> list[np.ndarray]:
        """Group numbers ``[channels]`` of each of the layers ``names``, what :func:`reflected_order` sorts by."""
        return [np.asarray(self._group_of(self.widths[name])) for name in names]

    def rows(self, name: str, order: np.ndarray) -> None:
        """Permute the output channels of the layer ``name``, its bias and widths with them."""
        layer = self.layers[name]
        rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
        self.layers[name] = MasterLayer(rows, None if layer.bias is None else layer.bias[order])
        self.widths[name] = self.widths[name][order]

    def columns(self, name: str, order: np.ndarray) -> None:
        """Permute the input features of the layer ``name``."""
        layer = self.layers[name]
        self.layers[name] = replace(layer, rows=replace(layer.rows, codes=layer.rows.codes[:, order]))

    def table(self, name: str, order: np.ndarray) -> None:
        """Permute the columns of the embedding table ``name``."""
        self.embeddings[name] = replace(self.embeddings[name], codes=self.embeddings[name].codes[:, order])
        if name == "item_embedding":
            self.hidden = self.hidden[order]

    def norm(self, name: str, order: np.ndarray) -> None:
        """Permute weight and bias of the LayerNorm ``name``."""
        for part in ("weight", "bias"):
            self.tensors[f"{name}.{part}"] = self.tensors[f"{name}.{part}"][order]

    def result(self) -> tuple[MasterWeights, np.ndarray]:
        """The master in its new order, and its widths uint8 ``[channels]``."""
        master = replace(self._master, layers=self.layers, embeddings=self.embeddings, tensors=self.tensors)
        return master, np.concatenate(list(self.widths.values())).astype(np.uint8)


def reflected_order(keys: Sequence[np.ndarray], falling: bool = False) -> np.ndarray:
    """A permutation that sorts channels by several keys at once with few runs in each.

    Args:
        keys: one array ``[channels]`` per layer that shares the order, the one that should have the fewest runs first.
        falling: begin with the highest group of the first key.

    Returns:
        ``order [channels]``: position ``j`` of the new order holds channel ``order[j]``. Stable among equal channels.
    """

    def sort(channels: np.ndarray, depth: int, falling: bool) -> list[np.ndarray]:
        if depth == len(keys):
            return [channels]
        values = np.unique(keys[depth][channels])
        parts: list[np.ndarray] = []
        for block, value in enumerate(values[::-1] if falling else values):
            # Each block is left in the direction opposite to how it was entered: the border keeps the deeper keys.
            parts += sort(channels[keys[depth][channels] == value], depth + 1, bool(block % 2) != falling)
        return parts

    if not keys:
        raise ValueError("reflected_order: give at least one key")
    return np.concatenate(sort(np.arange(keys[0].size), 0, falling))


def order_within(parts: int, keys: Sequence[np.ndarray]) -> np.ndarray:
    """A :func:`reflected_order` that keeps every channel in its part (its head); every other part is sorted backwards, so that
    neighbours merge.

    Args:
        parts: equal parts that the channels fall into.
        keys: as for :func:`reflected_order`.
    """
    split = [key.reshape(parts, -1) for key in keys]
    size = split[0].shape[1]
    return np.concatenate([part * size + reflected_order([key[part] for key in split], part % 2 == 1) for part in range(parts)])
