"""``chordkit strategy``: make, show and compare strategies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from chordkit.cli.options import MasterOption, OptionalDataOption, parse_ids, read_strategy
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, progress_bar, rows, writable_file
from chordkit.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make, show and compare strategies.")

_COLOURS = {0: "grey37", 2: "light_sky_blue1", 4: "dodger_blue1", 8: "blue3"}


@app.command(
    epilog="Example: `chordkit strategy make --hypernetwork hypernetwork.safetensors --master master.chrm --data shop.safetensors "
    "--user 42 --out 42.chrd`"
)
def make(
    hypernetwork: Annotated[Path, typer.Option("--hypernetwork", help="The trained hypernetwork.")],
    master: MasterOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the strategy goes (.chrd).")],
    data: OptionalDataOption = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Id of a user of the data set.")] = None,
    history: Annotated[str | None, typer.Option(help="Or item indices of a history, oldest first: 17,4,211.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="Average bits per weight; the default is what the hypernetwork was trained for.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a user's strategy from recent interactions."""
    from chordkit.data import left_pad, load_named
    from chordkit.files import write_bytes
    from chordkit.hypernetwork import load_hypernetwork, make_strategies, to_strategy
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import Budget, average_bits, to_wire

    weights = MasterWeights.load(master)
    network, _ = load_hypernetwork(hypernetwork, weights)
    length = max(network.options.pools[-1], int(weights.config["max_length"]))  # type: ignore[arg-type]
    items = weights.items
    if history is not None and user is None:
        sequence = parse_ids(history, items, "--history")
    elif user is not None and history is None and data is not None:
        with progress_bar() as progress:
            dataset = load_named(data, seed=seed, progress=progress)
        if user not in dataset.user_ids:
            raise InputError(f"--user {user}: data set '{dataset.name}' has no such user; its first is '{dataset.user_ids[0]}'")
        if dataset.items != items:
            raise InputError(
                f"--data {data}: {dataset.items} items do not fit master weights of {items}; give the data set they were trained on"
            )
        sequence = dataset.sequences[list(dataset.user_ids).index(user)].tolist()
    else:
        raise InputError("give either --history, or --user with --data")
    import numpy as np

    padded = left_pad([np.asarray(sequence, np.int32)], length)
    widths = make_strategies(network, padded, None if budget is None else Budget(budget))[0]
    encoded = to_wire(to_strategy(network, widths))
    write_bytes(out, encoded)
    payload = {
        "file": str(out),
        "bytes": len(encoded),
        "channels": len(widths),
        "average_bits": average_bits(widths, weights.channel_table),
        "backbone": weights.fingerprint.hex(),
    }
    emit(as_json, payload, lambda: key_values("strategy", payload))


@app.command(epilog="Example: `chordkit strategy show 42.chrd --master master.chrm`")
def show(
    strategy: Annotated[Path, typer.Argument(help="A strategy (.chrd).")],
    master: MasterOption,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check a strategy against its backbone and show the width of every channel."""
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import average_bits, payload_bytes

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

    def view() -> Group:
        name_width = max(map(len, layers))
        lines = [
            Text.assemble((f"{name:>{name_width}}  ", "cyan"), *[("█", _COLOURS[int(digit)]) for digit in digits])
            for name, digits in layers.items()
        ]
        key = Text.assemble(
            *[part for width, colour in _COLOURS.items() for part in (("█", colour), f" {f'int{width}' if width else 'off'}  ")]
        )
        return Group(key_values(strategy.name, summary), *lines, key)

    emit(as_json, {**summary, "widths": layers}, view)


@app.command(epilog="Example: `chordkit strategy diff 42.chrd 43.chrd --master master.chrm`")
def diff(
    first: Annotated[Path, typer.Argument(help="A strategy (.chrd).")],
    second: Annotated[Path, typer.Argument(help="Another strategy of the same backbone.")],
    master: MasterOption,
    seed: SeedOption = 0,
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
