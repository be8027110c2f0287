"""Releases that phones can trust: a channel of signed metadata over static files, its registry and its verifier (docs/release.md).

Nothing here imports The Update Framework's library or a database; the modules that need them ask for the extra by
:func:`require_packages`.
"""

import importlib.util

from chordkit.errors import MissingRuntimeError
from chordkit.release.words import Cohort, Difference, Killed, PhoneFacts, Release, Stage

__all__ = ["Cohort", "Difference", "Killed", "PhoneFacts", "Release", "Stage", "require_packages"]


def require_packages() -> None:
    """Hold that what a channel is built on is installed.

    Raises:
        MissingRuntimeError: it is not; the message names the extra that brings it.
    """
    missing = [name for name in ("tuf", "securesystemslib", "sqlalchemy", "alembic") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingRuntimeError(f"a release channel needs the package {missing[0]}; pip install 'chordkit[release]'")
