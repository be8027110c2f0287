"""``chordkit catalogue``: new items in a model that is not trained again."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chordkit.cli.options import DataOption
from chordkit.cli.output import JsonOption, SeedOption, emit, fp32_beside, key_values, progress_bar, writable_master
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.data import Dataset

app = typer.Typer(no_args_is_help=True, help="Let the catalogue of a model grow.")


@app.command(
    epilog="Example: `chordkit catalogue grow --data grown.safetensors --master master.chrm --backbone master.fp32.safetensors "
    "--out grown.chrm`"
)
def grow(
    data: DataOption,
    master: Annotated[Path, typer.Option("--master", "-m", help="The master weights (.chrm) that are to know more items.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_master, help="Where the grown master weights go (.chrm).")],
    backbone: Annotated[
        Path | None,
        typer.Option("--backbone", "-b", help="The FP32 backbone behind them; it grows alike, into a file beside --out."),
    ] = None,
    content: Annotated[
        Path | None,
        typer.Option(
            help="A vector for each item, known ones too: a table (CSV, JSON lines, Parquet) of the item's id in the first column, "
            "then numbers, or one list of numbers."
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Give the new items of a data set rows in the item table; strategies and user vectors stay valid, artifacts are exported anew."""
    from chordkit.backbones import from_master
    from chordkit.catalogue import grow as grow_catalogue
    from chordkit.catalogue import read_content, with_items
    from chordkit.data import load_named
    from chordkit.export.collection import require_origin
    from chordkit.quantization import MasterWeights
    from chordkit.training import load_backbone, save_backbone

    frozen = fp32_beside(out)
    weights = MasterWeights.load(master)
    source, provenance = (from_master(weights), {}) if backbone is None else load_backbone(backbone)
    if backbone is not None:
        require_origin(weights, source)
    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        _require_numbering(dataset, weights.items, provenance.get("dataset_fingerprint"))
        vectors = None if content is None else read_content(content, dataset)
        growth = grow_catalogue(source, dataset, vectors, seed=seed, progress=progress)
    grown = weights.grown(growth.rows, growth.biases)
    grown.save(out)
    payload: dict[str, Any] = {
        "master": str(out),
        "fingerprint": grown.fingerprint.hex(),
        "digest": grown.digest.hex(),
        "items": grown.items,
        "new_items": len(growth.rows),
        "clicks": int(growth.clicks.sum()),
        "without_clicks": int((growth.clicks == 0).sum()),
        "began_with": dict(Counter(growth.sources)),
    }
    if backbone is not None:
        payload["fp32"] = str(frozen)
        told = {"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint, "grown_from_items": weights.items}
        save_backbone(frozen, with_items(source, growth.rows, growth.biases), {**provenance, **told})
    began = ", ".join(f"{count:,} with {source}" for source, count in payload["began_with"].items())
    emit(as_json, payload, lambda: key_values(f"{dataset.name}: {len(growth.rows):,} new items", payload | {"began_with": began}))


def _require_numbering(dataset: "Dataset", known: int, trained_on: object) -> None:
    """The data set says that its first items are those of the model, in its order.

    Raises:
        InputError: it does not say so.
    """
    told = dataset.provenance.get("catalogue")
    counted = told.get("items") if isinstance(told, dict) else None
    mend = "prepare it with --catalogue and the data set that the model was trained on, or grew to"
    if counted != known:
        kept = f"the numbers of {counted:,} items" if isinstance(counted, int) else "no numbers"
        raise InputError(f"{dataset.name}: it keeps {kept} of an earlier data set, and the model knows {known:,} items; {mend}")
    assert isinstance(told, dict)
    if trained_on is not None and told.get("fingerprint") != trained_on:
        raise InputError(f"{dataset.name}: its catalogue is that of '{told.get('name')}', which the model was not trained on; {mend}")
