"""The patch table ("CHRT") at the end of a master file: where codes and scales stand, and what other widths need (docs/patching.md)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from chordkit.errors import PatchError

MAGIC, VERSION = b"CHRT", 1
MOST_GAP = 16
"""Bytes that a container may need between the content and the table."""
_HEADER = struct.Struct("<4sBBH8sIII")
_LAYER = np.dtype([("codes", "<u4"), ("stride", "<u4"), ("rows", "<u4"), ("columns", "<u4"), ("scales", "<u4"), ("off_scale", "<f4")])
_END = struct.Struct("<II")
_CHANNEL_BYTES = 12
_MOST_RATIO = 32767


@dataclass(frozen=True)
class PatchedLayer:
    """Where one layer of the strategy stands in the content.

    Attributes:
        codes: offset of the first row's int8 codes.
        stride: bytes from one row to the next.
        rows: output channels.
        columns: codes of a row; what is left of the stride stays as it is.
        scales: offset of the float32 scales, one a row.
        off_scale: the scale of a channel that is off.
    """

    codes: int
    stride: int
    rows: int
    columns: int
    scales: int
    off_scale: float

    @property
    def regions(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First byte and first byte behind of what is rewritten: the codes, padding between rows included, and the scales."""
        return (self.codes, self.codes + (self.rows - 1) * self.stride + self.columns), (self.scales, self.scales + 4 * self.rows)


@dataclass(frozen=True, eq=False)
class PatchTable:
    """What turns the uniform int8 content of a master file into the content of any strategy.

    Attributes:
        fingerprint: of the master weights, 8 bytes.
        layers: in the order of the channel table.
        scales: float32 ``[2, channels]``, for the widths 2 and 4, as the content has them: whatever the exporter folded into them is in.
        ratios: int16 ``[2, channels]``, likewise, as the master weights have them.
    """

    fingerprint: bytes
    layers: tuple[PatchedLayer, ...]
    scales: np.ndarray
    ratios: np.ndarray

    @property
    def channels(self) -> int:
        """Channels of all layers."""
        return self.scales.shape[1]


def table_bytes(layers: int, channels: int) -> int:
    """Bytes of a patch table."""
    return _HEADER.size + layers * _LAYER.itemsize + channels * _CHANNEL_BYTES + _END.size


def carries_table(data: bytes | memoryview) -> bool:
    """Whether a file ends in a patch table, whole or damaged."""
    return _begin(memoryview(data)) is not None


def attached(content: bytes, table: PatchTable, gap: bytes = b"") -> bytes:
    """A master file: the content, what its container needs before bytes that it does not know, and the patch table.

    Raises:
        PatchError: the table does not describe this content.
    """
    size = table_bytes(len(table.layers), table.channels)
    header = _HEADER.pack(MAGIC, VERSION, 0, 0, table.fingerprint, len(content), table.channels, len(table.layers))
    layers = np.array([(x.codes, x.stride, x.rows, x.columns, x.scales, x.off_scale) for x in table.layers], _LAYER)
    arrays = table.scales.astype("<f4").tobytes() + table.ratios.astype("<i2").tobytes()
    body = b"".join([content, gap, header, layers.tobytes(), arrays, struct.pack("<I", size)])
    data = body + struct.pack("<I", zlib.crc32(body))
    read_table(data)
    return data


def read_table(data: bytes | memoryview) -> tuple[PatchTable, int]:
    """The patch table of a master file, and how many bytes of content stand before it.

    The checks run in this order, and the message names the first that fails: table, version, reserved, length, CRC, content, layers,
    channels, places, values.

    Raises:
        PatchError: one of them failed.
    """
    view = memoryview(data)
    begin = _begin(view)
    if begin is None:
        raise refusal("table", "the file does not end in a patch table; give the int8 file of layout speed, as it was exported")
    _, version, reserved, more, fingerprint, content, channels, count = _HEADER.unpack_from(view, begin)
    if version != VERSION:
        raise refusal("version", f"{version} is not {VERSION}; update chordkit or export the file again")
    if reserved or more:
        raise refusal("reserved", f"not all are zero, which version {VERSION} does not know; update chordkit")
    if (size := table_bytes(count, channels)) != len(view) - begin:
        raise refusal("length", f"{len(view) - begin} bytes instead of the {size} that its header announces; fetch the file again")
    if zlib.crc32(view[:-4]) != _END.unpack_from(view, len(view) - _END.size)[1]:
        raise refusal("CRC", "the checksum does not match; the bytes are damaged, fetch the file again")
    if not begin - MOST_GAP <= content <= begin:
        raise refusal("content", f"it has {content} bytes, and the table begins at byte {begin}; export the file again")
    at = begin + _HEADER.size
    layers = _layers(view, at, count, channels, content)
    at += count * _LAYER.itemsize
    scales = np.frombuffer(view, "<f4", 2 * channels, at).reshape(2, channels)
    ratios = np.frombuffer(view, "<i2", 2 * channels, at + 8 * channels).reshape(2, channels)
    off = np.array([layer.off_scale for layer in layers], np.float32)
    if not (np.isfinite(scales).all() and (scales > 0).all() and np.isfinite(off).all() and (off > 0).all()):
        raise refusal("values", "a scale is not finite and above 0; export the file again")
    if not ((ratios >= 1) & (ratios <= _MOST_RATIO)).all():
        raise refusal("values", f"a ratio is not one of 1..{_MOST_RATIO}; export the file again")
    return PatchTable(bytes(fingerprint), layers, scales, ratios), content


def _begin(view: memoryview) -> int | None:
    """Where the table of a file begins, or None."""
    if len(view) < _HEADER.size + _END.size:
        return None
    begin = len(view) - _END.unpack_from(view, len(view) - _END.size)[0]
    inside = 0 <= begin <= len(view) - _HEADER.size - _END.size
    return begin if inside and view[begin : begin + 4] == MAGIC else None


def _layers(view: memoryview, at: int, count: int, channels: int, content: int) -> tuple[PatchedLayer, ...]:
    if not count:
        raise refusal("layers", "there are none; export the file again")
    layers = tuple(PatchedLayer(*entry.tolist()) for entry in np.frombuffer(view, _LAYER, count, at))
    for index, layer in enumerate(layers):
        if not layer.rows or not 0 < layer.columns <= layer.stride:
            raise refusal(
                "layers", f"layer {index} has {layer.rows} rows of {layer.columns} codes, {layer.stride} bytes apart; export the file again"
            )
    if sum(layer.rows for layer in layers) != channels:
        raise refusal("channels", f"the layers do not have the {channels} channels that the header announces; export the file again")
    if not _apart([region for layer in layers for region in layer.regions], content):
        raise refusal("places", "two pieces overlap, or one ends behind the content; export the file again")
    return layers


def _apart(regions: list[tuple[int, int]], content: int) -> bool:
    """Whether no two regions overlap and all end within the content."""
    ordered = sorted(regions)
    return all(end <= start for (_, end), (start, _) in zip(ordered, [*ordered[1:], (content, content)], strict=True))


def refusal(check: str, why: str) -> PatchError:
    """The error that names a check."""
    return PatchError(f"patch table: {check}: {why}")
