"""Trained backbones on disk: safetensors with the configuration and the provenance as JSON metadata."""

import os
from collections.abc import Mapping
from typing import Any

from chordkit.backbones import Backbone, build, config_from_dict, config_to_dict, find_architecture, require_outline
from chordkit.backbones.soundness import require_sound
from chordkit.errors import CheckpointError, InputError
from chordkit.training.checkpoint import object_of, read_tensors, write_tensors

_FORMAT = "chordkit-backbone"
_VERSION = 1


def save_backbone(path: str | os.PathLike[str], backbone: Backbone, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a backbone's fp32 weights, its configuration and where it came from (JSON values), atomically.

    Raises:
        CheckpointError: a weight is NaN or infinite, or the padding's row is not zero: :func:`load_backbone` would refuse the file.
    """
    require_sound(backbone.state_dict(), CheckpointError, str(path))
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "configuration": config_to_dict(backbone.config),
        "provenance": dict(provenance or {}),
    }
    write_tensors(path, backbone.state_dict(), metadata)


def load_backbone(path: str | os.PathLike[str]) -> tuple[Backbone, dict[str, Any]]:
    """Read what :func:`save_backbone` wrote: (backbone in eval mode, provenance).

    Raises:
        InputError: no such file.
        CheckpointError: it is damaged, no backbone, made by a newer chordkit, or holds what no backbone has: NaN, infinity, a padding row
            that is not zero.
    """
    tensors, metadata = read_tensors(path, "backbone")
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: this file holds no backbone: give the file that 'chordkit train backbone' wrote")
    if metadata.get("version") != _VERSION:
        raise CheckpointError(
            f"{path}: backbone format version {metadata.get('version')} is unknown (this is {_VERSION}): use a newer chordkit"
        )
    configuration = object_of(path, "backbone", metadata, "configuration")
    provenance = object_of(path, "backbone", metadata, "provenance")
    try:
        find_architecture(configuration.get("architecture"))
    except InputError as error:
        raise CheckpointError(f"{path}: {error}") from None
    try:
        config = config_from_dict(configuration)
        require_outline(lambda: build(config), tensors)
        backbone = build(config)
        backbone.load_state_dict(tensors)
    except (InputError, RuntimeError, TypeError) as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{path}: the backbone does not fit its own configuration, train it again: {detail}") from None
    require_sound(backbone.state_dict(), CheckpointError, str(path))
    return backbone.eval(), provenance
