"""``chordkit evaluate benefit``: what a personal model is worth on someone's data, against everything that could replace it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from chordkit.cli.groups import DefaultGroup
from chordkit.cli.options import (
    ArchitectureOption,
    DataOption,
    EpochsOption,
    HeldOutOption,
    SeenOption,
    SplitAtOption,
    ValidationOption,
    WidthsOption,
    WindowOption,
    WithoutOption,
    parse_budgets,
    tell_learned,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, progress_bar, rows, writable_folder

if TYPE_CHECKING:
    from chordkit.evaluation import Evaluation

app = typer.Typer(
    cls=DefaultGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Is a personal model worth its bytes, and how good is each file? `chordkit evaluate --data ...` is `chordkit evaluate benefit`.",
)

EXAMPLE = "Example: `chordkit evaluate benefit --data ml-100k --budget 3.0 --budget 2.0:0,8 --seeds 3 --out build/evaluation`"


@app.command(epilog=EXAMPLE)
def benefit(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", callback=writable_folder, help="Folder for pages, results and checkpoints; the same command resumes."),
    ],
    architecture: ArchitectureOption = "sasrec",
    backbone: Annotated[
        Path | None,
        typer.Option(
            "--backbone", "-b", help="What all models begin with, trained without the held-out items; else one a seed is trained."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="BUDGET", help="Average bits, comma-separated, or with widths of their own, as in 2.0:0,8; may be repeated."),
    ] = None,
    widths: WidthsOption = "2,4,8",
    window: WindowOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 3,
    seen_items_masked: SeenOption = False,
    vectors: Annotated[
        bool, typer.Option(help="Train the rows of equal information: user vectors, generated weights; twice the time.")
    ] = True,
    finetuned: Annotated[int, typer.Option(min=0, help="Fine-tune the FP32 rival for so many users as a phone would; 0 = for none.")] = 300,
    without: WithoutOption = None,
    epochs: EpochsOption = None,
    held_out: HeldOutOption = 5,
    validation: ValidationOption = 5,
    split_at: SplitAtOption = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; results depend on the number.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="So many seeds at a time, each in a process of its own; the results are the same.")] = 1,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train every rival with equal care and say whether a personal model is worth its bytes."""
    from chordkit.data import load_named
    from chordkit.evaluation import ExperimentOptions, run_evaluation
    from chordkit.hypernetwork import default_hypernetwork_options
    from chordkit.report.evaluation import save_evaluation
    from chordkit.training import default_options, load_backbone

    changes: dict[str, Any] = {"window": window, "seen_masked": seen_items_masked, "threads": threads}
    changes |= {name: value for name, value in (("epochs", epochs), ("without", without)) if value}
    budgets = parse_budgets(budget or ["3.0"], widths)
    start = default_options(architecture, threads=threads, **({"epochs": epochs} if epochs else {}))
    options = ExperimentOptions(
        architecture=architecture,
        personal=default_hypernetwork_options("joint", **changes),
        start=start,
        seeds=tuple(range(seed, seed + seeds)),
        held_out=held_out,
        validation=validation,
        split_at=split_at,
        vectors=vectors,
    )
    source, origin = (None, {}) if backbone is None else load_backbone(backbone)
    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        if backbone is not None:
            tell_learned(backbone, origin, dataset, options.split(dataset, 1))
        evaluation = run_evaluation(dataset, options, budgets, out, progress, backbone=source, finetuned_users=finetuned, jobs=jobs)
    files = save_evaluation(evaluation, out)
    emit(as_json, evaluation.to_json(), lambda: _view(evaluation, files))


def _view(evaluation: "Evaluation", files: list[Path]) -> Group:
    from chordkit.report.evaluation import case_title

    parts: list[Any] = []
    for case in evaluation.cases:
        body = [
            [
                *(line.key, f"{line.bits:.2f}", f"{line.phone_bytes / 1000:,.1f}", line.wire_bytes),
                *(str(line.values[measure]) for measure in ("masked_ndcg10", "n100_ndcg10")),
                f"{line.values[case.summary.verdict.measure].value:.3f}",
            ]
            for line in case.summary.lines
        ]
        columns = ["rival", "bits", "KB", "bytes sent", "masked NDCG@10 [95 %]", "rerank-100 NDCG@10 [95 %]", case.summary.verdict.measure]
        parts += [rows(case_title(case), columns, body), Text(f"{case.summary.verdict.sentence}\n", style="bold")]
    return Group(*parts, Text("\n".join(map(str, files))))
