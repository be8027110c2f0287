"""``chordkit validate``: every artifact against the PyTorch reference, in numbers and in ranks."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import (
    SOURCE_HELP,
    UNVERIFIED,
    ArtifactsOption,
    BundleArgument,
    HistoriesOption,
    MinimumCounterOption,
    PublicKeysOption,
    RevokedOption,
    read_revoked,
    tell_repeated,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, note, progress_bar, rows


def validate(
    bundle: BundleArgument,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            help=f"Check on real histories of this data set instead of the vectors inside. {SOURCE_HELP}",
        ),
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option("--backbone", "-b", help="The float backbone: the reference of fp32 artifacts, with --data.")
    ] = None,
    artifact: ArtifactsOption = None,
    histories: HistoriesOption = 1000,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run every artifact on its real runtime and compare scores and ranks with the reference; a missed tolerance is status 1.

    Example: `chordkit validate shop.chord --data shop.safetensors --histories 1000`
    """
    from chordkit.data import load_named
    from chordkit.export.assembly import validate_bundle
    from chordkit.training import load_backbone

    with progress_bar() as progress:
        dataset = None if data is None else load_named(data, seed=seed, progress=progress)
        floats = None if backbone is None else load_backbone(backbone)[0]
        reports = validate_bundle(
            bundle,
            dataset,
            floats,
            artifact,
            histories=histories,
            public_key=public_key or None,
            revoked=read_revoked(revoked),
            minimum=minimum_counter,
            seed=seed,
            progress=progress,
        )
    if dataset is not None:
        tell_repeated(dataset, histories)
    payload = {"bundle": str(bundle), "passed": all(report.passed for report in reports.values()),
               "artifacts": {name: report.model_dump(mode="json") for name, report in reports.items()}}  # fmt: skip
    body = [
        [name, report.n, f"{report.max_abs_error:.2e}", f"{report.mean_abs_error:.2e}", f"{report.relative_rms_error:.2e}",
         f"{report.kendall_tau:.5f}", f"{report.top10_overlap:.4f}", f"{report.ndcg_difference:+.5f}",
         "passed" if report.passed else "FAILED"]
        for name, report in reports.items()
    ]  # fmt: skip
    columns = ["artifact", "histories", "max error", "mean error", "relative rms", "Kendall tau", "top-10", "NDCG@10", "parity"]
    emit(as_json, payload, lambda: rows(f"{bundle} against the PyTorch reference", columns, body))
    for name, report in reports.items():
        report.require(f"{bundle}: artifact {name}")
    if not public_key:
        note(UNVERIFIED.format(bundle))
