"""Hypernetworks on disk: safetensors with the options and the fingerprint of the master they belong to."""

import os
from typing import Any

import torch

from chordkit.backbones import require_outline
from chordkit.errors import CheckpointError, InputError, StrategyError
from chordkit.files import read_bytes
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.quantization import ChannelTable, MasterWeights
from chordkit.training.checkpoint import object_of, parse_tensors, write_tensors

_FORMAT = "chordkit-hypernetwork"
_VERSION = 1
_WHAT = "hypernetwork"


def save_hypernetwork(path: str | os.PathLike[str], hypernetwork: Hypernetwork, provenance: dict[str, Any] | None = None) -> None:
    """Write a trained hypernetwork, how it was trained and where it came from (JSON values), atomically."""
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "options": hypernetwork.options.to_json(),
        "fingerprint": hypernetwork.fingerprint.hex(),
        "channels": hypernetwork.table.to_json(),
        "provenance": dict(provenance or {}),
    }
    write_tensors(path, hypernetwork.state_dict(), metadata)


def load_hypernetwork(path: str | os.PathLike[str], master: MasterWeights) -> tuple[Hypernetwork, dict[str, Any]]:
    """Read what :func:`save_hypernetwork` wrote: (hypernetwork in eval mode, provenance).

    Args:
        path: the file.
        master: the master weights that the hypernetwork was trained for.

    Raises:
        InputError: no such file.
        CheckpointError: it is damaged, holds no hypernetwork, or was made by a newer chordkit.
        StrategyError: it belongs to another backbone than ``master``.
    """
    return parse_hypernetwork(read_bytes(path, _WHAT), path, master)


def parse_hypernetwork(data: bytes, path: str | os.PathLike[str], master: MasterWeights) -> tuple[Hypernetwork, dict[str, Any]]:
    """:func:`load_hypernetwork` of a file whose content is ``data``; ``path`` is what errors call it.

    Raises:
        CheckpointError: likewise.
        StrategyError: likewise.
    """
    tensors, metadata = parse_tensors(data, path, _WHAT)
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: this file holds no hypernetwork: give the file that 'chordkit train hypernetwork' wrote")
    if metadata.get("version") != _VERSION:
        raise CheckpointError(
            f"{path}: hypernetwork format version {metadata.get('version')} is unknown (this is {_VERSION}): use a newer chordkit"
        )
    provenance = object_of(path, _WHAT, metadata, "provenance")
    try:
        options, table = HypernetworkOptions(**metadata["options"]), ChannelTable.from_json(metadata["channels"])
        belongs = metadata["fingerprint"] == master.fingerprint.hex() and table == master.channel_table
        if belongs:
            require_outline(lambda: Hypernetwork(master, options), tensors)
            hypernetwork = Hypernetwork(master, options)
            hypernetwork.load_state_dict(tensors)
    except (InputError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{path}: the hypernetwork does not fit its own options, train it again: {detail}") from None
    if not belongs:
        raise StrategyError(
            f"{path}: this hypernetwork belongs to the backbone {metadata['fingerprint']}, not to {master.fingerprint.hex()}: "
            "give the master weights it was trained with, or train it again"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in hypernetwork.state_dict().values()):
        raise CheckpointError(f"{path}: the hypernetwork holds NaN or infinity: train it again with a lower lr")
    return hypernetwork.requires_grad_(False).eval(), provenance
