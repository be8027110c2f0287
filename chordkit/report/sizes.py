"""What a strategy saves in bytes, from the layers and tables of a master as they are, at its own catalogue and at others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chordkit.quantization import MasterWeights, QuantizedTable, packed_row_bytes
from chordkit.report.model import CatalogueSizes, SizeLine, Sizes
from chordkit.strategy import average_bits, payload_bytes

CATALOGUES = (15_000, 100_000)
"""Catalogues that a shop may have, shown beside the own one."""
_ITEMS = "item_embedding"


def strategy_sizes(master: MasterWeights, widths: NDArray[np.uint8], catalogues: Sequence[int] = CATALOGUES) -> Sizes:
    """Bytes of the model at ``widths`` uint8 [channels], and of what could be stored in its place."""
    table = master.embeddings[_ITEMS]
    own = [_at(master, widths, master.items, own=True)]
    return Sizes(
        average_bits=float(average_bits(widths, master.channel_table)),
        dim=master.dim,
        table_bits=table.bits,
        catalogues=own + [_at(master, widths, items, own=False) for items in catalogues if items != master.items],
    )


def _at(master: MasterWeights, widths: NDArray[np.uint8], items: int, *, own: bool) -> CatalogueSizes:
    table = master.channel_table
    rest = sum(layer.bias.nbytes for layer in master.layers.values() if layer.bias is not None)
    rest += sum(tensor.nbytes for tensor in master.tensors.values())
    others = sum(_table_bytes(each, len(each.codes), each.bits) for name, each in master.embeddings.items() if name != _ITEMS)
    floats = 4 * sum(each.codes.size for name, each in master.embeddings.items() if name != _ITEMS)
    item_table = master.embeddings[_ITEMS]
    rows = items + 1

    def layers(each: NDArray[np.uint8]) -> int:
        return payload_bytes(each, table) + 4 * int((each > 0).sum())

    def line(name: str, layer_bytes: int, bits: int) -> SizeLine:
        return SizeLine(name=name, layers=layer_bytes, tables=others + _table_bytes(item_table, rows, bits), rest=rest)

    everywhere = layers(np.full(table.channels, 8, np.uint8))
    weights = sum(int(layer.rows.codes.size) for layer in master.layers.values())
    fp32 = SizeLine(name="FP32", layers=4 * weights, tables=floats + 4 * rows * master.dim, rest=rest)
    return CatalogueSizes(
        items=items,
        own=own,
        fp32=fp32,
        int8=line("int8 everywhere", everywhere, item_table.bits),
        strategy=line("a strategy", layers(widths), item_table.bits),
        int8_small_tables=line("int8, and the item table in int4", everywhere, 4),
        strategy_small_tables=line("a strategy, and the item table in int4", layers(widths), 4),
    )


def _table_bytes(table: QuantizedTable, rows: int, bits: int) -> int:
    """Of ``rows`` rows of a table: packed codes and an fp32 scale each."""
    return rows * (packed_row_bytes(int(table.codes.shape[1]), bits) + 4)
