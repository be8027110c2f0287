"""How a process of a service comes to its application: what is heavy is imported when the process has begun, and not to begin it.

The process that watches over the others asks each for a sign of life from its first moment on.
"""

from typing import TYPE_CHECKING

from chordkit.service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from chordkit.service.state import State


def application(settings: Settings, state: "State | None" = None) -> "FastAPI":
    """:func:`chordkit.service.app.create_app`."""
    from chordkit.service.app import create_app

    return create_app(settings, state)
