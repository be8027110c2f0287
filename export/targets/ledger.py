"""Where the bytes of a finished artifact go, told from the file itself, and what it would take at the least."""

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from chordkit.errors import InputError
from chordkit.quantization import packed_row_bytes

if TYPE_CHECKING:
    from chordkit.quantization import MasterWeights


class Kind(StrEnum):
    """What a byte of an artifact is for."""

    GRAPH = "graph"  # operators, tensors, names, padding
    WEIGHTS_2 = "weights, 2 bits"
    WEIGHTS_4 = "weights, 4 bits"
    WEIGHTS_8 = "weights, 8 bits"
    WEIGHTS_32 = "weights, float32"
    SCALES = "scales"
    ZERO_POINTS = "zero-points"
    ORDERS = "orders"
    EMBEDDINGS = "embeddings"
    POSITIONS = "positions"
    CONSTANTS = "other constants"


_KINDS = list(Kind)


def weights_of(bits: int) -> Kind:
    """The kind of weights of so many bits."""
    return Kind.WEIGHTS_32 if bits == 32 else Kind(f"weights, {bits} bits")


class Ledger:
    """Which byte of a file is for what; bytes that nobody claims are :attr:`Kind.GRAPH`, so that the sum is always the file's length.

    Args:
        size: bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._kinds = np.zeros(size, np.uint8)

    def claim(self, start: int, size: int, kind: Kind) -> None:
        """Say what ``size`` bytes from ``start`` on are for; what another has claimed before stays its own.

        Raises:
            InputError: they are not all in the file.
        """
        if not 0 <= start <= start + size <= len(self._kinds):
            raise InputError("the artifact is damaged: a part of it lies outside of the file; export it again")
        part = self._kinds[start : start + size]
        part[part == 0] = _KINDS.index(kind)

    def totals(self) -> dict[Kind, int]:
        """Bytes of each kind that the file has."""
        counts = np.bincount(self._kinds, minlength=len(_KINDS)).tolist()
        return {kind: count for kind, count in zip(_KINDS, counts, strict=True) if count}


def ideal_bytes(master: "MasterWeights", widths: np.ndarray | None) -> dict[Kind, int]:
    """What a model takes with every weight at its width, a float32 scale a channel and a row, tables at their bits, all else float32.

    A layer has all its inputs here; a file that leaves out channels that are off, and the inputs that read them, may take less.

    Args:
        master: the master weights.
        widths: bits of each channel; None = float32 throughout, without scales.
    """
    totals = dict.fromkeys(_KINDS, 0)
    for name, layer in master.layers.items():
        channels, inputs = layer.rows.codes.shape
        if widths is None:
            totals[Kind.WEIGHTS_32] += 4 * channels * inputs
        else:
            totals[Kind.SCALES] += 4 * channels
            for width, count in zip(*np.unique(widths[master.channel_table.layer_slice(name)], return_counts=True), strict=True):
                if width:
                    totals[weights_of(int(width))] += int(count) * packed_row_bytes(inputs, int(width))
        if layer.bias is not None:
            totals[Kind.CONSTANTS] += 4 * channels
    for name, table in master.embeddings.items():
        rows, columns = table.codes.shape
        row = 4 * columns if widths is None else packed_row_bytes(columns, table.bits) + 4
        totals[Kind.EMBEDDINGS if name == "item_embedding" else Kind.POSITIONS] += rows * row
    totals[Kind.CONSTANTS] += sum(4 * tensor.size for tensor in master.tensors.values())
    return {kind: total for kind, total in totals.items() if total}
