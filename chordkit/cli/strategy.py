"""``chordkit strategy``: make, show and compare strategies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from chordkit.cli.bulk import (
    AllOption,
    Bulk,
    ColumnsOption,
    EngineOption,
    HistoriesOption,
    IntoOption,
    ItemsOption,
    JobsOption,
    KeyOption,
    SerialOption,
    SubjectOption,
    make_all,
)
from chordkit.cli.options import MasterOption, OptionalDataOption, UserOption, parse_history, read_strategy, user_index
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, progress_bar, rows, writable_file
from chordkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from chordkit.data import Dataset
    from chordkit.hypernetwork.explain import Explanation
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import StrategyDifference

app = typer.Typer(no_args_is_help=True, help="Make, show and compare strategies.")

HistoryOption = Annotated[
    str | None, typer.Option(help="Or a history, oldest first, comma-separated: item ids of --data, as their owner writes them.")
]
IndicesOption = Annotated[bool, typer.Option("--indices", help="--history holds item indices (1, 2, ...) and not ids.")]
BudgetOption = Annotated[float | None, typer.Option(help="Average bits per weight; the default is what the hypernetwork was trained for.")]

_COLOURS = {0: "grey37", 2: "light_sky_blue1", 4: "dodger_blue1", 8: "blue3"}


def _read_data(data: str, weights: "MasterWeights", seed: int) -> "Dataset":
    from chordkit.data import load_named

    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
    if dataset.items != weights.items:
        raise InputError(
            f"--data {data}: {dataset.items} items do not fit master weights of {weights.items}; give the data set they were trained on"
        )
    return dataset


@app.command(
    epilog="Example: `chordkit strategy make --hypernetwork hypernetwork.safetensors --master master.chrm --data shop.safetensors "
    "--user 42 --out 42.chrd`"
)
def make(
    hypernetwork: Annotated[Path, typer.Option("--hypernetwork", help="The trained hypernetwork.")],
    master: MasterOption,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", callback=writable_file, help="Where the strategy goes (.chrd); with --all --data the table (.parquet)."
        ),
    ] = None,
    data: OptionalDataOption = None,
    user: UserOption = None,
    history: HistoryOption = None,
    indices: IndicesOption = False,
    everybody: AllOption = False,
    budget: BudgetOption = None,
    user_vector: Annotated[
        Path | None,
        typer.Option("--user-vector", callback=writable_file, help="Where the user vector goes (.chru), if the hypernetwork makes one."),
    ] = None,
    histories: HistoriesOption = None,
    into: IntoOption = None,
    items: ItemsOption = None,
    columns: ColumnsOption = "user,history",
    engine: EngineOption = "shards",
    jobs: JobsOption = 1,
    key: KeyOption = None,
    serial: SerialOption = None,
    subject: SubjectOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a user's strategy, and user vector, from recent interactions; or everybody's, in tables of user, strategy, user vector if
    there are any, and average bits. Interrupted, the same command goes on where it stopped."""
    from chordkit.data import left_pad
    from chordkit.files import write_bytes
    from chordkit.hypernetwork import load_hypernetwork, make_strategies, make_user_vectors, to_strategy, to_user_vector
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import average_bits, encode_user_vector, to_wire

    bulk = Bulk(histories, into, items, columns, engine, jobs, key, serial, subject)
    if everybody:
        if (user, history, user_vector) != (None, None, None) or indices:
            raise InputError("--all: --user, --history and --user-vector are of one user; leave them out")
        make_all(bulk, master, hypernetwork, out, data, budget, seed, as_json)
        return
    if out is None or not bulk.unused:
        raise InputError("strategy make: give --out for one user's strategy; --histories and what belongs to them go with --all")
    weights = MasterWeights.load(master)
    network, _ = load_hypernetwork(hypernetwork, weights)
    if not network.options.quantised:
        raise InputError(f"{hypernetwork}: this one was trained with --fp32 and makes no strategies; train one without")
    if user_vector is not None and not network.options.user_vector:
        raise InputError(f"--user-vector {user_vector}: {hypernetwork} makes no user vectors; train it with --user-vector")
    dataset = None if data is None else _read_data(data, weights, seed)
    if history is not None and user is None:
        sequence = parse_history(history, weights.items, dataset, indices)
    elif user is not None and history is None and dataset is not None:
        sequence = dataset.sequences[user_index(dataset, user)].tolist()
    else:
        raise InputError("give either --history or --user with --data, or --all with --data")
    import numpy as np

    # As far back as the profile looks, however little of it the phone's window holds.
    padded = left_pad([np.asarray(sequence, np.int32)], network.options.pools[-1])
    widths = make_strategies(network, padded, budget)[0]
    encoded = to_wire(to_strategy(network, widths))
    write_bytes(out, encoded)
    payload = {
        "file": str(out),
        "bytes": len(encoded),
        "channels": len(widths),
        "average_bits": average_bits(widths, weights.channel_table),
        "backbone": weights.fingerprint.hex(),
    }
    if user_vector is not None:
        vector = encode_user_vector(to_user_vector(network, make_user_vectors(network, padded)[0]))
        write_bytes(user_vector, vector)
        payload |= {"user_vector": str(user_vector), "user_vector_bytes": len(vector)}
    emit(as_json, payload, lambda: key_values("strategy", payload))


