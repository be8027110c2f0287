"""Safetensors files of training: whole or absent, checked when read, and nothing that could run as code."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from chordkit.documents import parse_json
from chordkit.errors import CheckpointError
from chordkit.files import read_bytes, reproducible_safetensors, write_bytes
from chordkit.tensors import read_tensors as safetensors_tensors

_METADATA = "chordkit"
_DIGEST = "sha256"
_ANEW = "use another checkpoint folder, or delete this one (--restart) to start anew"


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write ``tensors`` and JSON ``metadata`` as one safetensors file, atomically, with a digest over both."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    write_bytes(path, reproducible_safetensors(safetensors.torch.save(plain, {_METADATA: text, _DIGEST: digest(plain, text)})))


def parse_tensors(data: bytes, path: str | os.PathLike[str], what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """:func:`read_tensors` of a file whose content is ``data``.

    Raises:
        CheckpointError: it is no safetensors file of chordkit, or its content is damaged.
    """
    try:
        tensors, header = safetensors_tensors(data)
        text, expected = header[_METADATA], header[_DIGEST]
        metadata = parse_json(text)
    except (ValueError, KeyError):
        metadata = None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: this is not a whole {what} file of chordkit: delete it and train again")
    if expected != digest(tensors, text):
        raise CheckpointError(f"{path}: the {what} file is damaged (its SHA-256 does not match): delete it and train again")
    return tensors, metadata


def read_tensors(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote; ``what`` names the file's role in errors ("checkpoint", "backbone").

    Raises:
        InputError: no such file.
        CheckpointError: it is no safetensors file of chordkit, or its content is damaged.
    """
    return parse_tensors(read_bytes(path, what), path, what)


def object_of(path: str | os.PathLike[str], what: str, metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The JSON object ``name`` of a file's metadata; ``what`` as in :func:`read_tensors`.

    Raises:
        CheckpointError: it is missing, or no object.
    """
    value = metadata.get(name)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: the {what}'s metadata field {name!r} is missing or no object: delete the file and train again")
    return value


def digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256, in hexadecimal, over tensors with their names, and ``text``."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


def require_same(path: Path, kind: str, found: object, wanted: Mapping[str, Any], what: str = "checkpoint", mend: str = _ANEW) -> None:
    """Refuse a file that was made for something else: ``found`` is what it says of a kind, whatever that is; ``what`` names its role.

    Raises:
        CheckpointError: names the first field that differs.
    """
    found = found if isinstance(found, dict) else {}
    for name in sorted(set(found) | set(wanted)):
        if found.get(name) != wanted.get(name):
            raise CheckpointError(
                f"{path}: this {what} was made with {kind} {name} = {found.get(name)!r}, this run asks for {wanted.get(name)!r}: {mend}"
            )
