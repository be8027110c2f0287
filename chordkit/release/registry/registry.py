"""The registry of releases: what was put out, for whom, what phones said of it, who did what. A channel's metadata is made from it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from chordkit.release.records import Event, Health, RegisteredRelease
from chordkit.release.registry import reading, tables
from chordkit.release.registry.database import Database
from chordkit.release.registry.migration import migrate
from chordkit.release.registry.transaction import Transaction
from chordkit.release.report import ReportKey
from chordkit.release.words import Difference, Killed


class Registry:
    """The registry of one channel, in a database that several processes may use at once; made by :meth:`open`."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    @classmethod
    def open(cls, url: str, now: Callable[[], float] = time.time, *, create: bool = True) -> "Registry":
        """The registry at ``url``, with its tables made or brought up to date.

        Args:
            url: ``sqlite:///path`` or ``postgresql://user:password@host/database``.
            now: a clock, in seconds since 1970, for the audit log.
            create: whether a new one is made where there is none.

        Raises:
            ReleaseError: no such address, no database of this kind there, or one of a newer chordkit's.
            RegistryUnreachable: it is not there now, or is busy.
            MissingRuntimeError: the driver is not installed.
        """
        database = Database(url)
        database.prepare(create)
        migrate(database, create=create)
        return cls(database, now)

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return self._database.name

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Changes that are made together, or after an exception not at all. One at a time, over all processes: others wait.

        Raises:
            RegistryUnreachable: the database is gone, or another transaction took too long.
        """
        with self._database.writing() as connection:
            yield Transaction(connection, self._now)

    def releases(self) -> tuple[RegisteredRelease, ...]:
        """All of them, the first one first."""
        with self._database.reading() as connection:
            return reading.releases(connection)

    def differences(self) -> tuple[Difference, ...]:
        """All of them, by release and name."""
        with self._database.reading() as connection:
            return reading.differences(connection)

    def killed(self) -> tuple[Killed, ...]:
        """Families that no phone may use."""
        with self._database.reading() as connection:
            return reading.killed(connection)

    def versions(self) -> dict[str, int]:
        """The newest version of each role's metadata that was written."""
        with self._database.reading() as connection:
            return reading.versions(connection)

    def health(self, release: int) -> tuple[Health, ...]:
        """What phones said of a release, per runtime and ABI."""
        with self._database.reading() as connection:
            return reading.health(connection, release)

    def events(self, limit: int = 100) -> tuple[Event, ...]:
        """The audit log, the newest event first."""
        with self._database.reading() as connection:
            return reading.events(connection, limit)

    def count(self, reports: Mapping[ReportKey, int]) -> int:
        """Add to the sums; all of these are added, or after an exception none.

        Returns:
            How many reports were not added, since there is no such release.
        """
        if not reports:
            return 0
        with self._database.adding() as connection:
            known = reading.numbers(connection, {key.release for key in reports})
            rows = [
                {"release": key.release, "runtime": key.runtime, "abi": key.abi, "result": key.check, "count": count}
                for key, count in sorted(reports.items())  # in one order, so that no two wait for each other
                if key.release in known
            ]
            if rows:
                _add(connection, rows)
        return sum(reports.values()) - sum(int(str(row["count"])) for row in rows)


def _add(connection: Connection, rows: list[dict[str, object]]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(tables.reports)
    together = tables.reports.c.count + statement.excluded["count"]
    keys = [column.name for column in tables.reports.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"count": together}), rows)
