"""The part of ``chordkit strategy make`` that makes everybody's: its options, and the three engines behind them."""

import importlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chordkit.cli.output import emit, key_values, progress_bar
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.jobs.job import Job
    from chordkit.jobs.shards import Made

ENGINES = ("shards", "spark", "ray")

AllOption = Annotated[
    bool,
    typer.Option("--all", help="Of everybody: of every user of --data into the table --out, or of the tables --histories into --into."),
]
HistoriesOption = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="Parquet tables with a user and a list of items a row: a folder, a table, a pattern, or a URL."),
]
IntoOption = Annotated[str | None, typer.Option(metavar="PLACE", help="Where the tables of --histories go: a folder or a URL.")]
ItemsOption = Annotated[
    Path | None,
    typer.Option(help="--histories hold item ids: of this prepared data set, or of the column 'item' of this Parquet table, in order."),
]
ColumnsOption = Annotated[str, typer.Option(metavar="USER,HISTORY", help="What these columns of --histories are called.")]
EngineOption = Annotated[str, typer.Option(help=f"What works on --histories: {', '.join(ENGINES)}; Spark and Ray where these are set up.")]
JobsOption = Annotated[int, typer.Option(min=1, max=1024, help="Processes on this machine, or tasks at a time.")]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Private Ed25519 key (PEM): everything goes into signed envelopes.")]
SerialOption = Annotated[int | None, typer.Option(help="Of the envelopes; larger than the last time, such as 20261127.")]
SubjectOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Whom each envelope is for, at most 24 bytes; the default is the user, '' is nobody."),
]


@dataclass(frozen=True)
class Bulk:
    """The options."""

    histories: str | None
    into: str | None
    items: Path | None
    columns: str
    engine: str
    jobs: int
    key: Path | None
    serial: int | None
    subject: str | None

    @property
    def unused(self) -> bool:
        """Whether none was given."""
        return self == Bulk(None, None, None, "user,history", "shards", 1, None, None, None)


def make_all(
    options: Bulk, master: Path, hypernetwork: Path, out: Path | None, data: str | None, budget: float | None, seed: int, as_json: bool
) -> None:
    """Make the strategies of all users, and say what came of it.

    Raises:
        InputError: the options do not go together, or whatever the engine says.
    """
    from chordkit.jobs import require_packages

    of_data, of_tables = (data is not None, out is not None), (options.histories is not None, options.into is not None)
    if sorted([of_data, of_tables]) != [(False, False), (True, True)]:
        raise InputError("--all: give either --data and the table --out, or --histories and their place --into")
    if data is not None and (options.items is not None or options.engine != ENGINES[0]):
        raise InputError("--all --data: its items are known, and it is in memory; --items and --engine belong to --histories")
    if options.engine not in ENGINES:
        raise InputError(f"--engine {options.engine}: give one of {', '.join(ENGINES)}")
    require_packages("bulk", "pyarrow", "fsspec")
    job = _job(options, master, hypernetwork, budget)
    payload = _table(job, data, out, options.jobs, seed) if data is not None and out is not None else _tables(job, options)
    emit(as_json, payload, lambda: key_values("strategies", payload))


def _job(options: Bulk, master: Path, hypernetwork: Path, budget: float | None) -> "Job":
    from chordkit.jobs.job import Job, Sealing

    user, comma, history = (part.strip() for part in options.columns.partition(","))
    if not (user and comma and history):
        raise InputError(f"--columns {options.columns}: give two names with a comma between them, such as user,history")
    if (options.key is None) != (options.serial is None) or (options.key is None and options.subject is not None):
        raise InputError("--key and --serial go together, and --subject with them: an envelope has a number that grows")
    sealing = None
    if options.key is not None and options.serial is not None:
        sealing = Sealing(options.key, options.serial, user if options.subject is None else options.subject)
    return Job.read(master, hypernetwork, items=options.items, budget=budget, user=user, history=history, sealing=sealing)


def _table(job: "Job", data: str, out: Path, jobs: int, seed: int) -> dict[str, Any]:
    from chordkit.data import load_named
    from chordkit.jobs.table import make_table

    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        run = make_table(job, dataset, out, jobs=jobs, progress=progress)
    return {"file": str(out), "bytes": out.stat().st_size, "resumed": run.resumed, **_counts(job, run.made)}


def _tables(job: "Job", options: Bulk) -> dict[str, Any]:
    assert options.histories is not None and options.into is not None
    told: dict[str, Any] = {"place": options.into, "engine": options.engine}
    if options.engine != ENGINES[0]:
        engine = importlib.import_module(f"chordkit.jobs.{options.engine}")
        return told | _counts(job, engine.run(job, options.histories, options.into, jobs=options.jobs))
    from chordkit.jobs.shards import make_strategies

    with progress_bar() as progress:
        run = make_strategies(job, options.histories, options.into, jobs=options.jobs, progress=progress)
    return {**told, "shards": run.shards, "bytes": run.made.file_bytes, "resumed": run.resumed, **_counts(job, run.made)}


def _counts(job: "Job", made: "Made") -> dict[str, Any]:
    counts = {name: asdict(made)[name] for name in ("users", "strategies", "nameless", "unknown_items")}
    return {
        **counts,
        "without_items": made.without_items,
        **({"bytes_a_user": made.bytes / made.strategies} if made.bytes else {}),
        "average_bits": made.average_bits,
        "backbone": job.fingerprint,
    }
