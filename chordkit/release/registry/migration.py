"""A registry's tables are brought to the newest revision, whole or not at all, by one process while the others wait."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from chordkit.errors import ReleaseError
from chordkit.release.registry.database import Database

_FOLDER = Path(__file__).with_name("migrations")


def newest_revision() -> str:
    """The one that this chordkit writes and reads."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def migrate(database: Database, revision: str = "head", *, create: bool = True) -> None:
    """Bring the tables to a revision; does nothing, and needs no right to, where they are there.

    Raises:
        ReleaseError: they are of a newer chordkit's, or there are none and none may be made.
    """
    newest = newest_revision() if revision == "head" else revision
    with database.reading() as connection:
        if _revision(connection) == newest:
            return
    with database.writing() as connection:
        found = _revision(connection)  # by now others may have done it
        known = {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}
        if found is None and not create:
            raise ReleaseError(f"{database.name}: there is no registry in this database; give the one of a channel")
        if found is not None and found not in known:
            raise ReleaseError(
                f"{database.name}: its tables are of revision {found}, and this chordkit knows no later one than {newest}; update chordkit"
            )
        if found != newest:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
