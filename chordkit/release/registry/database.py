"""One database under a registry, SQLite or PostgreSQL: connections, one writer at a time, and errors in our own words."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

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
        self._file = Path(parsed.database or "").absolute() if self.sqlite else None
        try:
            self._engine = _postgresql(parsed) if self._file is None else _sqlite(self._file)
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

    def prepare(self, create: bool) -> None:
        """Make the file of an SQLite database if it may be made, and let its readers go on while somebody writes, which the file remembers.

        Raises:
            ReleaseError: the file is not there, cannot be made, or is none of SQLite's.
        """
        if self._file is None:
            return
        if not self._file.parent.is_dir():
            raise ReleaseError(f"{self.name}: there is no folder {self._file.parent} for it; make it first")
        if create:
            self._file.touch()
        elif not self._file.is_file():
            raise ReleaseError(f"{self.name}: there is no such registry; give the one of a channel")
        with self._in_words(), contextlib.closing(_open(self._file)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            text = str(error.orig).strip().partition("\n")[0]
            if isinstance(error, (exc.OperationalError, exc.InterfaceError)):
                raise RegistryUnreachable(f"{self.name}: the registry cannot be used now: {text}; try again when it is there") from None
            raise ReleaseError(f"{self.name}: the registry refuses this: {text}; look at what else writes to this database") from None
        except sqlite3.Error as error:  # before there is an engine
            raise ReleaseError(f"{self.name}: it cannot be opened: {error}; give the registry of a channel") from None


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


def _sqlite(file: Path) -> Engine:
    engine = sa.create_engine("sqlite://", poolclass=NullPool, creator=lambda: _open(file))

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN")

    return engine


def _open(file: Path) -> sqlite3.Connection:
    # A file that is gone is not made anew, and a transaction begins where it is said, and not somewhere in it.
    address = f"file:{quote(str(file))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # what was committed is on the disk
    return connection


def _postgresql(url: URL) -> Engine:
    timeouts = f"-c lock_timeout={PATIENCE_S}s -c statement_timeout={2 * PATIENCE_S}s -c idle_in_transaction_session_timeout=300s"
    arguments = {"connect_timeout": _CONNECT_S, "application_name": "chordkit", "options": timeouts}
    return sa.create_engine(url, poolclass=NullPool, connect_args=arguments)
