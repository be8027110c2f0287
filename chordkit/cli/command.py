"""What holds for every command."""

import os
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from chordkit.cli.apart import outputs_of, require_apart
from chordkit.cli.output import note


class Command(TyperCommand):
    """A command of ``chordkit``."""

    def invoke(self, ctx: Any) -> Any:
        """Say what comes from a project's file, refuse to write over what is read, then run."""
        taken = [parameter for parameter in self.params if _from_file(ctx, parameter)]
        if taken:
            given = ", ".join(f"{parameter.opts[0]} {ctx.params[parameter.name]}" for parameter in taken)
            note(f"from {ctx.find_root().obj}: {given}")
        written = outputs_of(ctx)
        outputs: dict[str, Path] = {}
        inputs: dict[str, list[str | os.PathLike[str]]] = {}
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if parameter.name in written:
                outputs[_as_typed(parameter)] = Path(value)
            else:
                several = value if isinstance(value, list | tuple) else (value,)
                inputs[_as_typed(parameter)] = [each for each in several if isinstance(each, str | os.PathLike)]
        require_apart(outputs, inputs)
        return super().invoke(ctx)


def _from_file(ctx: Any, parameter: Any) -> bool:
    source = ctx.get_parameter_source(parameter.name)
    return source is not None and source.name == "DEFAULT_MAP"


def _as_typed(parameter: Any) -> str:
    """An option as a user types it, an argument in capitals."""
    return str(parameter.opts[0]) if parameter.param_type_name == "option" else str(parameter.name).upper()
