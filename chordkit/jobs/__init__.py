"""Bulk work over tables of histories: strategies and user vectors of all users, on this machine, on Spark or on Ray (docs/bulk.md).

Nothing here imports Arrow, Spark or Ray until it is used: they come with extras.
"""

from chordkit.extras import require_extra

__all__ = ["require_packages"]


def require_packages(extra: str, *packages: str) -> None:
    """Hold that the packages of an extra are installed.

    Raises:
        MissingRuntimeError: one is not; the message names the extra that brings it.
    """
    require_extra("strategies in bulk need", extra, *packages)
