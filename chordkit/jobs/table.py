"""Strategies of all users of a data set, in one table: a run over its parts, which are put together when all are made."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chordkit.data import Dataset
from chordkit.errors import CheckpointError, InputError
from chordkit.files import atomic_writer
from chordkit.jobs.batch import worker_of
from chordkit.jobs.job import Job
from chordkit.jobs.shards import FORM, Run, run
from chordkit.jobs.sources import Parts
from chordkit.progress import Progress


def make_table(job: Job, dataset: Dataset, out: str | os.PathLike[str], *, jobs: int = 1, progress: Progress | None = None) -> Run:
    """Write a Parquet table with a row for every user of a data set, in its order.

    Args:
        job: what is asked; its columns and item ids do not matter here.
        dataset: all of each user's sequence counts, as far back as the profile looks.
        out: the table, which appears whole or not at all. Parts lie beside it, in ``<out>.parts``, until it does: the same call goes on
            after the last of them.
        jobs: processes.
        progress: called with ("shards", parts done, parts).

    Raises:
        CheckpointError: the parts there are another run's, or one is damaged.
        InputError: the data set has another number of items.
    """
    job = replace(job, user="user", history="history", items=None)
    items = worker_of(job.digest, lambda: job).items
    if dataset.items != items:
        raise InputError(f"data set '{dataset.name}' has {dataset.items} items but the hypernetwork {items}: use its own data set")
    out = Path(out).absolute()
    folder = out.with_name(out.name + ".parts")
    parts = Parts(dataset)
    found = run(job, parts, str(folder), jobs=jobs, progress=progress)
    with atomic_writer(out) as stream:
        _join([folder / name for name in parts.shards()], stream)
    shutil.rmtree(folder)
    return found


def _join(parts: list[Path], stream: object) -> None:
    with pq.ParquetWriter(stream, pq.read_schema(parts[0]), **FORM) as writer:
        for path in parts:
            try:
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
            except (pa.ArrowException, OSError):
                raise CheckpointError(f"{path}: this part is damaged: delete it, and the same command makes it again") from None
