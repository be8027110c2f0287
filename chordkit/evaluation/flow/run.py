"""The simulation as one call: every seed trained, run through its days, and kept."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from chordkit.coda.building import PoolOptions
from chordkit.coda.personal import PersonalOptions
from chordkit.coda.phone import Cadence
from chordkit.data import Dataset, split_identity
from chordkit.data.cut import find_cut
from chordkit.data.times import Clock, clock_of
from chordkit.errors import CheckpointError, DataError
from chordkit.evaluation.flow.cloud import HELD_OUT, train_clouds
from chordkit.evaluation.flow.simulation import CONDITIONS, Course, simulate
from chordkit.files import read_bytes, reproducible_safetensors, write_bytes
from chordkit.hypernetwork import HypernetworkOptions
from chordkit.progress import Progress
from chordkit.tensors import checksum, read_arrays
from chordkit.training import TrainingOptions, default_options

_FORMAT = "chordkit-flow"
_ARRAYS = ("ndcg", "likelihood", "traffic", "visitors", "visited", "health")


def _tight() -> HypernetworkOptions:
    # A quarter of the channels on, where a strategy is worth most; nothing is shown twice; strategies that may be ten clicks old.
    return HypernetworkOptions(widths=(0, 8), average_bits=2.0, seen_masked=True, profile_age=10)


@dataclass(frozen=True)
class FlowOptions:
    """What is simulated.

    Attributes:
        split_at: two moments as in :func:`chordkit.data.split`: what is before the first trains, what is between them validates, and the
            second is the first day of the simulation.
        architecture: of the backbone; one that the engine runs.
        start: how it is trained; None = the defaults.
        personal: how the hypernetwork is trained; the static rival likewise.
        cadence: when phones do what.
        learning: how phones train.
        pool: how the pool of samples is made.
        pool_days: days between two pools.
    """

    split_at: str = "50%,60%"
    architecture: str = "sasrec"
    start: TrainingOptions | None = None
    personal: HypernetworkOptions = field(default_factory=_tight)
    cadence: Cadence = Cadence()  # noqa: RUF009 (frozen)
    learning: PersonalOptions = PersonalOptions()  # noqa: RUF009 (frozen)
    pool: PoolOptions = PoolOptions()  # noqa: RUF009 (frozen)
    pool_days: int = 28

    def first_day(self, dataset: Dataset) -> int:
        """When the simulation starts, microseconds since 1970.

        Raises:
            DataError: the data set has no dates, or nothing lies before, between or behind the two moments.
        """
        if dataset.times is None or clock_of(dataset) is not Clock.EPOCH:
            has = "has no times" if dataset.times is None else "has times that are no dates"
            raise DataError(f"data set '{dataset.name}' {has}, and a simulation goes over days; prepare it from a file with dates")
        return find_cut(dataset, self.split_at).test


def run_flow(
    dataset: Dataset,
    options: FlowOptions,
    seeds: tuple[int, ...],
    folder: str | os.PathLike[str],
    progress: Progress | None = None,
) -> list[dict[str, Course]]:
    """Every seed's courses by condition. What an earlier call left in ``folder`` is taken from there; an interrupted training goes on.

    Raises:
        DataError: see :meth:`FlowOptions.first_day`.
        CheckpointError: the folder holds another simulation's results or checkpoints.
        MissingRuntimeError: the native engine was not compiled.
    """
    return [_seed(dataset, options, seed, Path(folder), progress) for seed in seeds]


def _seed(dataset: Dataset, options: FlowOptions, seed: int, folder: Path, progress: Progress | None) -> dict[str, Course]:
    start = options.first_day(dataset)
    identity = _identity(dataset, options, seed)
    paths = {name: folder / f"seed{seed}" / f"{name}.safetensors" for name in CONDITIONS}
    if all(path.exists() for path in paths.values()):
        return {name: _load(path, identity) for name, path in paths.items()}
    training = replace(options.start or default_options(options.architecture), seed=seed)
    personal = replace(options.personal, seed=seed)
    checkpoints = folder / "checkpoints" / f"seed{seed}"
    clouds = train_clouds(dataset, options.architecture, training, personal, options.split_at, checkpoints, progress)
    found = simulate(dataset, start, clouds, options.cadence, options.learning, options.pool, options.pool_days, progress)
    for name, path in paths.items():
        _save(path, found[name], identity)
    return found


def _identity(dataset: Dataset, options: FlowOptions, seed: int) -> str:
    parts: dict[str, Any] = {
        "split": split_identity(dataset, HELD_OUT, HELD_OUT, options.split_at),
        "architecture": options.architecture,
        "start": (options.start or default_options(options.architecture)).to_json(),
        "personal": options.personal.to_json(),
        "phone": [asdict(options.cadence), asdict(options.learning), asdict(options.pool), options.pool_days],
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _save(path: Path, course: Course, identity: str) -> None:
    tensors = {name: np.ascontiguousarray(getattr(course, name)) for name in _ARRAYS}
    header = {"format": _FORMAT, "identity": identity}
    header["sha256"] = checksum(header, tensors, _ARRAYS)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, reproducible_safetensors(to_safetensors(tensors, header)))


def _load(path: Path, identity: str) -> Course:
    tensors: Mapping[str, np.ndarray]
    try:
        tensors, header = read_arrays(read_bytes(path, "course of a simulation", 1 << 30))
    except ValueError as error:
        raise CheckpointError(f"{path}: not the course of a simulation, or damaged ({error}); delete it") from None
    said = header.pop("sha256", "")
    if header.get("format") != _FORMAT or set(tensors) != set(_ARRAYS) or checksum(header, tensors, _ARRAYS) != said:
        raise CheckpointError(f"{path}: not the course of a simulation, or damaged; delete it, and the same command makes it again")
    if header.get("identity") != identity:
        raise CheckpointError(f"{path}: it is of another simulation (data, options or seed); give another folder")
    return Course(**tensors)
