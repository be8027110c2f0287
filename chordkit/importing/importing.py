"""From a checkpoint of another framework to a backbone of ours."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from chordkit.backbones import Backbone, build, require_outline
from chordkit.backbones.soundness import require_sound
from chordkit.data import Dataset
from chordkit.errors import CheckpointError
from chordkit.importing.checkpoint import Checkpoint
from chordkit.importing.frameworks import Settings, find_framework
from chordkit.importing.rows import rows_of
from chordkit.importing.verification import Agreement, compare, read_scores


@dataclass(frozen=True)
class Imported:
    """An imported backbone.

    Attributes:
        backbone: with the items of the data set, in its order; in eval mode.
        settings: what was not in the weights: as it was given, or the framework's default.
        dropped: ids of items of the checkpoint that the data set has not.
        agreement: its scores beside the framework's; None = nothing was compared.
        provenance: for :func:`chordkit.training.save_backbone`.
    """

    backbone: Backbone
    settings: dict[str, Any]
    dropped: list[str]
    agreement: Agreement | None
    provenance: dict[str, Any]


def import_backbone(
    checkpoint: str | os.PathLike[str],
    framework: str,
    data: Dataset,
    *,
    item_ids: Sequence[str] | str,
    verify: str | os.PathLike[str] | None = None,
    heads: int | None = None,
    max_length: int | None = None,
    activation: str | None = None,
    norm_eps: float | None = None,
    norm: str | None = None,
) -> Imported:
    """A backbone with the weights of another framework's model; it scores as that model does, up to the order of float32 sums.

    Args:
        checkpoint: its state dict, in a safetensors file, or in one of torch's that holds tensors alone.
        framework: ``recbole-sasrec``, ``recbole-gru4rec`` or ``pmixer-sasrec``.
        data: the data set that it is to be used with; the backbone's items are in this order.
        item_ids: original id of every row of the checkpoint's item table, the first the padding's; ``"same"`` where the rows are in the
            data set's order; ``"numbers"`` where the id of an item is the number of its row.
        verify: safetensors file with ``histories`` and the ``scores`` that the framework gave for them.
        heads, max_length, activation, norm_eps, norm: what a state dict does not say (:class:`chordkit.importing.Settings`).

    Raises:
        CheckpointError: the file is no checkpoint of this model, or has tensors that it has not.
        InputError: a setting is missing or impossible, items and rows do not fit, or the file of scores is none.
        CheckFailed: the scores differ.
    """
    kind = find_framework(framework)
    settings = kind.settings(framework, Settings(heads, max_length, activation, norm_eps, norm))
    source = Checkpoint.read(checkpoint)
    config, state = kind.translate(source, settings)
    source.require_all_taken(kind.title)
    try:
        require_outline(lambda: build(config), state)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint}: its tensors do not fit each other: {error}") from None
    require_sound(state, CheckpointError, str(checkpoint))
    rows, dropped = rows_of(data, item_ids, config.items + 1, str(checkpoint))
    state["item_embedding.weight"] = state["item_embedding.weight"][torch.from_numpy(rows)]
    backbone = build(replace(config, items=data.items)).eval()
    backbone.load_state_dict(state)
    agreement = None
    if verify is not None:
        agreement = compare(backbone, rows, list(data.item_ids), *read_scores(verify, config.items + 1))
        agreement.require(str(verify))
    provenance = {
        "imported": {
            "framework": framework, "file": Path(checkpoint).name, "settings": settings, "dropped_items": len(dropped),
            "agreement": None if agreement is None else agreement.to_json(),
        },
        "dataset": data.name, "dataset_fingerprint": data.fingerprint,
    }  # fmt: skip
    return Imported(backbone, settings, dropped, agreement, provenance)
