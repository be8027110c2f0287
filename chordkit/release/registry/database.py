"""One database under a registry, SQLite or PostgreSQL: connections, one writer at a time, and errors in our own words."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from chordkit.errors import MissingRuntimeError, RegistryUnreachable, ReleaseError

PATIENCE_S = 20
"""How long a writer waits for the one before it."""
_CONNECT_S = 5
_ADVISORY_KEY = 0x63686F7264  # "chord"
_WRITING = "chordkit_writing"
_EXAMPLES = "sqlite:///releases.sqlite or postgresql://user@host/releases"


class Database:
    """Where the tables are.

    A connection lives as long as a transaction: so processes may fork, and a server may restart between two of them.

    Args:
        url: ``sqlite:///path`` or ``postgresql://...``.

    Raises:
        ReleaseError: it is none of these.
        MissingRuntimeError: the driver for PostgreSQL is not installed.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.name = parsed.render_as_string(hide_password=True)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        self._file = Path(parsed.database or "") if self.sqlite else None
        try:
            self._engine = _sqlite(parsed) if self.sqlite else _postgresql(parsed)
        except ModuleNotFoundError:
            raise MissingRuntimeError(f"{self.name}: it needs the package psycopg; pip install 'chordkit[postgresql]'") from None
        self._writing = self._engine.execution_options(**{_WRITING: True})

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of everything."""
        with self._in_words(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def adding(self) -> Iterator[Connection]:
        """A short transaction that adds to what others may be changing."""
        # SQLite has one writer at a time in any case, and has to know from the beginning who it is.
        with self._in_words(), (self._writing if self.sqlite else self._engine).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else's overlaps, in whichever process; it begins when theirs have ended."""
        with self._in_words(), self._writing.begin() as connection:
            if not self.sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_KEY)))
            yield connection

    def prepare(self) -> None:
        """Let readers of an SQLite file go on while somebody writes; remembered by the file.

        Raises:
            ReleaseError: the file cannot be opened, or is none of SQLite's.
        """
        if self._file is None:
            return
        if not self._file.parent.is_dir():
            raise ReleaseError(f"{self.name}: there is no folder {self._file.parent} for it; make it first")
        with self._in_words(), self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            connection.rollback()
            if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                raw.execute("PRAGMA journal_mode = WAL")

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            text = str(error.orig).strip().partition("\n")[0]
            if isinstance(error, (exc.OperationalError, exc.InterfaceError)):
                raise RegistryUnreachable(f"{self.name}: the registry cannot be used now: {text}; try again when it is there") from None
            raise ReleaseError(f"{self.name}: the registry refuses this: {text}; look at what else writes to this database") from None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise ReleaseError(f"registry: {url!r} is no address of a database; give {_EXAMPLES}") from None
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite" or parsed.query:
        raise ReleaseError(f"registry: {parsed.render_as_string()} is none that can be one; give {_EXAMPLES}")
    if parsed.database in (None, "", ":memory:"):
        raise ReleaseError("registry: sqlite:// names no file, and nothing would be kept; give sqlite:///releases.sqlite")
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": PATIENCE_S, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # a transaction begins where it is said below, and not somewhere in it
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # what was committed is on the disk

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    timeouts = f"-c lock_timeout={PATIENCE_S}s -c statement_timeout={2 * PATIENCE_S}s -c idle_in_transaction_session_timeout=300s"
    arguments = {"connect_timeout": _CONNECT_S, "application_name": "chordkit", "options": timeouts}
    return sa.create_engine(url, poolclass=NullPool, connect_args=arguments)
