"""Safetensors from outside, looked at before anything is made of them: the one way chordkit reads any.

The library itself refuses headers above 100 MB, offsets that overlap, leave a hole or end elsewhere than the file, and sizes that overflow;
it takes a tensor that is named twice for its last one, and makes of a header what it asks for, half a gigabyte of nothing for 12 MB.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from chordkit.documents import parse_json

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_MOST_HEADER_BYTES = 8 << 20
_MOST_DIMENSIONS = 8
_TYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"})


def checksum(header: Mapping[str, str], tensors: "Mapping[str, np.ndarray]", names: Iterable[str]) -> str:
    """SHA-256, in hexadecimal, over the metadata of a file and its tensors ``names``, in this order, with their types and shapes."""
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for name in names:
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def read_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file whose header is fit to be read: its tensors have a type and a shape, and none has two.

    Raises:
        ValueError: it is not; in a few words, for the caller's sentence.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise ValueError("it ends before its header does")
    header = parse_json(data[8 : 8 + size], _MOST_HEADER_BYTES)
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts")
    for name, about in header.items():
        if not _is_tensor(about):
            raise ValueError(f"its tensor {name[:80]!r} has no type and shape that chordkit writes")
    return metadata


def map_tensors(path: str | os.PathLike[str]) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and metadata of a safetensors file that is mapped: only what is looked at is read, so its size does not matter.

    The file must stay as it is while the tensors are in use; one that is replaced by another (:func:`chordkit.files.atomic_writer`) does.

    Raises:
        ValueError: it is none.
        OSError: it cannot be read.
    """
    from safetensors import safe_open

    with open(path, "rb") as stream:
        start = stream.read(8)
        header = stream.read(min(int.from_bytes(start, "little"), _MOST_HEADER_BYTES))
    metadata = read_metadata(start + header)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"it is no whole safetensors file: {error}") from None


def header_of(shapes: "Mapping[str, tuple[str, tuple[int, ...], int]]", metadata: Mapping[str, str]) -> bytes:
    """The beginning of a safetensors file whose tensors are written behind it one after the other.

    Args:
        shapes: type as the format spells it, shape and bytes of each tensor, in their order.
        metadata: texts; others of the same lengths give a header of the same length.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, (kind, shape, size) in shapes.items():
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _is_tensor(about: Any) -> bool:
    return (
        isinstance(about, dict)
        and about.get("dtype") in _TYPES
        and isinstance(shape := about.get("shape"), list)
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(size) is int and size >= 0 for size in shape)
    )


def read_arrays(data: bytes) -> "tuple[dict[str, np.ndarray], dict[str, str]]":
    """Arrays and metadata of a safetensors file.

    Raises:
        ValueError: it is none, or no array has such a type.
    """
    from safetensors.numpy import load

    metadata = read_metadata(data)
    try:
        return load(data), metadata
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"it is no whole safetensors file: {error}") from None


def read_tensors(data: bytes) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and metadata of a safetensors file.

    Raises:
        ValueError: it is none.
    """
    from safetensors.torch import load

    metadata = read_metadata(data)
    try:
        return load(data), metadata
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"it is no whole safetensors file: {error}") from None
