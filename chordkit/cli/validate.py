"""``chordkit validate``: every artifact against the PyTorch reference, in numbers and in ranks."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from chordkit.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chordkit.export.parity import ParityReport
    from chordkit.export.stages import ArtifactStages, StageVerdict
    from chordkit.quantization import MasterWeights
    from chordkit.runtime_bench.elsewhere import ScoresOn


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
    stages: Annotated[
        bool,
        typer.Option(
            "--stages",
            help="Walk from the float model to the file on its runtime, and name the first bad stage and the first bad layer.",
        ),
    ] = False,
    arm64: Annotated[
        bool,
        typer.Option("--arm64", help="With --stages: on arm64 as well, emulated; `chordkit devices prepare emulator` makes it ready."),
    ] = False,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run every artifact on its real runtime and compare scores and ranks with the reference; a missed tolerance is status 1.

    Example: `chordkit validate shop.chord --data shop.safetensors --histories 1000`

    Where does it go wrong? `chordkit validate shop.chord --stages --backbone shop.fp32.safetensors --arm64`
    """
    from chordkit.data import load_named
    from chordkit.export.assembly import validate_bundle, walk_bundle
    from chordkit.training import load_backbone

    if arm64 and not stages:
        raise InputError("--arm64 is a stage; give --stages as well")
    with progress_bar() as progress:
        dataset = None if data is None else load_named(data, seed=seed, progress=progress)
        floats = None if backbone is None else load_backbone(backbone)[0]
        check: Any = partial(walk_bundle, elsewhere=_arm64() if arm64 else None) if stages else validate_bundle
        reports = check(
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
    if stages:
        _tell_stages(bundle, reports, as_json)
    else:
        _tell_parity(bundle, reports, as_json)
    if not public_key:
        note(UNVERIFIED.format(bundle))


def _tell_parity(bundle: Path, reports: "dict[str, ParityReport]", as_json: bool) -> None:
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


def _tell_stages(bundle: Path, walks: "list[ArtifactStages]", as_json: bool) -> None:
    from chordkit.export.stages import StagesDocument

    found = StagesDocument(bundle=str(bundle), passed=all(each.passed for each in walks), artifacts=tuple(walks))
    names = [stage.name for stage in max(walks, key=lambda each: len(each.stages)).stages] if walks else []
    body = []
    for each in walks:
        seen = {stage.name: _cell(stage) for stage in each.stages}
        where = each.layer or ("" if each.first_bad is None else "none alone")
        body.append([each.artifact, *(seen.get(name, "not reached") for name in names), where])
    columns = ["artifact", *names, "first bad layer"]
    emit(as_json, found.model_dump(mode="json"), lambda: rows(f"{bundle}, stage by stage (relative rms from the reference)", columns, body))
    if bad := [each for each in walks if not each.passed]:
        raise CheckFailed("; ".join(f"{bundle}: artifact {each.artifact}: {each.summary()}" for each in bad))


def _cell(stage: "StageVerdict") -> str:
    if stage.verdict == "absent":
        return "-"
    measured = "" if stage.report is None else f" {stage.report.relative_rms_error:.1e}"
    return f"{'WRONG' if stage.verdict == 'wrong' else stage.verdict}{measured}"


def _arm64() -> "Callable[[MasterWeights], ScoresOn]":
    from chordkit.runtime_bench.devices.registry import connect
    from chordkit.runtime_bench.elsewhere import ARM64, ScoresOn

    device = connect(ARM64)
    return lambda master: ScoresOn(device, master)
