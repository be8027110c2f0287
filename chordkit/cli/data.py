"""``chordkit data``: any supported file becomes a data set, and what is in one."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import SourceArgument
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, progress_bar, writable_file

app = typer.Typer(no_args_is_help=True, help="Prepare data sets and look at them.")

FormatOption = Annotated[str, typer.Option("--format", help="auto, movielens, sequences, amazon, csv or parquet.")]
UserOption = Annotated[str | None, typer.Option(help="Column of the user, for CSV and Parquet.")]
ItemOption = Annotated[str | None, typer.Option(help="Column of the item.")]
TimeOption = Annotated[str | None, typer.Option(help="Column of the time.")]
RatingOption = Annotated[str | None, typer.Option(help="Column of the rating.")]
MinRatingOption = Annotated[float | None, typer.Option(help="Keep interactions rated at least this.")]
CoreOption = Annotated[int, typer.Option(min=0, help="Keep users and items with at least this many interactions, repeatedly; 0 = all.")]


def _columns(user: str | None, item: str | None, time: str | None, rating: str | None):  # type: ignore[no-untyped-def]
    from chordkit.data import Columns

    return Columns(user=user, item=item, timestamp=time, rating=rating) if any((user, item, time, rating)) else None


@app.command(epilog="Example: `chordkit data prepare ratings.csv --user uid --item sku --time ts --k-core 5 --out shop.safetensors`")
def prepare(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the data set goes (.safetensors).")],
    format: FormatOption = "auto",
    user: UserOption = None,
    item: ItemOption = None,
    time: TimeOption = None,
    rating: RatingOption = None,
    min_rating: MinRatingOption = None,
    k_core: CoreOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Read interactions, filter them, and write one data set file."""
    from chordkit.data import load_named, statistics

    with progress_bar() as progress:
        columns = _columns(user, item, time, rating)
        dataset = load_named(source, seed=seed, format=format, columns=columns, min_rating=min_rating, k_core=k_core, progress=progress)
    dataset.save(out)
    columns_taken = dataset.provenance.get("columns", {})
    summary = {"file": str(out), "columns": columns_taken, **statistics(dataset)}
    shown = summary | {"columns": ", ".join(f"{role} = {name}" for role, name in columns_taken.items()) or "none, by their order"}
    emit(as_json, summary, lambda: key_values(f"{dataset.name} -> {out}", shown))


@app.command(epilog="Example: `chordkit data info ml-100k/u.data`")
def info(
    source: SourceArgument,
    format: FormatOption = "auto",
    user: UserOption = None,
    item: ItemOption = None,
    time: TimeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Print the statistics of a data set or of a raw file."""
    from chordkit.data import load_named, statistics

    with progress_bar() as progress:
        dataset = load_named(source, seed=seed, format=format, columns=_columns(user, item, time, None), progress=progress)
    summary = statistics(dataset)
    emit(as_json, summary, lambda: key_values(dataset.name, summary))
