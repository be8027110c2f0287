"""Safetensors from outside, looked at before anything is made of them: the one way chordkit reads any.

The library itself refuses headers above 100 MB, offsets that overlap, leave a hole or end elsewhere than the file, and sizes that overflow;
it takes a tensor that is named twice for its last one, and makes of a header what it asks for, half a gigabyte of nothing for 12 MB.
"""

import hashlib
import json
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
