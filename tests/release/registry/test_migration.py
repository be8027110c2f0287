"""An empty database becomes a registry, one of a newer chordkit's is left alone, and the tables are what the code thinks they are."""

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from chordkit.errors import ReleaseError
from chordkit.release.registry import Registry, tables
from chordkit.release.registry.database import Database
from chordkit.release.registry.migration import migrate, newest_revision


def test_the_revisions_make_the_tables_that_the_code_knows(url: str) -> None:
    database = Database(url)
    database.prepare(create=True)
    for _ in range(2):
        migrate(database)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata) == []
        found = {each["name"] for each in sa.inspect(connection).get_check_constraints("releases")}
    assert found == {"ck_releases_part"}


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    database = Database(url)
    database.prepare(create=True)
    with database.writing() as connection:
        connection.execute(sa.text("create table versions (role integer)"))  # somebody else's
    with pytest.raises(ReleaseError, match="versions"):
        Registry.open(url)
    with database.reading() as connection:
        assert sa.inspect(connection).get_table_names() == ["versions"]


def test_tables_of_a_newer_chordkit_are_refused_and_left(url: str) -> None:
    Registry.open(url)
    database = Database(url)
    with database.writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    for _ in range(2):
        with pytest.raises(
            ReleaseError, match=rf"revision 9999, and this chordkit knows no later one than {newest_revision()}; update chordkit"
        ):
            Registry.open(url)


def test_none_is_made_where_none_may_be(url: str) -> None:
    for _ in range(2):
        with pytest.raises(ReleaseError, match="there is no"):
            Registry.open(url, create=False)
    Registry.open(url)
    assert Registry.open(url, create=False).releases() == ()
