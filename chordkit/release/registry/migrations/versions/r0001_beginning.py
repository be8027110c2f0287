"""Releases, differences, killed families, versions of the metadata, sums of reports, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of an empty registry."""
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "releases",
        sa.Column("number", whole, autoincrement=False, nullable=False),
        sa.Column("counter", whole, nullable=False),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        sa.Column("bundle", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("length", whole, nullable=False),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("cohort", sa.Text(), nullable=False),
        sa.Column("rollback_of", whole),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", whole, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_releases"),
        sa.ForeignKeyConstraint(["rollback_of"], ["releases.number"], name="fk_releases_rollback_of"),
        sa.CheckConstraint("basis_points between 0 and 10000", name="ck_releases_part"),
    )
    op.create_table(
        "differences",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("release", whole, nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("result", sa.String(64), nullable=False),
        sa.Column("length", whole, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_differences"),
        sa.ForeignKeyConstraint(["release"], ["releases.number"], name="fk_differences_release"),
    )
    op.create_table(
        "killed",
        sa.Column("fingerprint", sa.String(16), nullable=False),
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("serial_from", whole, autoincrement=False, nullable=False),
        sa.Column("serial_to", whole, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "key", "serial_from", "serial_to", name="pk_killed"),
    )
    op.create_table(
        "versions",
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("version", whole, nullable=False),
        sa.PrimaryKeyConstraint("role", name="pk_versions"),
    )
    op.create_table(
        "reports",
        sa.Column("release", whole, autoincrement=False, nullable=False),
        sa.Column("runtime", sa.String(32), nullable=False),
        sa.Column("abi", sa.String(32), nullable=False),
        sa.Column("result", sa.String(8), nullable=False),
        sa.Column("count", whole, nullable=False),
        sa.PrimaryKeyConstraint("release", "runtime", "abi", "result", name="pk_reports"),
        sa.ForeignKeyConstraint(["release"], ["releases.number"], name="fk_reports_release"),
    )
    op.create_table(
        "events",
        sa.Column("number", whole, autoincrement=True, nullable=False),
        sa.Column("time", whole, nullable=False),
        sa.Column("what", sa.String(255), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("release", whole),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
    )
