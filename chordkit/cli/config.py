"""``chordkit config``: what a project's ``chordkit.toml`` says."""

from collections.abc import Mapping
from typing import Any

import typer

from chordkit.cli.output import JsonOption, emit, rows
from chordkit.cli.project import NAME

app = typer.Typer(no_args_is_help=True, help=f"Options that a project repeats, in {NAME}.")


@app.command(epilog="Example: `chordkit config show`")
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print which options each command takes from chordkit.toml in this folder, or from the file of `chordkit --config`.

    A table a command, [train.backbone], holds its options as they are written on the command line (max-length = 20); what stands
    under [all] is for every command that has such an option. The command line wins over both.
    """
    root = context.find_root()
    found = dict(_flat(root.default_map or {}))
    body = [[command, f"--{option.replace('_', '-')}", value] for command, options in found.items() for option, value in options.items()]
    emit(as_json, {"file": root.obj, "commands": found}, lambda: rows(root.obj or f"no {NAME} here", ["command", "option", "value"], body))


def _flat(commands: Mapping[str, Any], before: str = "") -> list[tuple[str, dict[str, Any]]]:
    flat: list[tuple[str, dict[str, Any]]] = []
    for name, values in commands.items():
        if any(isinstance(value, dict) for value in values.values()):
            flat += _flat(values, f"{before}{name} ")
        elif values:
            flat.append((f"{before}{name}", values))
    return flat
