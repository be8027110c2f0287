"""The tables of a registry, as its newest revision leaves them; ``migrations/`` has the way there."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, MetaData, String, Table, Text

_Whole = BigInteger().with_variant(Integer, "sqlite")  # where a whole number has eight bytes anyway

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

releases = Table(
    "releases",
    metadata,
    Column("number", _Whole, primary_key=True, autoincrement=False),
    Column("counter", _Whole, nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("bundle", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("length", _Whole, nullable=False),
    Column("salt", String(32), nullable=False),
    Column("basis_points", Integer, CheckConstraint("basis_points between 0 and 10000", "part"), nullable=False),
    Column("cohort", Text, nullable=False),  # canonical JSON
    Column("rollback_of", _Whole, ForeignKey("releases.number")),
    Column("state", String(16), nullable=False),
    Column("created", _Whole, nullable=False),
)

differences = Table(
    "differences",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("release", _Whole, ForeignKey("releases.number"), nullable=False),
    Column("base", String(64), nullable=False),
    Column("result", String(64), nullable=False),
    Column("length", _Whole, nullable=False),
    Column("digest", String(64), nullable=False),
)

killed = Table(
    "killed",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("key", String(16), primary_key=True),  # '' = whichever
    Column("serial_from", _Whole, primary_key=True, autoincrement=False),
    Column("serial_to", _Whole, primary_key=True, autoincrement=False),
)

versions = Table(
    "versions",
    metadata,
    Column("role", String(16), primary_key=True),
    Column("version", _Whole, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("release", _Whole, ForeignKey("releases.number"), primary_key=True, autoincrement=False),
    Column("runtime", String(32), primary_key=True),
    Column("abi", String(32), primary_key=True),
    Column("result", String(8), primary_key=True),  # "passed" or "failed"
    Column("count", _Whole, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("number", _Whole, primary_key=True, autoincrement=True),
    Column("time", _Whole, nullable=False),
    Column("what", String(255), nullable=False),
    Column("who", String(255), nullable=False),
    Column("release", _Whole),
)
