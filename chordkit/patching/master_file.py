"""A master file as a user of it sees it: checked once, then patched for one strategy after the other."""

import numpy as np

from chordkit.patching.table import PatchedLayer, PatchTable, read_table
from chordkit.quantization import QuantizedRows, select_codes
from chordkit.strategy import decode


class MasterFile:
    """An artifact that becomes any user's: the uniform int8 file of layout ``speed`` with its patch table.

    Args:
        data: the whole file; it must not change.

    Attributes:
        table: what is rewritten where.
        layers: int8 codes, scales and ratios of each layer, the scales as the content has them.

    Raises:
        PatchError: there is no patch table at its end, or the file is damaged.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.table: PatchTable
        self.table, size = read_table(data)
        self._content = bytes(memoryview(data)[:size])
        ends = np.cumsum([layer.rows for layer in self.table.layers]).tolist()
        self._channels = tuple(slice(end - layer.rows, end) for layer, end in zip(self.table.layers, ends, strict=True))
        self.layers = tuple(map(self._layer_rows, self.table.layers, self._channels))

    @property
    def fingerprint(self) -> bytes:
        """Of the master weights, and so of every strategy that fits, 8 bytes."""
        return self.table.fingerprint

    @property
    def channels(self) -> int:
        """Of the backbone, and so of every strategy that fits."""
        return self.table.channels

    @property
    def content(self) -> bytes:
        """The file without its table: every channel at 8 bits."""
        return self._content

    def patched(self, strategy: bytes | bytearray | memoryview) -> bytes:
        """The file of one user, byte for byte the one that the exporter writes for this strategy.

        Args:
            strategy: its wire form (``CHRD``), out of its envelope.

        Raises:
            StrategyError: it is malformed, or for another backbone.
        """
        widths = decode(strategy, fingerprint=self.fingerprint, channels=self.channels).widths
        result = bytearray(self._content)
        for layer, rows, channels in zip(self.table.layers, self.layers, self._channels, strict=True):
            chosen = widths[channels]
            codes, scales = select_codes(rows, chosen)
            scales[chosen == 0] = layer.off_scale
            _codes(result, layer.codes, layer.rows, layer.columns, layer.stride)[:] = codes
            result[layer.scales : layer.scales + 4 * layer.rows] = scales.astype("<f4", copy=False).tobytes()
        return bytes(result)

    def _layer_rows(self, layer: PatchedLayer, channels: slice) -> QuantizedRows:
        codes = _codes(self._content, layer.codes, layer.rows, layer.columns, layer.stride)
        own = np.frombuffer(self._content, "<f4", layer.rows, layer.scales)
        scales = np.concatenate([self.table.scales[:, channels], own[None]]).astype(np.float32)
        return QuantizedRows(codes, scales, self.table.ratios[:, channels].astype(np.int16))


def _codes(data: bytes | bytearray, offset: int, rows: int, columns: int, stride: int) -> np.ndarray:
    """The codes int8 ``[rows, columns]`` of a layer, in place."""
    return np.ndarray((rows, columns), np.int8, data, offset, (stride, 1))
