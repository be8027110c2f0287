"""Releases that phones can trust: a channel of signed metadata over static files, its registry and its verifier (docs/release.md).

Nothing here imports The Update Framework's library or a database; the modules that need them ask for the extra by
:func:`require_packages`.
"""

from chordkit.extras import require_extra
from chordkit.release.words import Cohort, Difference, Killed, PhoneFacts, Release, Stage

__all__ = ["Cohort", "Difference", "Killed", "PhoneFacts", "Release", "Stage", "require_packages"]


def require_packages() -> None:
    """Hold that what a channel is built on is installed.

    Raises:
        MissingRuntimeError: it is not; the message names the extra that brings it.
    """
    require_extra("a release channel needs", "release", "tuf", "securesystemslib", "sqlalchemy", "alembic")
