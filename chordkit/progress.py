"""How long work tells that it is still at it."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, total); a phase is a few words that a person reads."""
