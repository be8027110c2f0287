"""``chordkit evaluate accuracy``: files beside files on held-out items, without training any of them."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from chordkit.cli.options import (
    UNVERIFIED,
    ArtifactsOption,
    DataOption,
    HeldOutOption,
    MinimumCounterOption,
    PublicKeysOption,
    RevokedOption,
    SplitAtOption,
    ValidationOption,
    read_revoked,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, note, progress_bar, rows, writable_file
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.evaluation.accuracy import Accuracy

EXAMPLE = (
    "Example: `chordkit evaluate accuracy shop.chord --data shop.safetensors --backbone sasrec.safetensors "
    "--hypernetwork hypernetwork.safetensors --master master.chrm --out accuracy.json --page accuracy.html`"
)


def accuracy(
    data: DataOption,
    bundle: Annotated[Path | None, typer.Argument(help="A bundle (.chord): every artifact is asked on its own runtime.")] = None,
    backbone: Annotated[
        list[Path] | None, typer.Option("--backbone", "-b", metavar="FILE", help="A trained backbone; may be repeated.")
    ] = None,
    hypernetwork: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A hypernetwork, whose strategies are asked; may be repeated, a --master for each."),
    ] = None,
    master: Annotated[
        list[Path] | None, typer.Option("--master", "-m", metavar="FILE", help="The master weights (.chrm) of the --hypernetwork.")
    ] = None,
    artifact: ArtifactsOption = None,
    users: Annotated[int, typer.Option(min=0, help="Ask about so many users, drawn at random; 0 = all.")] = 0,
    artifact_users: Annotated[
        int, typer.Option(min=2, help="Of these so many for artifacts: each ranks the whole catalogue, call by call.")
    ] = 200,
    held_out: HeldOutOption = 1,
    validation: ValidationOption = 1,
    split_at: SplitAtOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", callback=writable_file, help="Also write the result here, as JSON.")] = None,
    page: Annotated[Path | None, typer.Option(callback=writable_file, help="Also write it as a page (.html).")] = None,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Accuracy of backbones, strategies and artifacts on the same held-out items, the strongest simple baselines beside them."""
    from chordkit.data import load_named, split_identity
    from chordkit.evaluation.accuracy_run import measure_accuracy
    from chordkit.evaluation.files import Files
    from chordkit.export.bundle import open as open_bundle
    from chordkit.files import write_json
    from chordkit.report import report_of_accuracy, save_html

    pairs = list(zip(hypernetwork or [], master or [], strict=False))
    if len(hypernetwork or []) != len(master or []):
        raise InputError("evaluate accuracy: give a --master for every --hypernetwork, in the same order")
    if not (bundle or backbone or pairs):
        raise InputError("evaluate accuracy: give a bundle, a --backbone, or a --hypernetwork with its --master")
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bar())
        dataset = load_named(data, seed=seed, progress=progress)
        files = Files(dataset, split_identity(dataset, held_out, validation, split_at), seed)
        for path in backbone or []:
            files.add_backbone(path)
        for network, weights in pairs:
            files.add_hypernetwork(network, weights)
        if bundle is not None:
            opened = open_bundle(bundle, public_key or None, revoked=read_revoked(revoked), minimum=minimum_counter)
            files.add_bundle(stack.enter_context(opened), artifact)
        found = measure_accuracy(
            dataset, files.contenders, held_out=held_out, validation=validation, split_at=split_at, users=users,
            few_users=artifact_users, seed=seed, notes=files.remarks(), progress=progress,
        )  # fmt: skip
    if out is not None:
        write_json(out, found.to_json())
    if page is not None:
        save_html(report_of_accuracy(found), page)
    emit(as_json, found.to_json(), lambda: _view(found))
    if bundle is not None and not public_key:
        note(UNVERIFIED.format(bundle))


def _view(found: "Accuracy") -> Group:
    body = [
        [
            line.name, line.runtime, "" if line.bits is None else f"{line.bits:.2f}", line.users,
            *(str(line.values[measure]) for measure in ("masked_ndcg10", "masked_hr10", "ndcg10", "n100_ndcg10")),
            f"{line.minus_first['masked_ndcg10']:+}" if line.minus_first else "",
        ]
        for line in found.lines
    ]  # fmt: skip
    columns = ["what answered", "runtime", "bits", "users", "masked NDCG@10 [95 %]", "masked HR@10 [95 %]", "NDCG@10 [95 %]",
               "rerank-100 NDCG@10 [95 %]", "masked NDCG@10, this - the first"]  # fmt: skip
    return Group(rows(f"accuracy on {found.dataset}", columns, body), Text("\n".join(found.notes)))
