"""A group of commands with one that goes without its name."""

from typing import Any

from typer.core import TyperGroup


class DefaultGroup(TyperGroup):
    """``chordkit bench shop.chord`` is ``chordkit bench run shop.chord``: what is no command's name belongs to the first command."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Put the first command's name where none was given."""
        first = args[0] if args else ""
        if first not in self.commands and first not in context.help_option_names:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(context, args)

    def list_commands(self, context: Any) -> list[Any]:
        """In the order of their definition."""
        return list(self.commands)
