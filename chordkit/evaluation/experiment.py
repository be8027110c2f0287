"""One experiment: for each seed every model that there is to compare is trained with equal care, and every rival measured."""

import json
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chordkit.backbones import Backbone, config_to_dict, default_config
from chordkit.data import Dataset, Split, SplitPart, split, split_identity
from chordkit.errors import DataError, InputError, MasterError, StrategyError
from chordkit.evaluation.duet import Duet, train_duet
from chordkit.evaluation.measure import Measured, Temperatures, fit_temperatures, measure
from chordkit.evaluation.results import RowResult, SeedResult, load_result, save_result
from chordkit.evaluation.retrieval import candidate_sets
from chordkit.evaluation.rivals import Models, Rival, aged, rivals
from chordkit.evaluation.summary import halves
from chordkit.hypernetwork import HypernetworkOptions, TrainedHypernetwork, train_hypernetwork
from chordkit.hypernetwork.diversity import Diversity, diversity
from chordkit.progress import Progress, renamed
from chordkit.training import TrainingOptions, default_options, train_backbone
from chordkit.training.checkpoint import digest
from chordkit.training.device import torch_arithmetic

AGES = (5, 20, 50)
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
        split_at: the moments from which on items validate and test, for a split by time as in :func:`chordkit.data.split`.
        vectors: whether the rows of equal information are trained, user vectors and generated weights: twice the time.
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
    split_at: str | None = None

    def split(self, dataset: Dataset, max_length: int) -> Split:
        """What is trained on, what validates and what tests."""
        return split(dataset, max_length, self.held_out, self.validation, self.split_at)


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
        folder: for results and checkpoints; a run that was interrupted goes on there. Experiments that differ in budget and widths alone
            may share one: what does not depend on them (the starts, the fp32 rivals) is then trained once. None = nothing is kept.
        progress: called with (phase, done, total).
        backbone: what all begin with, trained without the held-out items; None = one is trained for every seed.

    Raises:
        DataError: the data set does not fit, or too few users have something held out.
        CheckpointError: the folder holds results or checkpoints of another experiment.
    """
    for what, choosing in zip(("validate", "test"), _choosing_users(dataset, options.split(dataset, 1)), strict=True):
        if choosing.all() or not choosing.any():
            raise DataError(
                f"data set '{dataset.name}': {len(choosing)} users have items that {what}, too few for a half that chooses and one that "
                "confirms; use more users, or cut at other moments"
            )
    return [_seed_result(dataset, options, seed, None if folder is None else Path(folder), progress, backbone) for seed in options.seeds]


def budget_name(options: HypernetworkOptions) -> str:
    """Average bits and widths, as they name folders."""
    return f"{options.average_bits:g}-of-{'.'.join(map(str, options.widths))}"


def _seed_result(
    dataset: Dataset, options: ExperimentOptions, seed: int, folder: Path | None, progress: Progress | None, backbone: Backbone | None
) -> SeedResult:
    identity = experiment_identity(dataset, options, seed, backbone)
    path = None if folder is None else folder / budget_name(options.personal) / f"seed{seed}.safetensors"
    if path is not None and path.exists():
        return load_result(path, identity)
    start = time.perf_counter()
    models = train_models(dataset, options, seed, folder, progress, backbone)
    result = measure_models(dataset, models, options, seed, progress)
    result = replace(result, seconds=time.perf_counter() - start)
    if path is not None:
        save_result(path, result, identity)
    return result


def train_models(
    dataset: Dataset,
    options: ExperimentOptions,
    seed: int,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    backbone: Backbone | None = None,
) -> Models:
    """All models of one seed; see :func:`run_experiment`."""
    places: dict[str, Any] = {"held_out": options.held_out, "validation": options.validation, "split_at": options.split_at}
    checkpoints = None if folder is None else Path(folder) / "checkpoints" / f"seed{seed}"
    if backbone is None:
        start_options = replace(options.start or default_options(options.architecture), seed=seed, threads=options.personal.threads)
        config = default_config(options.architecture, dataset.items)
        where = None if checkpoints is None else checkpoints / "start"
        named = renamed(progress, f"seed {seed}, start")
        backbone = train_backbone(dataset, config, start_options, where, named, **places).backbone
    source = backbone

    def train(name: str, own: HypernetworkOptions, where: Path | None) -> TrainedHypernetwork:
        folder = None if where is None else where / name
        named = renamed(progress, f"seed {seed}, {name}")
        try:
            return train_hypernetwork(dataset, source, None, own, folder, named, **places)
        except (MasterError, StrategyError) as error:  # it diverged
            raise InputError(f"seed {seed}, {name}: {error}") from None

    def quantised(name: str, **changes: Any) -> TrainedHypernetwork:
        where = None if checkpoints is None else checkpoints / budget_name(options.personal)
        return train(name, replace(options.personal, seed=seed, **changes), where)

    def fp32(name: str, **changes: Any) -> TrainedHypernetwork | None:
        # A backbone that is frozen, or random, has no rival that goes on learning.
        if options.personal.backbone_init != "joint":
            return None
        return train(name, replace(fp32_options(options.personal), seed=seed, **changes), checkpoints)

    def generated() -> Duet | None:
        if options.personal.backbone_init != "joint":
            return None
        where = None if checkpoints is None else checkpoints / "duet"
        own = replace(fp32_options(options.personal), seed=seed)
        return train_duet(dataset, source, own, where, renamed(progress, f"seed {seed}, duet"), **places)

    vectors = options.vectors
    return Models(
        personal=quantised("personal"),
        static=quantised("static", personal=False),
        full=fp32("fp32"),
        personal_vector=quantised("personal-vector", user_vector=True) if vectors else None,
        static_vector=quantised("static-vector", personal=False, user_vector=True) if vectors else None,
        full_vector=fp32("fp32-vector", user_vector=True) if vectors else None,
        full_long=fp32("fp32-long", window=0, stride=_LONG_STRIDE),
        duet=generated() if vectors else None,
        start=source,
    )


def fp32_options(options: HypernetworkOptions) -> HypernetworkOptions:
    """The fp32 rival of ``options``, without what only a strategy depends on, so that all budgets have the same one."""
    plain = HypernetworkOptions()
    nothing = {name: getattr(plain, name) for name in ("average_bits", "widths", "budgets", "without", "temperature", "rank")}
    return replace(options, quantised=False, personal=False, **nothing)


def measure_models(dataset: Dataset, models: Models, options: ExperimentOptions, seed: int, progress: Progress | None = None) -> SeedResult:
    """Every rival on the held-out items of ``dataset``.

    Raises:
        InputError: a rival's scores are no numbers.
    """
    with torch_arithmetic(options.personal.threads):
        return _measure_models(dataset, models, options, seed, progress)


def _measure_models(dataset: Dataset, models: Models, options: ExperimentOptions, seed: int, progress: Progress | None) -> SeedResult:
    parts = options.split(dataset, models.personal.backbone.config.max_length)
    found: dict[str, list[tuple[Rival, Measured]]] = {}
    temperatures: dict[str, Temperatures] = {}
    for index, part in enumerate((parts.valid, parts.test)):
        candidates = candidate_sets(part, parts.train, dataset.items)
        plan = rivals(models, part, seed=seed) + [aged(models, part, age) for age in options.ages]
        for done, rival in enumerate(plan):
            states = rival.states(part, models.personal.hypernetwork.table)
            if part is parts.valid:
                temperatures[rival.key] = fit_temperatures(rival.backbone, states, part)
            measured = measure(rival.backbone, states, part, candidates, temperatures[rival.key])
            if not np.isfinite(measured.values["likelihood"]).all():
                raise InputError(f"seed {seed}: the scores of '{rival.key}' are no numbers: its training diverged, give a lower lr")
            found.setdefault(rival.key, []).append((rival, measured))
            if progress:
                progress(f"seed {seed}, measuring", index * len(plan) + done + 1, 2 * len(plan))
    rows = tuple(_row(dataset, valid, test, temperatures[key], parts) for key, (valid, test) in found.items())
    valid, test = _choosing_users(dataset, parts)
    return SeedResult(seed, rows, _diversity(models, parts, seed), _lengths(parts.test), choosing=test, choosing_valid=valid)


def _choosing_users(dataset: Dataset, parts: Split) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the users with validation items, and of those with test items, which belong to the choice half; in the order of their numbers."""
    choosing = halves(dataset.users)
    return choosing[np.unique(parts.valid.users)], choosing[np.unique(parts.test.users)]


