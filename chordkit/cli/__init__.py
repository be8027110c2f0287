"""The command line: one thin command per verb, no logic."""

from chordkit.cli.main import main

__all__ = ["main"]
