"""What one seed of an experiment gave, and its file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.errors import CheckpointError
from chordkit.hypernetwork.diversity import Diversity
from chordkit.training.checkpoint import read_tensors, require_same, write_tensors

_VERSION = 2


@dataclass(frozen=True)
class RowResult:
    """One rival under one seed.

    Attributes:
        key: of the rival.
        label: in words.
        personal: whether users are treated differently by more than their history.
        bits: average bits per weight of the channel layers.
        products: share of their multiply-adds that is left.
        phone_bytes: of the weights.
        wire_bytes: sent a user.
        coverage: share of the catalogue that is in somebody's masked top 10.
        stability: share of a user's masked top 10 that is still there one interaction later; NaN where nobody has two items.
        temperature: of the likelihood, fitted on the validation items.
        masked_temperature: of the masked likelihood.
        test: mean of each measure for each user over the test items, float32 [users], by name.
        valid: the same over the validation items.
    """

    key: str
    label: str
    personal: bool
    bits: float
    products: float
    phone_bytes: int
    wire_bytes: int
    coverage: float
    stability: float
    temperature: float
    masked_temperature: float
    test: Mapping[str, NDArray[np.float32]]
    valid: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SeedResult:
    """Everything that one seed gave.

    Attributes:
        seed: of everything random.
        rows: the rivals.
        diversity: how much strategies differ.
        lengths: int64 [users], items before a user's first test item.
        seconds: that training and measuring took, in the call that finished them.
        choosing: bool [users], which of them belong to the half on which things are chosen; None = as :func:`halves` says of so many.
        choosing_valid: the same for the users with validation items, who are others where the split is by time; None likewise.
    """

    seed: int
    rows: tuple[RowResult, ...]
    diversity: Diversity
    lengths: NDArray[np.int64]
    seconds: float = 0.0
    choosing: NDArray[np.bool_] | None = None
    choosing_valid: NDArray[np.bool_] | None = None


_CHOOSING = ("choosing", "choosing_valid")
_FIGURES = tuple(each.name for each in fields(RowResult) if each.name not in ("test", "valid"))


def save_result(path: Path, result: SeedResult, identity: Mapping[str, Any]) -> None:
    """Write ``result`` atomically, with the JSON values ``identity`` of what it depends on."""
    tensors = {"lengths": torch.from_numpy(result.lengths)}
    for name in _CHOOSING:
        if (users := getattr(result, name)) is not None:
            tensors[name] = torch.from_numpy(users)
    for row in result.rows:
        for part in ("test", "valid"):
            tensors |= {f"{row.key}/{part}/{name}": torch.from_numpy(values) for name, values in getattr(row, part).items()}
    figures = [{name: getattr(row, name) for name in _FIGURES} for row in result.rows]
    for each in figures:
        each["stability"] = each["stability"] if np.isfinite(each["stability"]) else None
    metadata = {"version": _VERSION, "seed": result.seed, "seconds": result.seconds, "identity": identity, "rows": figures}
    write_tensors(path, tensors, metadata | {"diversity": vars(result.diversity)})


def load_result(path: Path, identity: Mapping[str, Any]) -> SeedResult:
    """Read what :func:`save_result` wrote.

    Raises:
        CheckpointError: it is damaged, or the result of something else than ``identity``.
    """
    tensors, metadata = open_result(path, identity, _VERSION)
    try:
        rows = []
        for figures in metadata["rows"]:
            values: dict[str, dict[str, NDArray[np.float32]]] = {"test": {}, "valid": {}}
            for name, tensor in tensors.items():
                if name.startswith(f"{figures['key']}/"):
                    _, part, measured = name.split("/")
                    values[part][measured] = tensor.numpy()
            figures["stability"] = float("nan") if figures["stability"] is None else figures["stability"]
            rows.append(RowResult(**figures, test=values["test"], valid=values["valid"]))
        found, lengths = Diversity(**metadata["diversity"]), tensors["lengths"].numpy()
        users = {name: tensors[name].numpy() for name in _CHOOSING if name in tensors}
        return SeedResult(metadata["seed"], tuple(rows), found, lengths, metadata["seconds"], **users)
    except (KeyError, TypeError, ValueError):
        raise not_a_result(path) from None


def open_result(path: Path, identity: Mapping[str, Any], version: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a result file.

    Raises:
        CheckpointError: it is damaged, of another version, or the result of something else than ``identity``.
    """
    tensors, metadata = read_tensors(path, "result")
    require_same(path, "format", {"version": metadata.get("version")}, {"version": version})
    require_same(path, "experiment", metadata.get("identity", {}), identity)
    return tensors, metadata


def not_a_result(path: Path) -> CheckpointError:
    """The error for a whole file whose content is not what this version writes."""
    return CheckpointError(f"{path}: not a result of this version of chordkit: delete it to measure again")
