"""One experiment: for each seed every model that there is to compare is trained with equal care, and every rival measured."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.backbones import Backbone, config_to_dict, default_config
from chordkit.data import Dataset, Split, SplitPart, split
from chordkit.errors import CheckpointError
from chordkit.evaluation.measure import Measured, measure
from chordkit.evaluation.retrieval import nearest_candidates, random_candidates
from chordkit.evaluation.rivals import Models, Rival, aged, rivals
from chordkit.hypernetwork import HypernetworkOptions, TrainedHypernetwork, train_hypernetwork
from chordkit.hypernetwork.diversity import Diversity, diversity
from chordkit.progress import Progress
from chordkit.training import TrainingOptions, default_options, train_backbone
from chordkit.training.checkpoint import digest, read_tensors, require_same, write_tensors

AGES = (5, 20, 50)
_VERSION = 1
# Interactions that carry the loss in a window of the long rival, as in the training of its start.
_LONG_STRIDE = 25


@dataclass(frozen=True)
class ExperimentOptions:
    """What an experiment compares.

    Attributes:
        architecture: of the backbone.
        personal: how the personal strategy is trained; its rivals are trained in the same way but for what makes them rivals.
        start: how the backbone that all begin with is trained; None = the defaults of the architecture. Not used with ``backbone``.
        seeds: of everything random; one run each, the start included.
        held_out: the last so many items of each user test.
        validation: the items before them validate.
        vectors: whether the rows with user vectors are trained: twice the time.
        ages: interactions, how old the own strategy may be.
    """

    architecture: str = "sasrec"
    personal: HypernetworkOptions = field(default_factory=HypernetworkOptions)
    start: TrainingOptions | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    held_out: int = 5
    validation: int = 5
    vectors: bool = True
    ages: tuple[int, ...] = AGES


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
        stability: share of a user's masked top 10 that is still there one interaction later.
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
    """

    seed: int
    rows: tuple[RowResult, ...]
    diversity: Diversity
    lengths: NDArray[np.int64]


Train = Callable[[HypernetworkOptions, str], TrainedHypernetwork]


def run_experiment(
    dataset: Dataset,
    options: ExperimentOptions,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    backbone: Backbone | None = None,
) -> list[SeedResult]:
    """Train and measure every seed, or take what an earlier call left in ``folder``.

    Args:
        dataset: the data.
        options: what to compare.
        folder: for results and checkpoints; a run that was interrupted goes on there. None = nothing is kept.
        progress: called with (phase, done, total).
        backbone: what all begin with, trained without the held-out items; None = one is trained for every seed.

    Raises:
        DataError: the data set does not fit.
        CheckpointError: the folder holds results or checkpoints of another experiment.
    """
    return [_seed_result(dataset, options, seed, None if folder is None else Path(folder), progress, backbone) for seed in options.seeds]


def _seed_result(
    dataset: Dataset, options: ExperimentOptions, seed: int, folder: Path | None, progress: Progress | None, backbone: Backbone | None
) -> SeedResult:
    identity = _identity(dataset, options, seed, backbone)
    path = None if folder is None else folder / f"seed{seed}.safetensors"
    if path is not None and path.exists():
        return _load(path, identity)
    checkpoints = None if folder is None else folder / "checkpoints" / f"seed{seed}"
    models = train_models(dataset, options, seed, checkpoints, progress, backbone)
    result = measure_models(dataset, models, options, seed, progress)
    if path is not None:
        _save(path, result, identity)
    return result


def train_models(
    dataset: Dataset,
    options: ExperimentOptions,
    seed: int,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
    backbone: Backbone | None = None,
) -> Models:
    """All models of one seed; see :func:`run_experiment`."""
    held_out, validation = options.held_out, options.validation
    if backbone is None:
        start_options = replace(options.start or default_options(options.architecture), seed=seed, threads=options.personal.threads)
        config = default_config(options.architecture, dataset.items)
        where = None if checkpoints is None else checkpoints / "start"
        backbone = train_backbone(dataset, config, start_options, where, progress, held_out=held_out, validation=validation).backbone
    source = backbone

    def train(name: str, **changes: Any) -> TrainedHypernetwork:
        own = replace(options.personal, seed=seed, **changes)
        where = None if checkpoints is None else checkpoints / name
        return train_hypernetwork(dataset, source, None, own, where, progress, held_out=held_out, validation=validation)

    joint = options.personal.backbone_init == "joint"
    vectors = options.vectors
    return Models(
        personal=train("personal"),
        static=train("static", personal=False),
        full=train("full", quantised=False, personal=False) if joint else None,
        personal_vector=train("personal-vector", user_vector=True) if vectors else None,
        static_vector=train("static-vector", personal=False, user_vector=True) if vectors else None,
        full_vector=train("full-vector", quantised=False, personal=False, user_vector=True) if vectors and joint else None,
        full_long=train("full-long", quantised=False, personal=False, window=0, stride=_LONG_STRIDE) if joint else None,
        start=source,
    )


