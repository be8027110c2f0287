"""``chordkit evaluate flow``: days on real histories, with phones that ask, adopt, train and report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from chordkit.cli.options import ArchitectureOption, DataOption, EpochsOption
from chordkit.cli.output import JsonOption, SeedOption, emit, progress_bar, rows, writable_folder

if TYPE_CHECKING:
    from chordkit.evaluation.flow import FlowSummary

EXAMPLE = "Example: `chordkit evaluate flow --data ml-100k --seeds 2 --out build/flow`"


def flow(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", callback=writable_folder, help="Folder for chart, tables, results and checkpoints; the same command resumes."
        ),
    ],
    split_at: Annotated[
        str,
        typer.Option(
            metavar="MOMENT,MOMENT",
            help="Train on what came before the first, validate from there on; the second is the first day of the simulation. Dates, "
            "2015-01-01,2015-06-01, or shares of the interactions.",
        ),
    ] = "50%,60%",
    architecture: ArchitectureOption = "sasrec",
    refresh: Annotated[int, typer.Option(min=1, help="New clicks after which a phone asks for a new strategy, and trains anew.")] = 10,
    samples: Annotated[int, typer.Option(min=1, help="New clicks after which it asks for new samples of other people.")] = 50,
    k: Annotated[int, typer.Option(min=2, help="Each two neighbours of a sample's segment stand in the histories of so many users.")] = 5,
    pool_days: Annotated[int, typer.Option(min=1, help="Days between two pools of samples.")] = 28,
    span: Annotated[int, typer.Option(min=1, help="Days of one point of the chart.")] = 14,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 2,
    epochs: EpochsOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate the days after a moment: what a strategy, training on the phone, both or nothing personal are worth, and what they weigh."""
    from dataclasses import replace

    from chordkit.coda.building import PoolOptions
    from chordkit.coda.phone import Cadence
    from chordkit.data import load_named
    from chordkit.evaluation.flow import FlowOptions, run_flow, summarise_flow
    from chordkit.report.flow import save_flow
    from chordkit.training import default_options

    options = FlowOptions(
        split_at=split_at,
        architecture=architecture,
        cadence=Cadence(refresh=refresh, samples=samples),
        pool=PoolOptions(k=k),
        pool_days=pool_days,
    )
    if epochs:
        changes: dict[str, Any] = {"epochs": epochs}
        options = replace(options, start=default_options(architecture, **changes), personal=replace(options.personal, **changes))
    numbers = tuple(range(seed, seed + seeds))
    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        found = run_flow(dataset, options, numbers, out, progress)
    summary = summarise_flow(dataset, options, numbers, found, span)
    files = save_flow(summary, out)
    emit(as_json, summary.to_json(), lambda: _view(summary, files))


def _view(summary: "FlowSummary", files: list[Path]) -> Group:
    from chordkit.report.flow import LABELS

    everything = summary.groups[0]
    body = [
        [
            label,
            str(everything.values[name]["ndcg"]),
            *("" if name == "nothing" else f"{everything.gains[f'{name} - nothing'][measure]:+}" for measure in ("ndcg", "likelihood")),
            *(f"{summary.traffic[name][way]:,.0f}" for way in ("up", "down")),
        ]
        for name, label in LABELS.items()
    ]
    columns = ["", "NDCG@10 [95 %]", "over nothing personal", "the same, nats", "bytes up", "bytes down"]
    title = f"{summary.dataset}: {summary.users} users from {summary.start} on, bytes a user and day"
    return Group(rows(title, columns, body), Text("\n".join(map(str, files))))
