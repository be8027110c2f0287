"""How long work tells that it is still at it."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, total); a phase is a few words that a person reads."""


def renamed(progress: Progress | None, phase: str) -> Progress | None:
    """``progress`` with every phase called ``phase``, for one of several runs that name theirs alike."""
    return None if progress is None else lambda _, done, total: progress(phase, done, total)
