"""The registry of releases, in SQLite or PostgreSQL: ``Registry.open(url)`` (docs/release.md).

Its records and errors are plain; the database's packages come with the extra ``[release]``, PostgreSQL's driver with ``[postgresql]``.
"""

# ruff: noqa: E402 - what is missing is said before it is missed

from chordkit.release import require_packages

require_packages()

from chordkit.release.records import OFFERED, Event, Health, RegisteredRelease, State
from chordkit.release.registry.registry import Registry
from chordkit.release.registry.transaction import Transaction

__all__ = ["OFFERED", "Event", "Health", "RegisteredRelease", "Registry", "State", "Transaction"]
