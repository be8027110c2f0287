"""``chordkit devices``: what can be measured on, and what a device that is missing needs."""

from typing import Annotated

import typer

from chordkit.cli.groups import DefaultGroup
from chordkit.cli.output import JsonOption, emit, key_values, note, progress_bar, rows

app = typer.Typer(
    cls=DefaultGroup,
    rich_markup_mode="markdown",
    help="List what can be measured on, and prepare what is not there yet. `chordkit devices` alone lists.",
)


@app.command(name="list")
def list_(as_json: JsonOption = False) -> None:
    """List what can be measured on, and what is attached besides.

    Example: `chordkit devices list --json`
    """
    from chordkit.runtime_bench.devices.registry import list_devices

    found = list_devices()
    body = [[device.name, device.kind, "yes" if device.measurable else "no", device.detail] for device in found.devices]
    emit(as_json, found.model_dump(mode="json"), lambda: rows("devices", ["device", "kind", "measurable", "what"], body))
    for remark in found.remarks:
        note(remark)


@app.command()
def prepare(
    device: Annotated[str, typer.Argument(help="What to prepare: emulator.")],
    as_json: JsonOption = False,
) -> None:
    """Fetch and build what an emulated device is made of, into the user's cache; needs no root and installs nothing.

    Example: `chordkit devices prepare emulator`
    """
    from chordkit.runtime_bench.devices.registry import preparer

    with progress_bar() as progress:
        prepared = preparer(device)(progress)
    payload = prepared.model_dump(mode="json")
    short = {name: len(value) if isinstance(value, list) else value for name, value in payload.items() if not isinstance(value, dict)}
    emit(as_json, payload, lambda: key_values(f"{device} is ready", short | {"seconds": f"{payload['seconds']:.1f}"}))
