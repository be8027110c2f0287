"""``chordkit demo``: the main job, end to end."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from chordkit.cli.options import ArchitectureOption, DataOption, TargetsOption, parse_targets
from chordkit.cli.output import JsonOption, SeedOption, emit, progress_bar, rows, writable_folder


def demo(
    data: DataOption = "synthetic",
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_folder, help="Folder for everything it leaves.")] = Path(
        "build/demo"
    ),
    architecture: ArchitectureOption = "sasrec",
    target: TargetsOption = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the backbone, at most.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Do the main job end to end: train, personalise, export, validate, bundle, measure, report.

    Example: `chordkit demo --data synthetic --out build/demo`
    """
    from chordkit.demo import DemoOptions, run

    targets = tuple(parse_targets(target)) if target else None
    with progress_bar() as progress:
        result = run(DemoOptions(out=out, data=data, architecture=architecture, targets=targets, epochs=epochs, seed=seed), progress)
    report = result.report
    benefit = report.benefits[0]

    def view() -> Group:
        accuracy = [
            [row.name, f"{row.average_bits:.2f}", f"{100 * row.products:.0f} %", f"{row.phone_bytes:,}", f"{row.masked_ndcg10.value:.4f}",
             f"{row.likelihood.value:.4f}", f"{row.own_minus_this_likelihood:+}" if row.own_minus_this_likelihood else ""]
            for row in benefit.strategy_accuracy
        ]  # fmt: skip
        artifacts = [
            [item.name, f"{item.bytes:,}" if item.bytes else "",
             "" if item.parity is None else "passed" if item.parity.passed else "FAILED",
             f"{item.latency.p50_us:.1f}" if item.latency else "", f"{item.latency.p99_us:.1f}" if item.latency else ""]
            for item in report.artifacts
        ]  # fmt: skip
        return Group(
            rows("accuracy", ["model", "bits", "products", "bytes", "NDCG@10", "log likelihood", "own - this, nats [95 %]"], accuracy),
            rows("artifacts", ["artifact", "bytes", "parity", "p50 us", "p99 us"], artifacts),
            Text(
                f"report  {result.html}\nbundles {result.bundle} (personal), {result.static} (static), {result.full} (FP32 and even widths)"
            ),
            Text(f"took    {sum(stage.seconds for stage in report.stages):.0f} s"),
            Text(benefit.headline.sentence, style="bold"),
            *(Text(each.sentence) for each in benefit.truth if each.measure == "masked_likelihood"),
        )

    emit(as_json, report.model_dump(mode="json"), view)
