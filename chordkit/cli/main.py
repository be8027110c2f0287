"""Entry point of ``chordkit``."""

import typer

app = typer.Typer(name="chordkit", no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    app()