def measure_models(dataset: Dataset, models: Models, options: ExperimentOptions, seed: int, progress: Progress | None = None) -> SeedResult:
    """Every rival on the held-out items of ``dataset``."""
    parts = split(dataset, models.personal.backbone.config.max_length, options.held_out, options.validation)
    found: dict[str, list[tuple[Rival, Measured, SplitPart]]] = {}
    for index, part in enumerate((parts.test, parts.valid)):
        candidates = {
            "n100": random_candidates(part, dataset.items, seed=0),
            "hard": nearest_candidates(part, parts.train, dataset.items),
        }
        plan = rivals(models, part, seed=seed) + [aged(models, part, age) for age in options.ages]
        for done, rival in enumerate(plan):
            measured = measure(rival.backbone, rival.states(part, models.personal.hypernetwork.table), part, candidates)
            found.setdefault(rival.key, []).append((rival, measured, part))
            if progress:
                progress("measuring", index * len(plan) + done + 1, 2 * len(plan))
    rows = tuple(_row(dataset, *each[0], each[1][1], parts.valid) for each in found.values())
    return SeedResult(seed, rows, _diversity(models, parts, seed), _lengths(parts.test))


def _row(dataset: Dataset, rival: Rival, test: Measured, part: SplitPart, valid: Measured, valid_part: SplitPart) -> RowResult:
    return RowResult(
        key=rival.key,
        label=rival.label,
        personal=rival.personal,
        bits=rival.bits,
        products=rival.products,
        phone_bytes=rival.phone_bytes,
        wire_bytes=rival.wire_bytes,
        coverage=len(np.unique(test.top)) / dataset.items,
        stability=stability(test.top, part.users),
        test=per_user(test, part),
        valid=per_user(valid, valid_part),
    )


def per_user(measured: Measured, part: SplitPart) -> dict[str, NDArray[np.float32]]:
    """Mean of each measure over the rows of each user, float32 [users], in the order of the user numbers."""
    number = np.unique(part.users, return_inverse=True)[1]
    rows = np.bincount(number)
    return {name: (np.bincount(number, values) / rows).astype(np.float32) for name, values in measured.values.items()}


def stability(top: NDArray[np.int32], users: NDArray[np.int32]) -> float:
    """Share of a top list [rows, k] that is still there in the same user's next row; NaN where nobody has two rows."""
    same = np.flatnonzero(users[1:] == users[:-1])
    kept = (top[same][:, :, None] == top[same + 1][:, None, :]).any(axis=2)
    return float(kept.mean()) if len(same) else float("nan")


def _diversity(models: Models, parts: Split, seed: int) -> Diversity:
    first = np.unique(parts.test.users, return_index=True)[1]
    histories = parts.test.recent(models.personal.options.pools[-1])[first]
    return diversity(models.personal.hypernetwork, histories, seed=seed)


def _lengths(part: SplitPart) -> NDArray[np.int64]:
    first = np.unique(part.users, return_index=True)[1]
    return part.stops[first] - part.starts[first]


def _identity(dataset: Dataset, options: ExperimentOptions, seed: int, backbone: Backbone | None) -> dict[str, Any]:
    config = default_config(options.architecture, dataset.items) if backbone is None else backbone.config
    return {
        "dataset": dataset.fingerprint,
        "configuration": config_to_dict(config),
        "start": digest(backbone.state_dict())
        if backbone is not None
        else (options.start or default_options(options.architecture)).to_json(),
        "personal": replace(options.personal, seed=seed).to_json(),
        "split": [options.held_out, options.validation],
        "vectors": options.vectors,
        "ages": list(options.ages),
    }


_FIGURES = ("key", "label", "personal", "bits", "products", "phone_bytes", "wire_bytes", "coverage", "stability")


def _save(path: Path, result: SeedResult, identity: dict[str, Any]) -> None:
    tensors = {"lengths": torch.from_numpy(result.lengths)}
    for row in result.rows:
        for part in ("test", "valid"):
            tensors |= {f"{row.key}/{part}/{name}": torch.from_numpy(values) for name, values in getattr(row, part).items()}
    figures = [{name: getattr(row, name) for name in _FIGURES} for row in result.rows]
    for each in figures:
        each["stability"] = each["stability"] if np.isfinite(each["stability"]) else None
    metadata = {"version": _VERSION, "seed": result.seed, "identity": identity, "rows": figures, "diversity": vars(result.diversity)}
    write_tensors(path, tensors, metadata)


def _load(path: Path, identity: dict[str, Any]) -> SeedResult:
    tensors, metadata = read_tensors(path, "result")
    require_same(path, "format", {"version": metadata.get("version")}, {"version": _VERSION})
    require_same(path, "experiment", metadata.get("identity", {}), identity)
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
        return SeedResult(metadata["seed"], tuple(rows), Diversity(**metadata["diversity"]), tensors["lengths"].numpy())
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path}: not a result of this version of chordkit: delete it to measure again") from None
