"""``chordkit data``: any supported file becomes a data set, and what is in one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chordkit.cli.options import SourceArgument, SplitAtOption
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, note, progress_bar, rows, writable_file
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.data import Columns

app = typer.Typer(no_args_is_help=True, help="Prepare data sets and look at them.")

_COUNTED = ["interactions", "users", "items"]
_TIED = 0.9
"""From this part on that has the time of the one before, times order next to nothing."""
FormatOption = Annotated[str, typer.Option("--format", help="auto, movielens, sequences, pairs, amazon, csv, jsonl, parquet or mind.")]
UserOption = Annotated[str | None, typer.Option(help="Column of the user; column_1, column_2, ... where there is no header line.")]
ItemOption = Annotated[str | None, typer.Option(help="Column of the item; fields within fields of JSON are product.id.")]
TimeOption = Annotated[
    str | None, typer.Option(help="Column of the time; day,second for two of them; file-order where the rows stand in the order of time.")
]
TimeFormatOption = Annotated[
    str | None, typer.Option(help="How dates are written where it is not ISO 8601, as strftime has it: '%d/%m/%Y %H:%M'.")
]
RatingOption = Annotated[str | None, typer.Option(help="Column of the rating.")]
MinRatingOption = Annotated[float | None, typer.Option(help="Keep interactions rated at least this.")]
CoreOption = Annotated[int, typer.Option(min=0, help="Keep users and items with at least this many interactions, repeatedly; 0 = all.")]


def _columns(user: str | None, item: str | None, time: str | None, rating: str | None, time_format: str | None) -> "Columns | None":
    from chordkit.data import Columns

    given = Columns(user=user, item=item, timestamp=time, rating=rating, time_format=time_format)
    return None if given == Columns() else given


@app.command(epilog="Example: `chordkit data prepare ratings.csv --user uid --item sku --time ts --k-core 5 --out shop.safetensors`")
def prepare(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the data set goes (.safetensors).")],
    format: FormatOption = "auto",
    user: UserOption = None,
    item: ItemOption = None,
    time: TimeOption = None,
    time_format: TimeFormatOption = None,
    rating: RatingOption = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Keep interactions with this value, or != without it; may be repeated: of values of one column any, of columns all.",
        ),
    ] = None,
    min_rating: MinRatingOption = None,
    start: Annotated[str | None, typer.Option("--from", help="First time that is kept: a date, or a number as in the file.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="First time that is kept no more.")] = None,
    dedupe: Annotated[
        Literal["first", "last", "consecutive"] | None,
        typer.Option(help="Of a user's interactions with one item keep the first, the last, or of those in a row the first."),
    ] = None,
    sample_users: Annotated[int | None, typer.Option(min=1, help="Keep so many users, drawn at random by --seed.")] = None,
    k_core: CoreOption = 0,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A prepared data set (.safetensors) whose items keep their numbers, present or not; new ones come after them.",
        ),
    ] = None,
    item_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Table of items with their names, and categories: CSV, TSV, JSON lines, Parquet, MovieLens' u.item."
        ),
    ] = None,
    item_columns: Annotated[
        str | None,
        typer.Option(
            metavar="ID,NAME,CATEGORY",
            help="Its columns, where they cannot be told by their names: the last may be several, or left out. Without names: sku,,brand.",
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Read interactions, filter them, and write one data set file."""
    from chordkit.data import ItemColumns, load_named, readable, statistics

    if out.suffix != ".safetensors":
        raise InputError(f"--out {out}: data sets are known by their ending; call it {out.name}.safetensors")
    with progress_bar() as progress:
        dataset = load_named(
            source,
            seed=seed,
            format=format,
            columns=_columns(user, item, time, rating, time_format),
            min_rating=min_rating,
            k_core=k_core,
            where=where or (),
            start=start,
            end=end,
            dedupe=dedupe,
            sample_users=sample_users,
            catalogue=catalogue,
            item_names=item_names,
            item_columns=None if item_columns is None else ItemColumns.parse(item_columns),
            progress=progress,
        )
    dataset.save(out)
    columns_taken, dropped = dataset.provenance.get("columns", {}), dataset.provenance.get("dropped", [])
    names, numbered = (dataset.provenance.get(each) for each in ("item_names", "catalogue"))
    taken = {"columns": columns_taken, "catalogue": numbered, "names": names}
    summary = {"file": str(out), **taken, "dropped": dropped, **statistics(dataset)}
    shown = readable(summary) | {
        "columns": _listed(columns_taken) or "none, by their order",
        "catalogue": numbered and _about_catalogue(numbered),
        "names": names and _about_names(names),
    }
    del shown["dropped"]
    emit(as_json, summary, lambda: key_values(f"{dataset.name} -> {out}", shown))
    left_out = [[step["kept"], *(f"{step[what]:,}" for what in _COUNTED)] for step in dropped if step["interactions"]]
    if left_out and not as_json:
        emit(False, {}, rows("left out on the way", ["what was kept", *_COUNTED], left_out))
    if dataset.times is not None and summary["ties"] > _TIED * (dataset.interactions - dataset.users):
        note(f"{summary['ties']:,} interactions have the time of the one before: their order is that of the file")


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f"{role} = {name}" for role, name in columns.items())


def _about_catalogue(told: dict[str, Any]) -> str:
    return f"{told['name']}: its {told['items']:,} items in their places, {told['present']:,} of them here; {told['new']:,} new ones behind"


def _about_names(names: dict[str, Any]) -> str:
    told = [f"from {names['source']}", _listed(names["columns"])]
    told += [f"{names['unknown']:,} of its ids are no items here"] * bool(names["unknown"])
    told += [f"{names['repeated']:,} of its rows repeat an id: the first counts"] * bool(names["repeated"])
    return "; ".join(filter(None, told))


@app.command(epilog="Example: `chordkit data info ml-100k/u.data`")
def info(
    source: SourceArgument,
    format: FormatOption = "auto",
    user: UserOption = None,
    item: ItemOption = None,
    time: TimeOption = None,
    time_format: TimeFormatOption = None,
    split_at: SplitAtOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Print the statistics of a data set or of a raw file, and with --split-at what would fall into each part."""
    from chordkit.data import load_named, readable, split, split_statistics, statistics

    with progress_bar() as progress:
        dataset = load_named(source, seed=seed, format=format, columns=_columns(user, item, time, None, time_format), progress=progress)
    summary = statistics(dataset)
    if split_at is not None:
        summary |= split_statistics(dataset, split(dataset, at=split_at), split_at)
    emit(as_json, summary, lambda: key_values(dataset.name, readable(summary)))
