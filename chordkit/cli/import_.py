"""``chordkit import``: a backbone out of another framework's checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import DataOption
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, note, progress_bar, writable_file

EXAMPLE = (
    "Example: `chordkit import SASRec.safetensors --from recbole-sasrec --heads 2 --data shop.safetensors --item-ids ids.json "
    "--verify scores.safetensors --out backbone.safetensors`"
)


def import_(
    checkpoint: Annotated[Path, typer.Argument(help="The state dict: .safetensors, or a .pth that holds tensors alone.")],
    framework: Annotated[str, typer.Option("--from", metavar="MODEL", help="recbole-sasrec, recbole-gru4rec or pmixer-sasrec.")],
    data: DataOption,
    item_ids: Annotated[
        str,
        typer.Option(
            metavar="FILE|same|numbers",
            help="JSON list of the original ids by row of the item table, the first for padding. same: rows are in the data set's order. "
            "numbers: the id of an item is the number of its row.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the backbone goes (.safetensors).")],
    verify: Annotated[
        Path | None,
        typer.Option(help="Histories and scores that the framework made (.safetensors); others than the backbone's are status 1."),
    ] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Attention heads.")] = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Items of a history that the model looks at.")] = None,
    activation: Annotated[str | None, typer.Option(help="RecBole's SASRec: gelu (the default) or relu.")] = None,
    norm_eps: Annotated[float | None, typer.Option(help="RecBole's SASRec: epsilon of its norms; the default is 1e-12.")] = None,
    norm: Annotated[
        str | None,
        typer.Option(help="pmixer: query (model.py without norm_first), before (trained with --norm_first) or after (without it)."),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a backbone of a checkpoint of RecBole or pmixer/SASRec.pytorch, proven by equal scores; docs/your-model.md has the steps."""
    from chordkit.data import load_named
    from chordkit.importing import import_backbone, read_item_ids
    from chordkit.training import save_backbone

    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        imported = import_backbone(
            checkpoint, framework, dataset, item_ids=item_ids if item_ids in ("same", "numbers") else read_item_ids(item_ids),
            verify=verify, heads=heads, max_length=max_length, activation=activation, norm_eps=norm_eps, norm=norm,
        )  # fmt: skip
    save_backbone(out, imported.backbone, imported.provenance)
    config, agreement = imported.backbone.config, imported.agreement
    payload = {
        "file": str(out), "architecture": config.architecture, "items": config.items, "max_length": config.max_length, "dim": config.dim,
        **imported.provenance,
    }  # fmt: skip
    compared = "nothing was compared"
    if agreement is not None:
        compared = (
            f"{agreement.histories} histories, {agreement.items} items each: largest difference {agreement.max_error:.2g}, "
            f"rounding explains {agreement.tolerance:.2g}"
        )
    shown = {
        "architecture": config.architecture, "items": config.items, "max length": config.max_length, "dim": config.dim,
        **{name.replace("_", " "): value for name, value in imported.settings.items()}, "scores": compared,
    }  # fmt: skip
    emit(as_json, payload, lambda: key_values(f"{checkpoint} -> {out}", shown))
    if imported.dropped:
        first = imported.dropped[0]
        note(f"{len(imported.dropped)} items of the checkpoint are not in {dataset.name} and were left out, the first is {first!r}")
    if agreement is None:
        note(f"{checkpoint}: nothing was compared; --verify proves that the backbone scores as its framework does")
    elif agreement.left_out:
        note(f"{verify}: {agreement.left_out} histories have an item that {dataset.name} has not; they were not compared")
