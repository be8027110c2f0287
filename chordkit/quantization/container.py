"""The master file's container ("CHRM"): named tensors, 64-byte aligned, that a phone can map and C can read without a parser.

docs/formats.md has the byte-level table. Everything is little-endian. Reading checks every bound; a file that reads is one that
this module could have written: ``pack(unpack(data)) == data``.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from chordkit.errors import MasterError

MAGIC = b"CHRM"
VERSIONS = (1, 2)
"""2 is the one of a master whose catalogue has grown."""
ALIGNMENT = 64
_HEADER = struct.Struct("<4sIQII8sI28x")
_RESERVED = {1: 24, 2: 36}
"""From here on the header is zero."""
_ENTRY = struct.Struct("<88sII4IQQ")
_NAME_BYTES = 88
_MOST_ENTRIES = 4096
"""A reader without memory of its own compares each name with all before it: few enough for a phone."""
# Type codes of the file. 6 is text: a flat uint8 array that holds UTF-8.
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("i1"),
    2: np.dtype("u1"),
    3: np.dtype("<i2"),
    4: np.dtype("<i4"),
    5: np.dtype("<f4"),
    6: np.dtype("u1"),
}
_TEXT = 6
_CODES: dict[np.dtype[Any], int] = {np.dtype("i1"): 1, np.dtype("u1"): 2, np.dtype("i2"): 3, np.dtype("i4"): 4, np.dtype("f4"): 5}

Value = np.ndarray | str


class Origin(NamedTuple):
    """The master that this one was before its catalogue grew.

    Attributes:
        fingerprint: first 8 bytes of SHA-256 over that file: what strategies for it carry, and for this one too.
        items: how many it had; those that came since have the higher ids.
    """

    fingerprint: bytes
    items: int


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def pack(entries: Mapping[str, Value], origin: Origin | None = None) -> bytes:
    """Write named tensors and texts, in the order given; with an ``origin`` as version 2.

    Raises:
        MasterError: a name or a tensor that the format cannot hold.
    """
    if len(entries) > _MOST_ENTRIES:
        raise MasterError(f"master: {len(entries)} entries are more than {_MOST_ENTRIES}")
    records, blobs = [], []
    offset = _align(_HEADER.size + _ENTRY.size * len(entries))
    for name, value in entries.items():
        encoded = _encoded(name, name)
        if not encoded or len(encoded) > _NAME_BYTES or b"\0" in encoded:
            raise MasterError(f"master: the name '{name}' has not 1 to {_NAME_BYTES} bytes")
        if isinstance(value, str):
            code, array = _TEXT, np.frombuffer(_encoded(name, value), np.uint8)
        else:
            array = np.ascontiguousarray(value) if value.ndim else value
            if array.dtype not in _CODES or array.ndim > 4:
                raise MasterError(
                    f"master: entry '{name}' has type {array.dtype} and {array.ndim} dimensions, which the format does not know"
                )
            if 0 in array.shape:
                raise MasterError(f"master: entry '{name}' has the shape {array.shape}, without a single number: leave it out")
            code = _CODES[array.dtype]
        data = array.astype(_DTYPES[code], copy=False).tobytes()
        shape = (*array.shape, *(0,) * (4 - array.ndim))
        records.append(_ENTRY.pack(encoded, code, array.ndim, *shape, offset, len(data)))
        blobs.append((offset, data))
        offset = _align(offset + len(data))
    image = bytearray(offset)
    table = b"".join(records)
    image[_HEADER.size : _HEADER.size + len(table)] = table
    for start, data in blobs:
        image[start : start + len(data)] = data
    version, (fingerprint, items) = (1, (bytes(8), 0)) if origin is None else (2, origin)
    _HEADER.pack_into(image, 0, MAGIC, version, len(image), len(entries), 0, fingerprint, items)
    checksum = zlib.crc32(memoryview(image)[24:])
    _HEADER.pack_into(image, 0, MAGIC, version, len(image), len(entries), checksum, fingerprint, items)
    return bytes(image)


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MasterError(f"master: entry {name!r} or its text cannot be written as UTF-8") from None


def unpack(data: bytes | memoryview) -> tuple[dict[str, Value], Origin | None]:
    """Read named tensors and the origin, if any; arrays are read-only views of ``data``, nothing is copied.

    Raises:
        MasterError: anything in the file that :func:`pack` would not have written; the message names the entry.
    """
    view = memoryview(data).cast("B")
    if len(view) < _HEADER.size:
        raise MasterError(f"master: {len(view)} bytes are too few for the header of {_HEADER.size}; the file is truncated")
    magic, version, length, count, checksum, fingerprint, items = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise MasterError("master: the file does not begin with CHRM; it is not a master-weights file")
    if version not in VERSIONS:
        raise MasterError(f"master: version {version} is none of 1 and 2; update chordkit or make the master again")
    if length != len(view):
        raise MasterError(f"master: {len(view)} bytes instead of the {length} that the header states; the file is truncated or extended")
    if any(view[_RESERVED[version] : _HEADER.size]):
        raise MasterError("master: reserved header bytes are not zero")
    if zlib.crc32(view[24:]) != checksum:
        raise MasterError("master: the checksum does not match; the file is damaged, copy it again")
    table_end = _HEADER.size + _ENTRY.size * count
    if count > _MOST_ENTRIES or table_end > length:
        raise MasterError(f"master: a table of {count} entries does not fit the file")
    entries: dict[str, Value] = {}
    expected, filled = _align(table_end), table_end
    for index in range(count):
        raw, code, rank, *rest = _ENTRY.unpack_from(view, _HEADER.size + _ENTRY.size * index)
        *shape, offset, size = rest
        encoded = raw.rstrip(b"\0")
        try:
            name = encoded.decode()
        except UnicodeDecodeError:
            raise MasterError(f"master: the name of entry {index} is not UTF-8") from None
        if not name or b"\0" in encoded or name in entries:
            raise MasterError(f"master: the name '{name}' of entry {index} is empty, repeated or not padded with zeros")
        if code not in _DTYPES or rank > 4 or any(shape[rank:]) or (code == _TEXT and rank != 1):
            raise MasterError(f"master: entry '{name}' has an unknown type or shape")
        if code != _TEXT and 0 in shape[:rank]:
            raise MasterError(f"master: entry '{name}' has a shape without a single number")
        elements = 1
        for dimension in shape[:rank]:
            elements *= dimension
        if elements * _DTYPES[code].itemsize != size:
            raise MasterError(f"master: entry '{name}' has {size} bytes, which is not what its shape needs")
        if offset != expected or offset + size > length:
            raise MasterError(f"master: entry '{name}' does not stand at its place ({offset} instead of {expected}) or leaves the file")
        if any(view[filled:offset]):
            raise MasterError(f"master: the gap before entry '{name}' is not zero")
        filled, expected = offset + size, _align(offset + size)
        array = np.frombuffer(view, _DTYPES[code], elements, offset).reshape(shape[:rank])
        array.flags.writeable = False
        if code == _TEXT:
            try:
                entries[name] = array.tobytes().decode()
            except UnicodeDecodeError:
                raise MasterError(f"master: the text '{name}' is not UTF-8") from None
        else:
            entries[name] = array
    if expected != length or any(view[filled:]):
        raise MasterError("master: bytes follow the last entry")
    return entries, None if version == 1 else Origin(fingerprint, items)
