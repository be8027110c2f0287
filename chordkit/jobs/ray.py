"""The engine Ray Data: tasks, not actors, for these are started anew wherever a process is lost, and go with a GPU as well."""

import logging
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from chordkit.errors import InputError
from chordkit.jobs import require_packages
from chordkit.jobs.batch import AVERAGE_BITS, UNKNOWN_ITEMS, Worker, sole_worker_of, worker_of
from chordkit.jobs.job import Job, one_line
from chordkit.jobs.shards import FORM, Made, counted

if TYPE_CHECKING:
    from ray.data import Dataset, Schema

BATCH = 16_384
"""Users of a call: a task of Ray holds them, and what is made of them."""
_BLOCK_BYTES = 16 << 20
"""Of what is read at a time, some 75,000 users: of Ray's own 128 MB a million users are two blocks, which keep two cores busy at most."""


def make_strategies(dataset: "Dataset", job: Job, *, tasks: int | None = None, gpus: float = 0.0) -> "Dataset":
    """Strategies of all users of a Ray data set, as a data set: a row for each, with the columns that :mod:`chordkit.jobs.batch` makes.

    The workers need chordkit installed; the model lies in the object store, from where each process takes it once. Whatever Ray does
    again, it does to the same bytes.

    Args:
        dataset: with the job's columns of users and histories.
        job: what is asked.
        tasks: at a time, at most; None = as many as Ray finds room for.
        gpus: of a task, 0.25 for four on one; 0 = the CPU.

    Raises:
        InputError: a column is missing or of another kind.
    """
    require_packages("ray", "ray")
    import ray

    worker = worker_of(job.digest, lambda: job)
    worker.require_schema(_arrow(dataset.schema()))
    device = "cuda" if gpus else "cpu"
    mapped: Dataset = dataset.select_columns(worker.columns).map_batches(
        partial(_batch, job.digest, [ray.put(job)], device),
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ray.data.TaskPoolStrategy(size=tasks),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    return mapped


def _arrow(schema: "Schema | None") -> pa.Schema:
    return pa.schema([]) if schema is None else pa.schema(list(zip(schema.names, schema.types, strict=True)))


def _batch(digest: str, stored: list[Any], device: str, table: pa.Table) -> pa.Table:
    import ray

    worker: Worker = sole_worker_of(digest, lambda: ray.get(stored[0]), device)
    schema = worker.schema(table.schema)
    return pa.Table.from_batches([worker.make(batch) for batch in table.combine_chunks().to_batches()], schema)


def run(job: Job, source: str, out: str, *, jobs: int = 1) -> Made:
    """Read Parquet tables with Ray, make strategies, and write them as a folder of tables.

    It runs on the cluster that ``RAY_ADDRESS`` names; without, on this machine, with ``jobs`` cores.

    Args:
        job: what is asked.
        source: a path or URL that Arrow knows.
        out: likewise; it may not exist.
        jobs: cores of this machine; on a cluster, tasks at a time.

    Raises:
        InputError: the tables cannot be read or lack a column, ``out`` exists, or the job failed.
        MissingRuntimeError: Ray is not installed.
    """
    start(jobs)
    import ray
    from ray.data import SaveMode
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    before, context.target_max_block_size = context.target_max_block_size, _BLOCK_BYTES
    try:
        tables = ray.data.read_parquet(source, concurrency=jobs)
        made = make_strategies(tables, job, tasks=jobs)
        made.write_parquet(out, mode=SaveMode.ERROR, concurrency=jobs, **FORM)
        counts = ray.data.read_parquet(out, columns=[job.user, AVERAGE_BITS, UNKNOWN_ITEMS], concurrency=jobs).map_batches(
            _count, batch_format="pyarrow", batch_size=None, compute=ray.data.TaskPoolStrategy(size=jobs)
        )
        total = sum((Made(**row) for row in counts.iter_rows()), Made())
    except (RayError, OSError, ValueError) as error:
        raise InputError(f"Ray: the job failed: {_cause(error)}") from None
    finally:
        context.target_max_block_size = before
    return total


def start(jobs: int = 1, **settings: Any) -> None:
    """Join the Ray that is there, or start one on this machine with ``jobs`` cores, which is all that it may take.

    Raises:
        MissingRuntimeError: Ray is not installed.
    """
    require_packages("ray", "ray", "pyarrow")
    import ray

    if not ray.is_initialized():
        here: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": jobs, "include_dashboard": False}
        ray.init(**{"logging_level": logging.ERROR, "log_to_driver": False} | here | settings)
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _count(table: pa.Table) -> pa.Table:
    made = counted(table)
    return pa.table({name: [value] for name, value in vars(made).items()})


def _cause(error: BaseException) -> str:
    """The line that matters of what came back from the workers."""
    ours = re.findall(r"(?:chordkit\.errors\.)?(?:InputError|EnvelopeError): (.*)", str(error))
    return str(ours[-1]) if ours else one_line(error if isinstance(error, Exception) else Exception(str(error)))