def _row(
    dataset: Dataset, valid: tuple[Rival, Measured], test: tuple[Rival, Measured], temperatures: Temperatures, parts: Split
) -> RowResult:
    rival, measured = test
    return RowResult(
        key=rival.key,
        label=rival.label,
        personal=rival.personal,
        bits=rival.bits,
        products=rival.products,
        phone_bytes=rival.phone_bytes,
        wire_bytes=rival.wire_bytes,
        coverage=len(np.unique(measured.top)) / dataset.items,
        stability=stability(measured.top, parts.test.users),
        temperature=temperatures.full,
        masked_temperature=temperatures.masked,
        test=per_user(measured, parts.test),
        valid=per_user(valid[1], parts.valid),
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
    histories = parts.test.recent(models.personal.options.pools[-1])[parts.test.first_rows]
    return diversity(models.personal.hypernetwork, histories, seed=seed)


def _lengths(part: SplitPart) -> NDArray[np.int64]:
    first = part.first_rows
    return part.stops[first] - part.starts[first]


def experiment_identity(dataset: Dataset, options: ExperimentOptions, seed: int, backbone: Backbone | None) -> dict[str, Any]:
    """What the result of a seed depends on, as JSON values."""
    config = default_config(options.architecture, dataset.items) if backbone is None else backbone.config
    parts = split_identity(dataset, options.held_out, options.validation, options.split_at)
    return {
        "dataset": dataset.fingerprint,
        # As a file gives it back: JSON has no tuples.
        "configuration": json.loads(json.dumps(config_to_dict(config))),
        "start": digest(backbone.state_dict())
        if backbone is not None
        else (options.start or default_options(options.architecture)).to_json(),
        "personal": replace(options.personal, seed=seed).to_json(),
        "split": [options.held_out, options.validation, *([parts["split_at"]] if "split_at" in parts else [])],
        "vectors": options.vectors,
        "ages": list(options.ages),
    }
