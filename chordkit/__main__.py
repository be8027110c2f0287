"""``python -m chordkit``."""

from chordkit.cli import main

main()