@app.command(
    epilog="Example: `chordkit strategy show 42.chrd --master master.chrm --hypernetwork hypernetwork.safetensors --data shop.safetensors "
    "--user 42 --since 42-last-week.chrd --picture 42.svg`"
)
def show(
    strategy: Annotated[Path, typer.Argument(help="A strategy (.chrd).")],
    master: MasterOption,
    hypernetwork: Annotated[
        Path | None, typer.Option("--hypernetwork", help="Explain the strategy: the hypernetwork that made it; needs --data.")
    ] = None,
    data: OptionalDataOption = None,
    user: UserOption = None,
    history: HistoryOption = None,
    indices: IndicesOption = False,
    budget: BudgetOption = None,
    since: Annotated[Path | None, typer.Option("--since", help="An older strategy of this user (.chrd): tell what has changed.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", callback=writable_file, help="Draw the strategy, as .svg or (with Pillow) .png.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of every ranking.")] = 10,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check a strategy against its backbone and show the width of every channel.

    With a hypernetwork and a data set, say why: what stands out against the users of the data set, which of the user's own items
    drive it, and who has nearly the same.
    """
    from chordkit.quantization import MasterWeights
    from chordkit.report.strategy_picture import Panel, require_format, save_picture
    from chordkit.strategy import average_bits, difference, payload_bytes

    if picture is not None:
        require_format(picture)
    weights = MasterWeights.load(master)
    table = weights.channel_table
    decoded = read_strategy(strategy, weights)
    layers = {layer.name: "".join(str(width) for width in decoded.widths[table.layer_slice(layer.name)]) for layer in table.layers}
    summary = {
        "file": str(strategy),
        "backbone": weights.fingerprint.hex(),
        "channels": table.channels,
        "average_bits": round(float(average_bits(decoded.widths, table)), 4),
        "packed_weight_bytes": payload_bytes(decoded.widths, table),
    }
    payload: dict[str, Any] = {**summary, "widths": layers}
    views: list[RenderableType] = [key_values(strategy.name, summary), *_width_lines(layers)]
    panels = [Panel("bits of each channel", decoded.widths)]
    if hypernetwork is not None and data is not None and (user is None) != (history is None):
        dataset = _read_data(data, weights, seed)
        explanation = _explain(strategy, decoded.widths, hypernetwork, weights, dataset, user, history, indices, budget, seed)
        payload["explanation"] = explanation.to_json(dataset.item_ids, dataset.user_ids, top)
        views += _explanation_tables(payload["explanation"], table.channels)
        panels.append(Panel(f"mean of {explanation.others} other users", explanation.others_width))
        panels.append(Panel("this user minus that mean", decoded.widths - explanation.others_width, difference=True))
    elif (hypernetwork, data, user, history, budget) != (None,) * 5:
        raise InputError("strategy show: an explanation needs --hypernetwork, --data and either --user or --history; give these, or none")
    if since is not None:
        old = read_strategy(since, weights)
        found = difference(old, decoded, table)
        payload["since"] = _since(since, found)
        views.append(_since_table(since, found))
        panels.append(Panel(f"change since {since.name}", decoded.widths.astype(float) - old.widths, difference=True))
    if picture is not None:
        save_picture(picture, f"{strategy.name}: {summary['average_bits']:.2f} bits a weight", table, panels)
        payload["picture"] = str(picture)
        views.append(Text(f"picture: {picture}"))
    emit(as_json, payload, lambda: Group(*views))


def _width_lines(layers: dict[str, str]) -> list[Text]:
    name_width = max(map(len, layers))
    lines = [
        Text.assemble((f"{name:>{name_width}}  ", "cyan"), *[("█", _COLOURS[int(digit)]) for digit in digits])
        for name, digits in layers.items()
    ]
    key = Text.assemble(
        *[part for width, colour in _COLOURS.items() for part in (("█", colour), f" {f'int{width}' if width else 'off'}  ")]
    )
    return [*lines, key]


def _explain(
    strategy: Path,
    widths: "np.ndarray",
    hypernetwork: Path,
    weights: "MasterWeights",
    dataset: "Dataset",
    user: str | None,
    history: str | None,
    indices: bool,
    budget: float | None,
    seed: int,
) -> "Explanation":
    """The explanation of ``widths`` for the user of the data set, or for the history of somebody who is not in it."""
    import numpy as np

    from chordkit.data import left_pad
    from chordkit.hypernetwork import load_hypernetwork
    from chordkit.hypernetwork.explain import explain_strategy, make_population, sample_users

    network, _ = load_hypernetwork(hypernetwork, weights)
    limit = None if budget is None else network.options.budget_at(budget)
    own = None if user is None else user_index(dataset, user)
    others = sample_users(dataset.users, own, seed=seed)
    sequences = dataset.sequences
    sequence = sequences[own] if own is not None else np.asarray(parse_history(history or "", weights.items, dataset, indices), np.int32)
    population = make_population(network, others, left_pad([sequences[other] for other in others], network.options.pools[-1]), limit)
    try:
        return explain_strategy(network, widths, sequence, population, limit)
    except InputError as error:
        raise InputError(f"{strategy}: {error}") from None


def _explanation_tables(found: dict[str, Any], channels: int) -> list[RenderableType]:
    """The explanation's JSON as tables."""
    layers = [
        [each["name"], each["channels"], f"{each['bits']:.2f}", f"{each['others_bits']:.2f}", f"{each['deviation']:+.1f}", each["lit"]]
        for each in found["layers"]
    ]
    lit = [
        [
            *(each["layer"], each["channel"], each["width"], f"{each['others_width']:.2f}", f"{each['share']:.1%}"),
            *(f"{each['deviation']:+.1f}", each["driver"] or "-"),
        ]
        for each in found["channels"]
    ]
    items = [
        [each["item"], each["place"], each["occurrences"], each["changed"], each["dimmed"], f"{each['shift']:.2f}"]
        for each in found["items"]
    ]
    ranked = [(each["user"], each["distance"]) for each in found["neighbours"]] + [("median of all", found["median_distance"])]
    near = [[user, f"{distance:.3f}", round(distance * channels)] for user, distance in ranked]
    age = (
        f"The history gives another strategy by now: {found['outdated']} of {channels} channels differ; make it again."
        if found["outdated"]
        else "The history gives exactly this strategy."
    )
    return [
        Text(age),
        rows(f"layers, beside {found['others']} other users", ["layer", "channels", "bits", "theirs", "deviation", "lit"], layers),
        rows(
            f"channels that this user's interests light up: the rarest of {found['lit']}",
            ["layer", "channel", "bits", "theirs", "share", "importance", "driver"],
            lit,
        ),
        rows("items that drive the strategy", ["item", "place", "times", "channels", "lit", "shift"], items),
        rows("nearest users", ["user", "distance", "channels"], near),
        Text(
            "theirs: mean of the other users; share: of them with at least these bits; deviation, importance, shift: in standard "
            "deviations over them; driver: the item without which the channel loses most importance; place: 1 = the newest item; "
            "channels and lit of an item: what changes, and what dims, without it; distance: share of channels that differ",
            style="dim",
        ),
    ]


def _since(path: Path, found: "StrategyDifference") -> dict[str, Any]:
    return {
        "file": str(path),
        "changed": found.changed,
        "average_bits": list(found.average_bits),
        "moves": {f"{old}->{new}": count for (old, new), count in found.moves.items()},
        "layers": {
            layer.name: {"up": layer.raised, "down": layer.lowered, "channels": layer.channels, "average_bits": list(layer.average_bits)}
            for layer in found.layers
        },
    }


def _since_table(path: Path, found: "StrategyDifference") -> RenderableType:
    title = f"since {path.name}: {found.changed} of {found.channels} channels have changed"
    body = [
        [layer.name, layer.raised, layer.lowered, layer.channels, *(f"{bits:.2f}" for bits in layer.average_bits)] for layer in found.layers
    ]
    return rows(title, ["layer", "up", "down", "channels", "bits then", "bits now"], body)


@app.command(epilog="Example: `chordkit strategy diff 42.chrd 43.chrd --master master.chrm`")
def diff(
    first: Annotated[Path, typer.Argument(help="A strategy (.chrd).")],
    second: Annotated[Path, typer.Argument(help="Another strategy of the same backbone.")],
    master: MasterOption,
    as_json: JsonOption = False,
) -> None:
    """Tell how two strategies differ."""
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import difference

    weights = MasterWeights.load(master)
    found = difference(read_strategy(first, weights), read_strategy(second, weights), weights.channel_table)
    payload = {
        "channels": found.channels,
        "changed": found.changed,
        "average_bits": list(found.average_bits),
        "moves": {f"{old}->{new}": count for (old, new), count in found.moves.items()},
        "layers": {layer.name: {"changed": layer.changed, "channels": layer.channels} for layer in found.layers},
    }
    title = f"{found.changed} of {found.channels} channels differ; {found.average_bits[0]:.3f} and {found.average_bits[1]:.3f} bits"
    body = [[layer.name, layer.changed, layer.channels, *(f"{bits:.2f}" for bits in layer.average_bits)] for layer in found.layers]
    emit(as_json, payload, lambda: rows(title, ["layer", "changed", "channels", "bits", "bits"], body))
