"""The engine of one machine: a shard in, a shard out, in several processes; what a killed run has made is not made again."""

import json
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from chordkit.documents import parse_json
from chordkit.errors import CheckpointError, InputError
from chordkit.jobs.batch import AVERAGE_BITS, STRATEGY, UNKNOWN_ITEMS, USER_VECTOR, Worker, sole_worker_of
from chordkit.jobs.job import Job
from chordkit.jobs.places import Place
from chordkit.jobs.sources import BATCH, Source, Tables
from chordkit.progress import Progress
from chordkit.training.checkpoint import require_same

RECORDS = "_chordkit"
"""The folder, beside the shards, of what a run keeps for the one that goes on; Spark and others pass over such names."""
ROW_GROUP = 8 * BATCH
_RUN = "run.json"
# Strategies do not repeat, so that a dictionary and limits of them cost time and bring nothing.
FORM: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "write_statistics": False}
_ANEW = "name another place for this run, or delete that one to start anew"


@dataclass(frozen=True)
class Made:
    """What stands in shards.

    Attributes:
        users: rows.
        strategies: rows with a strategy.
        nameless: rows without a user's id, and so without a strategy.
        unknown_items: items of histories that the catalogue does not have; they were left out.
        bits: sum of the average bits over the strategies.
        bytes: of all strategies and user vectors on the wire; 0 where nobody counted them.
        file_bytes: of the shards.
    """

    users: int = 0
    strategies: int = 0
    nameless: int = 0
    unknown_items: int = 0
    bits: float = 0.0
    bytes: int = 0
    file_bytes: int = 0

    def __add__(self, other: "Made") -> "Made":
        return Made(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def without_items(self) -> int:
        """Rows of a user with an id and without a known item, who has no strategy."""
        return self.users - self.strategies - self.nameless

    @property
    def average_bits(self) -> float:
        """Mean over the strategies; 0 without any."""
        return self.bits / self.strategies if self.strategies else 0.0


@dataclass(frozen=True)
class Run:
    """What a run made, and what it found made.

    Attributes:
        made: all of it.
        shards: how many.
        resumed: users in shards that an earlier run had made.
    """

    made: Made
    shards: int
    resumed: int


def make_strategies(job: Job, source: str, out: str, *, jobs: int = 1, progress: Progress | None = None) -> Run:
    """Strategies of all users in Parquet tables: for each table one of the same name.

    Args:
        job: what is asked.
        source: a folder, a table or a pattern; a path or a URL that fsspec knows.
        out: a folder, likewise. A table in it is whole or not there. The same call goes on after a kill.
        jobs: processes.
        progress: called with ("shards", shards done, shards).

    Raises:
        InputError: there is no table, or one is damaged or lacks a column: then all others are made before.
        CheckpointError: what is in ``out`` came of other tables or of another job.
    """
    tables = Tables.find(source)
    within, place = Place.of(tables.url), Place.of(out)
    if type(within.system) is type(place.system) and f"{place.path}/".startswith(f"{within.path}/"):
        raise InputError(f"{out}: it lies in the folder of the histories, and would be read as some; name another place")
    return run(job, tables, out, jobs=jobs, progress=progress)


def run(job: Job, source: Source, out: str, *, jobs: int = 1, progress: Progress | None = None) -> Run:
    """:func:`make_strategies` of any source."""
    place, shards = Place.of(out), source.shards()
    if jobs > 1 and place.of_this_process:
        raise InputError(f"{out}: no other process sees this place; give jobs = 1")
    done = _begin(place, job, shards)
    waiting = {name: version for name, version in shards.items() if name not in done}
    made, resumed = sum(done.values(), Made()), sum(each.users for each in done.values())
    problems: list[str] = []
    results = _side_by_side(job, source, out, waiting, jobs) if jobs > 1 and len(waiting) > 1 else _in_turn(job, source, out, waiting)
    if progress is not None:
        progress("shards", len(done), len(shards))
    for count, result in enumerate(results, len(done) + 1):
        if isinstance(result, str):
            problems.append(result)
        else:
            made += result
        if progress is not None:
            progress("shards", count, len(shards))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; {len(shards) - len(problems)} of {len(shards)} are made, and the same call goes on")
    return Run(made, len(shards), resumed)


def _begin(place: Place, job: Job, shards: dict[str, str]) -> dict[str, Made]:
    """Hold that what is in ``place`` is this run's, or begin one there: what of it is done.

    Raises:
        CheckpointError: it is another's.
    """
    records = place.read_all(RECORDS)
    identity = {**job.identity(), "shards": shards}
    mark = place.said(f"{RECORDS}/{_RUN}")
    if _RUN not in records:
        if place.system.isdir(place.path) and place.files():
            raise CheckpointError(f"{place.url}: there are tables in it that do not say which run they are of; {_ANEW}")
        _write_json(place, _RUN, identity)
        return {}
    found = _parsed(records[_RUN])
    theirs = found.pop("shards", None)
    theirs = theirs if isinstance(theirs, dict) else {}
    require_same(Path(mark), "run", found, job.identity(), "run", _ANEW)
    done, there = {}, place.files()
    for name in [*shards, *theirs]:
        record = _parsed(records.get(_record_name(name), b"{}"))
        made = _made(record) if name in there else None
        what = "is new" if name not in theirs else "is gone" if name not in shards else None
        if what is None and made is not None and record.get("version") != shards[name]:
            what = "has changed since it was made"
        if what is not None:
            raise CheckpointError(f"{mark}: this run began with other histories: {name} {what}; {_ANEW}")
        if made is not None:
            done[name] = made
    if theirs != shards:
        _write_json(place, _RUN, identity)  # a table that was damaged has been replaced
    return done


def _made(record: dict[str, Any]) -> Made | None:
    try:
        return Made(**record["made"])
    except (KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Bench:
    """Where shards are made: in this process."""

    worker: Worker
    source: Source
    place: Place

    def make(self, name: str, version: str) -> Made | str:
        """What a shard gave, or a sentence about what is wrong with it."""
        try:
            return make_shard(self.worker, self.source, self.place, name, version)
        except InputError as error:
            return f"{self.source.say(name)}: {error}"


def _in_turn(job: Job, source: Source, out: str, waiting: dict[str, str]) -> Iterator[Made | str]:
    threads = torch.get_num_threads()
    try:
        bench = _Bench(sole_worker_of(job.digest, lambda: job), source, Place.of(out))
        for name, version in waiting.items():
            yield bench.make(name, version)
    finally:
        torch.set_num_threads(threads)


_bench: list[_Bench] = []
"""Of a process that works beside others: one."""


def _prepare(job: Job, source: Source, out: str) -> None:
    """Once in each process: what it works with, and an end when its parent is gone, for nobody else would end it."""
    parent = multiprocessing.parent_process()

    def watch(parent: Any) -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, args=[parent], daemon=True, name="parent").start()
    _bench.append(_Bench(sole_worker_of(job.digest, lambda: job), source, Place.of(out)))


def _work(name: str, version: str) -> Made | str:
    return _bench[0].make(name, version)


def _side_by_side(job: Job, source: Source, out: str, waiting: dict[str, str], jobs: int) -> Iterator[Made | str]:
    # Not forked: a fork of a process whose torch has threads may hang.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(waiting)), spawn, initializer=_prepare, initargs=(job, source, out)) as pool:
        try:
            for each in as_completed([pool.submit(_work, name, version) for name, version in waiting.items()]):
                yield each.result()
        except BrokenProcessPool:
            raise InputError(
                f"{out}: a process ended early, perhaps for want of memory; give fewer jobs, and the same call goes on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def make_shard(worker: Worker, source: Source, place: Place, name: str, version: str) -> Made:
    """Make one shard, and write down that it is made.

    Raises:
        InputError: it is damaged, or is not a table of histories.
    """
    made = Made()
    with source.open(name, worker.columns) as (given, batches):
        worker.require_schema(given)
        schema = worker.schema(given)
        with place.writer(name) as stream, pq.ParquetWriter(stream, schema, **FORM) as writer:
            gathered: list[pa.RecordBatch] = []
            for batch in batches:
                gathered.append(worker.make(batch))
                made += counted(gathered[-1])
                if sum(each.num_rows for each in gathered) >= ROW_GROUP:
                    writer.write_table(pa.Table.from_batches(gathered), ROW_GROUP)
                    gathered.clear()
            writer.write_table(pa.Table.from_batches(gathered, schema), ROW_GROUP)
    made += Made(file_bytes=place.system.size(place.inside(name)))
    _write_json(place, _record_name(name), {"version": version, "made": asdict(made)})
    return made


def counted(batch: pa.RecordBatch | pa.Table) -> Made:
    """What a batch of results adds; without its binary columns, all but their bytes."""
    bits = batch.column(AVERAGE_BITS)
    names = [name for name in (STRATEGY, USER_VECTOR) if name in batch.schema.names]
    return Made(
        users=batch.num_rows,
        strategies=batch.num_rows - bits.null_count,
        nameless=batch.column(0).null_count,
        unknown_items=pc.sum(batch.column(UNKNOWN_ITEMS)).as_py() or 0,
        bits=pc.sum(bits.cast(pa.float64())).as_py() or 0.0,
        bytes=sum(pc.sum(pc.binary_length(batch.column(name)).cast(pa.int64())).as_py() or 0 for name in names),
    )


def _record_name(name: str) -> str:
    return f"{quote(name, safe='')}.json"


def _write_json(place: Place, name: str, value: dict[str, Any]) -> None:
    with place.writer(f"{RECORDS}/{name}") as stream:
        stream.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode())


def _parsed(data: bytes) -> dict[str, Any]:
    """What a record says; nothing where it is damaged."""
    try:
        found = parse_json(data, None)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
