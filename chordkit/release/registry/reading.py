"""From rows to records."""

import json
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from chordkit.release.records import Event, Health, RegisteredRelease
from chordkit.release.registry import tables
from chordkit.release.words import Cohort, Difference, Killed, Release, Stage


def releases(connection: Connection) -> tuple[RegisteredRelease, ...]:
    """All of them, the first one first."""
    rows = connection.execute(sa.select(tables.releases).order_by(tables.releases.c.number))
    return tuple(
        RegisteredRelease(
            Release(
                number=row.number,
                counter=row.counter,
                fingerprint=row.fingerprint,
                bundle=row.bundle,
                name=row.name,
                length=row.length,
                stage=Stage(row.salt, row.basis_points),
                cohort=Cohort.from_json(json.loads(row.cohort)),
                rollback_of=row.rollback_of,
            ),
            row.state,
            row.created,
        )
        for row in rows
    )


def numbers(connection: Connection, among: Iterable[int]) -> set[int]:
    """Those of ``among`` that are releases."""
    column = tables.releases.c.number
    return set(connection.scalars(sa.select(column).where(column.in_(list(among)))))


def highest(connection: Connection) -> int:
    """The number of the last release; 0 = there is none."""
    return connection.scalar(sa.select(sa.func.max(tables.releases.c.number))) or 0


def differences(connection: Connection) -> tuple[Difference, ...]:
    """All of them, by release and name."""
    table = tables.differences
    rows = connection.execute(sa.select(table).order_by(table.c.release, table.c.name))
    return tuple(Difference(row.base, row.result, row.release, row.name, row.length, row.digest) for row in rows)


def killed(connection: Connection) -> tuple[Killed, ...]:
    """Families that no phone may use, in order."""
    rows = connection.execute(sa.select(tables.killed).order_by(*tables.killed.primary_key))
    return tuple(Killed(row.fingerprint, row.key or None, row.serial_from, row.serial_to) for row in rows)


def versions(connection: Connection) -> dict[str, int]:
    """Versions by role."""
    return {row.role: row.version for row in connection.execute(sa.select(tables.versions))}


def health(connection: Connection, release: int) -> tuple[Health, ...]:
    """Sums of a release per runtime and ABI, in order."""
    rows = connection.execute(sa.select(tables.reports).where(tables.reports.c.release == release))
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        found.setdefault((row.runtime, row.abi), {})[row.result] = row._mapping["count"]
    return tuple(Health(*group, sums.get("passed", 0), sums.get("failed", 0)) for group, sums in sorted(found.items()))


def events(connection: Connection, limit: int) -> tuple[Event, ...]:
    """The newest ones, the last one first."""
    rows = connection.execute(sa.select(tables.events).order_by(tables.events.c.number.desc()).limit(limit))
    return tuple(Event(row.time, row.what, row.who, row.release) for row in rows)
