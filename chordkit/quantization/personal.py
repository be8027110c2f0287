"""One user's model in as few bytes as its widths take ("CHRP"), for a device where the int8 master is not wanted.

docs/formats.md has the byte-level table. :func:`read_personal` makes the master file that the engine reads, whose int8 codes are the
widths' codes and whose scales are theirs: at 8 bits, and with the same channels off, it gives the strategy's scores bit for bit. In C it is
``libchord/personal``, which writes the same bytes.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import RANGES, QuantizedRows, select_codes
from chordkit.quantization.master import ConfigValue, MasterLayer, MasterWeights
from chordkit.quantization.packing import pack_codes, packed_row_bytes, unpack_codes
from chordkit.quantization.tables import QuantizedTable

MAGIC = b"CHRP"
VERSION = 1
_HEADER = struct.Struct("<4sIII8s")
_WIDTHS = (0, 2, 4, 8)
_INTEGER, _FLOAT, _TEXT, _TUPLE = range(1, 5)
_MOST_PARTS = 1024
_MOST_ELEMENTS = 1 << 31
_MOST_WEIGHTS = 1 << 28
"""In all layers: channels that are off take none of the file, but take memory."""


@dataclass(frozen=True, eq=False)
class PersonalModel:
    """What a personal file holds.

    Attributes:
        master: the model as a master whose int8 codes are those of the widths; its fingerprint is its own.
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}, of the strategy that it was made with.
        fingerprint: of the master weights that it was made from.
    """

    master: MasterWeights
    widths: np.ndarray
    fingerprint: bytes

    @property
    def master_widths(self) -> np.ndarray:
        """Of the strategy to run :attr:`master` with: 8 bits, and 0 where a channel is off."""
        return np.where(self.widths > 0, 8, 0).astype(np.uint8)


def write_personal(master: MasterWeights, widths: np.ndarray) -> bytes:
    """One user's model as the bytes of a personal file.

    Args:
        master: the master weights.
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}, a strategy's.

    Raises:
        MasterError: the widths are not the master's, or a part is too large for the format.
    """
    widths = np.asarray(widths, np.uint8)
    table = master.channel_table
    if widths.shape != (table.channels,) or not np.isin(widths, _WIDTHS).all():
        raise MasterError(f"personal: {widths.shape} widths of 0, 2, 4 or 8 bits are needed for {table.channels} channels")
    parts = []
    for name, layer in master.layers.items():
        own = widths[table.layer_slice(name)]
        codes, scales = select_codes(layer.rows, own)
        rows = [pack_codes(codes[index : index + 1], int(width)).tobytes() for index, width in enumerate(own) if width]
        parts.append((b"".join(rows), scales[own > 0].astype("<f4").tobytes(), _floats(layer.bias)))
    return _file(master, master.config, widths, master.fingerprint, parts)


def read_personal(data: bytes | memoryview) -> PersonalModel:
    """The model in a personal file.

    Raises:
        MasterError: anything in the file that :func:`write_personal` would not have written.
    """
    reader = _Reader(bytes(data))
    fingerprint = reader.header()
    config = reader.config()
    shapes = [reader.layer() for _ in range(reader.count())]
    tables = [reader.table() for _ in range(reader.count())]
    kinds = [reader.tensor() for _ in range(reader.count())]
    widths = reader.widths(sum(channels for _, channels, _, _ in shapes))
    layers, own, first = {}, [], 0
    for name, channels, inputs, biased in shapes:
        part = widths[first : first + channels]
        first += channels
        codes, scales, packed = reader.rows(part, inputs)
        raw = packed, scales[part > 0].tobytes()
        bias = reader.floats((channels,)) if biased else None
        rows = QuantizedRows(codes, np.broadcast_to(scales, (3, channels)).copy(), np.ones((2, channels), np.int16))
        layers[name] = MasterLayer(rows, bias)
        own.append((*raw, _floats(bias)))
    embeddings = {name: reader.embedding(rows, dim, bits) for name, rows, dim, bits in tables}
    tensors = {name: reader.floats(shape) for name, shape in kinds}
    reader.end()
    if len(layers) != len(shapes) or len(embeddings) != len(tables) or len(tensors) != len(kinds):
        raise MasterError("personal: a name stands twice; make the file again")
    # What it expands into has to be a master for every reader: names that fit its entries, each of them once.
    master = MasterWeights.from_bytes(MasterWeights(config, layers, embeddings, tensors).to_bytes())
    if _file(master, config, widths, fingerprint, own) != bytes(data):
        raise MasterError("personal: the file is not as it would be written; make it again")
    return PersonalModel(master, widths, fingerprint)


def _floats(values: np.ndarray | None) -> bytes:
    return b"" if values is None else np.ascontiguousarray(values, "<f4").tobytes()


def _file(
    master: MasterWeights,
    config: Mapping[str, ConfigValue],
    widths: np.ndarray,
    fingerprint: bytes,
    layers: list[tuple[bytes, bytes, bytes]],
) -> bytes:
    body = [struct.pack("<H", len(config)), *(_config(key, value) for key, value in config.items())]
    body.append(struct.pack("<H", len(master.layers)))
    for name, layer in master.layers.items():
        body.append(_name(name) + struct.pack("<IIB", *layer.rows.codes.shape, layer.bias is not None))
    body.append(struct.pack("<H", len(master.embeddings)))
    for name, table in master.embeddings.items():
        body.append(_name(name) + struct.pack("<IIB", *table.codes.shape, table.bits))
    body.append(struct.pack("<H", len(master.tensors)))
    for name, tensor in master.tensors.items():
        body.append(_name(name) + struct.pack(f"<B{tensor.ndim}I", tensor.ndim, *tensor.shape))
    codes = np.searchsorted(_WIDTHS, widths).astype(np.uint8)
    lanes = np.pad(codes, (0, -codes.size % 4)).reshape(-1, 4)
    body.append(np.bitwise_or.reduce(lanes << np.arange(0, 8, 2, dtype=np.uint8), axis=1).astype(np.uint8).tobytes())
    body += [part for layer in layers for part in layer]
    for table in master.embeddings.values():
        body += [pack_codes(table.codes, table.bits).tobytes(), _floats(table.scales)]
    body += [_floats(tensor) for tensor in master.tensors.values()]
    content = fingerprint + b"".join(body)
    length = _HEADER.size - len(fingerprint) + len(content)
    return _HEADER.pack(MAGIC, VERSION, length, zlib.crc32(content), fingerprint)[: _HEADER.size - len(fingerprint)] + content


def _name(text: str) -> bytes:
    encoded = text.encode()
    if not 1 <= len(encoded) <= 255:
        raise MasterError(f"personal: the name '{text}' has not 1 to 255 bytes; rename the module")
    return bytes([len(encoded)]) + encoded


def _config(key: str, value: ConfigValue) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _name(key) + struct.pack("<BH", _TEXT, len(text)) + text
    if isinstance(value, tuple):
        return _name(key) + struct.pack(f"<BH{len(value)}i", _TUPLE, len(value), *value)
    if isinstance(value, (bool, int, np.integer)):
        return _name(key) + struct.pack("<Bi", _INTEGER, int(value))
    return _name(key) + struct.pack("<Bf", _FLOAT, value)


class _Reader:
    """A place in a file, each step of which is checked."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place, self._weights = data, 0, 0

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._place:
            raise MasterError("personal: the file ends too early; it is truncated")
        self._place += size
        return self._data[self._place - size : self._place]

    def _unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))

    def header(self) -> bytes:
        magic, version, length, checksum, fingerprint = _HEADER.unpack(self._take(_HEADER.size))
        if magic != MAGIC:
            raise MasterError("personal: the file does not begin with CHRP; it is not a personal file")
        if version != VERSION:
            raise MasterError(f"personal: version {version} is not {VERSION}; update chordkit or make the file again")
        if length != len(self._data):
            raise MasterError(
                f"personal: {len(self._data)} bytes instead of the {length} that the header states; it is truncated or extended"
            )
        if zlib.crc32(self._data[_HEADER.size - len(fingerprint) :]) != checksum:
            raise MasterError("personal: the checksum does not match; the file is damaged, copy it again")
        return bytes(fingerprint)

    def count(self) -> int:
        (count,) = self._unpack("H")
        if count > _MOST_PARTS:
            raise MasterError(f"personal: {count} parts are more than {_MOST_PARTS}")
        return count

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise MasterError("personal: a text is not UTF-8") from None

    def _name(self) -> str:
        return self._text(self._unpack("B")[0])

    def config(self) -> dict[str, ConfigValue]:
        found: dict[str, ConfigValue] = {}
        for _ in range(self.count()):
            key, (kind,) = self._name(), self._unpack("B")
            if kind == _TEXT:
                found[key] = self._text(self._unpack("H")[0])
            elif kind == _TUPLE:
                found[key] = self._unpack(f"{self._unpack('H')[0]}i")
            elif kind == _INTEGER:
                (found[key],) = self._unpack("i")
            elif kind == _FLOAT:
                # The shortest decimal that is this float32, as a master has it.
                found[key] = float(str(np.float32(self._unpack("f")[0])))
            else:
                raise MasterError(f"personal: configuration '{key}' is of an unknown kind")
        return found

    def layer(self) -> tuple[str, int, int, bool]:
        name, (channels, inputs, biased) = self._name(), self._unpack("IIB")
        self._weights += self._size(channels, inputs)
        if self._weights > _MOST_WEIGHTS:
            raise MasterError(f"personal: its layers have more than {_MOST_WEIGHTS:,} weights")
        if biased > 1:
            raise MasterError(f"personal: layer '{name}' has neither a bias nor none")
        return name, channels, inputs, bool(biased)

    def table(self) -> tuple[str, int, int, int]:
        name, (rows, dim, bits) = self._name(), self._unpack("IIB")
        self._size(rows, dim)
        if bits not in (4, 8):
            raise MasterError(f"personal: table '{name}' is of {bits} bits; 4 and 8 can be")
        return name, rows, dim, bits

    def tensor(self) -> tuple[str, tuple[int, ...]]:
        name, (rank,) = self._name(), self._unpack("B")
        if rank > 4:
            raise MasterError(f"personal: tensor '{name}' has {rank} dimensions")
        shape = self._unpack(f"{rank}I")
        self._size(*shape)
        return name, shape

    def _size(self, *shape: int) -> int:
        """Elements of a shape."""
        elements = 1
        for dimension in shape:
            elements *= dimension
        if not 1 <= elements < _MOST_ELEMENTS or max(shape, default=1) > _MOST_ELEMENTS:
            raise MasterError(f"personal: a part of shape {list(shape)} is empty or too large")
        return elements

    def widths(self, channels: int) -> np.ndarray:
        packed = np.frombuffer(self._take(-(-channels // 4)), np.uint8)
        codes = (packed[:, None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3).reshape(-1)
        if codes[channels:].any():
            raise MasterError("personal: a pad bit of the widths is not zero")
        return np.array(_WIDTHS, np.uint8)[codes[:channels]]

    def rows(self, widths: np.ndarray, inputs: int) -> tuple[np.ndarray, np.ndarray, bytes]:
        """int8 codes ``[channels, inputs]`` and float32 scales of channels of these widths, and the packed rows as they stand."""
        sizes = [packed_row_bytes(inputs, int(width)) for width in widths]
        packed = self._take(sum(sizes))  # before memory is taken for what they expand to
        on = int(np.count_nonzero(widths))
        codes = np.zeros((len(widths), inputs), np.int8)
        place = 0
        for index, (width, size) in enumerate(zip(widths, sizes, strict=True)):
            if width:
                row = np.frombuffer(packed, np.uint8, size, place).reshape(1, -1)
                codes[index] = unpack_codes(row, int(width), inputs)[0]
                if codes[index].min() < RANGES[int(width)][0]:
                    raise MasterError("personal: a code is outside the grid of its width")
            place += size
        scales = np.ones(len(widths), np.float32)
        scales[widths > 0] = self.floats((on,))
        return codes, scales, packed

    def floats(self, shape: tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._take(4 * count), "<f4").astype(np.float32).reshape(shape)

    def embedding(self, rows: int, dim: int, bits: int) -> QuantizedTable:
        packed = np.frombuffer(self._take(rows * packed_row_bytes(dim, bits)), np.uint8).reshape(rows, -1)
        return QuantizedTable(unpack_codes(packed, bits, dim), self.floats((rows,)), bits)

    def end(self) -> None:
        if self._place != len(self._data):
            raise MasterError("personal: bytes follow the last part")
