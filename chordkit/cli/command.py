"""What holds for every command."""

import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

from typer.core import TyperArgument, TyperCommand

from chordkit.cli.apart import beside_of, files_behind, outputs_of, require_apart, sources_of
from chordkit.cli.output import note

_ROOM_FOR_A_TABLE = 100
"""Columns of a terminal below which a table of options would cut their names off."""


class Command(TyperCommand):
    """A command of ``chordkit``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument) and parameter.nargs != 1:
                # Of several values of a kind the library shows Python's name for the list.
                setattr(parameter, "display_type", lambda ctx: "<path>")  # noqa: B010

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As a table where there is room for one, as lines where there is not: no name is cut off."""
        if shutil.get_terminal_size().columns < _ROOM_FOR_A_TABLE:
            self.rich_markup_mode = None
        super().format_help(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The example, in lines that are not broken within an option's name."""
        if self.rich_markup_mode is not None or not self.epilog:
            super().format_epilog(ctx, formatter)
            return
        indent = "  "
        text = textwrap.fill(self.epilog, formatter.width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        formatter.write(f"\n{text}\n")

    def invoke(self, ctx: Any) -> Any:
        """Say what comes from a project's file, refuse to write over what is read, then run."""
        taken = [parameter for parameter in self.params if _from_file(ctx, parameter)]
        if taken:
            given = ", ".join(f"{parameter.opts[0]} {ctx.params[parameter.name]}" for parameter in taken)
            note(f"from {ctx.find_root().obj}: {given}")
        written, sources = outputs_of(ctx), sources_of(ctx)
        outputs: dict[str, Path] = {}
        inputs: dict[str, list[str | os.PathLike[str]]] = {}
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if parameter.name in written:
                outputs[_as_typed(parameter)] = Path(value)
            else:
                several = value if isinstance(value, list | tuple) else (value,)
                paths = [each for each in several if isinstance(each, str | os.PathLike)]
                behind = [file for path in paths for file in files_behind(str(path))] if parameter.name in sources else []
                inputs[_as_typed(parameter)] = [*paths, *behind]
        require_apart(outputs | beside_of(ctx), inputs)
        return super().invoke(ctx)


def _from_file(ctx: Any, parameter: Any) -> bool:
    source = ctx.get_parameter_source(parameter.name)
    return source is not None and source.name == "DEFAULT_MAP"


def _as_typed(parameter: Any) -> str:
    """An option as a user types it, an argument in capitals."""
    return str(parameter.opts[0]) if parameter.param_type_name == "option" else str(parameter.name).upper()
