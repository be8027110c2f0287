"""Strategies, and user vectors, of all users of a data set: a table with a row a user, made in parts that a killed run keeps."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chordkit.data import Dataset, left_pad
from chordkit.documents import parse_json
from chordkit.errors import CheckpointError, InputError
from chordkit.files import atomic_writer, read_bytes, write_json
from chordkit.hypernetwork.inference import make_strategies, make_user_vectors, to_user_vector
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.progress import Progress
from chordkit.strategy import average_bits_each, encode_each, encode_user_vector
from chordkit.training.checkpoint import digest, require_same

PART = 8192
"""Users of a part: some seconds of work."""

_IDENTITY = "run.json"


@dataclass(frozen=True)
class BulkStrategies:
    """What was written.

    Attributes:
        users: rows of the table.
        resumed: users that an earlier, interrupted run had made.
        average_bits: mean over the users.
        bytes: of all strategies and user vectors on the wire.
    """

    users: int
    resumed: int
    average_bits: float
    bytes: int


def make_all_strategies(
    hypernetwork: Hypernetwork,
    dataset: Dataset,
    out: str | os.PathLike[str],
    budget: float | None = None,
    progress: Progress | None = None,
) -> BulkStrategies:
    """Write a Parquet table, in the order of the data set's users: ``user`` (the owner's id, text), ``strategy`` (CHRD, binary), where the
    hypernetwork makes them ``user_vector`` (CHRU, binary), and ``average_bits`` (float32).

    Args:
        hypernetwork: trained; put into eval mode.
        dataset: all of each user's sequence counts, as far back as the profile looks.
        out: the table, which appears whole or not at all. Parts lie beside it, in ``<out>.parts``, until it does: the same call goes on
            after the last of them.
        budget: average bits; None = what the hypernetwork was trained for.
        progress: called with ("strategies", users done, users).

    Raises:
        CheckpointError: the parts there are another run's.
        InputError: the data set has another number of items.
    """
    items = hypernetwork.item_embedding.shape[0] - 1
    if dataset.items != items:
        raise InputError(f"data set '{dataset.name}' has {dataset.items} items but the hypernetwork {items}: use its own data set")
    out = Path(out)
    folder = out.with_name(out.name + ".parts")
    _begin(folder, _identity(hypernetwork, dataset, budget))
    sequences = dataset.sequences
    resumed = made = wire = 0
    bits = 0.0
    for number, start in enumerate(range(0, dataset.users, PART)):
        if progress is not None:
            progress("strategies", start, dataset.users)
        rows = slice(start, min(start + PART, dataset.users))
        path = folder / f"part-{number:06d}.parquet"
        if path.exists():
            frame = _read_part(path)
            resumed += frame.height
        else:
            frame = _part(hypernetwork, sequences[rows], dataset.user_ids[rows], budget)
            with atomic_writer(path) as stream:
                frame.write_parquet(stream)
        made += frame.height
        bits += float(frame["average_bits"].sum())
        wire += sum(int(frame[name].bin.size().sum()) for name in ("strategy", "user_vector") if name in frame.columns)
    with atomic_writer(out) as stream:
        pl.scan_parquet(sorted(folder.glob("part-*.parquet"))).sink_parquet(stream)
    shutil.rmtree(folder)
    if progress is not None:
        progress("strategies", dataset.users, dataset.users)
    return BulkStrategies(made, resumed, bits / made, wire)


def _read_part(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        raise CheckpointError(f"{path}: this part is damaged: delete it, and the same command makes it again") from None


def _part(hypernetwork: Hypernetwork, sequences: list[np.ndarray], users: Sequence[str], budget: float | None) -> pl.DataFrame:
    histories = left_pad(sequences, hypernetwork.options.pools[-1])
    widths = make_strategies(hypernetwork, histories, budget)
    columns: dict[str, Any] = {
        "user": list(users),
        "strategy": encode_each(widths, hypernetwork.fingerprint),
    }
    if hypernetwork.options.user_vector:
        vectors = make_user_vectors(hypernetwork, histories)
        columns["user_vector"] = [encode_user_vector(to_user_vector(hypernetwork, each)) for each in vectors]
    columns["average_bits"] = np.asarray(average_bits_each(widths, hypernetwork.table), np.float32)
    return pl.DataFrame(columns)


def _identity(hypernetwork: Hypernetwork, dataset: Dataset, budget: float | None) -> dict[str, Any]:
    """All that the table depends on."""
    return {
        "users": hashlib.sha256("\0".join(dataset.user_ids).encode("utf-8", "surrogatepass")).hexdigest(),
        "dataset": dataset.fingerprint,
        "hypernetwork": digest({name: tensor.cpu() for name, tensor in hypernetwork.state_dict().items()}),
        "backbone": hypernetwork.master_digest.hex(),
        "budget": budget,
        "part": PART,
    }


def _begin(folder: Path, identity: dict[str, Any]) -> None:
    path = folder / _IDENTITY
    if path.exists():
        try:
            found = parse_json(read_bytes(path, "parts of strategies").decode())
        except (InputError, ValueError):
            found = None
        require_same(path, "run", found, identity)
        return
    if folder.exists() and any(folder.glob("part-*.parquet")):
        raise CheckpointError(f"{folder}: these parts do not say which run they are of: delete the folder to start anew")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, identity)
