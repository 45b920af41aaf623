"""The tables' versions: Alembic revisions in migrations/versions, applied in order under a lock.

Guarantees: any number of processes may migrate at once; tables of a newer release are refused;
tables that are as they should be cost one query, and Alembic (with SQLAlchemy, a second to import)
is loaded only where there is something to do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from domain.batch import SinkError

HISTORY: Final = "history"
HISTORY_NEXT: Final = "history_next"
HISTORY_OLD: Final = "history_old"
READER_ROLE: Final = "crossbook_reader"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "alembic_version"
FIRST_VERSION: Final = "0001"
LOCK_MIGRATE: Final = 0x43_42_4D_01
LOCK_REBUILD: Final = 0x43_42_4D_02
LOCK_DAYS: Final = 0x43_42_4D_03  # taken by make_trading_day

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A version of the tables, and what it brings in one line."""

    number: str
    title: str


def versions() -> list[Version]:
    """Every version that this release knows, oldest first."""
    found = []
    for file in sorted((MIGRATIONS / "versions").glob("[0-9]*.py")):
        title = file.read_text().split('"""', 2)[1].strip().split("\n\n")[0]
        found.append(Version(file.name[:4], " ".join(title.split())))
    return found


def newest() -> str:
    """The number of the newest version, from the files' names alone."""
    return max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def version_of(connection: Connection, schema: str = HISTORY) -> str | None:
    """The version of a schema's tables; None where there are none."""
    for table, column in ((VERSION_TABLE, "version_num"), ("schema_version", "version")):
        name = f"{schema}.{table}"
        found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
        if found is None or not found[0]:
            continue
        query = SQL("SELECT max({})::text FROM {}").format(
            Identifier(column), Identifier(schema, table)
        )
        row = connection.execute(query).fetchone()
        if row is not None and row[0] is not None:
            return str(row[0]).zfill(4)
    return None


def migrate(connection: Connection, schema: str = HISTORY) -> str:
    """Make `schema` where it is missing, bring it to the newest version, and return that.

    Raises SinkError where a newer release wrote it.
    """
    wanted = newest()
    if is_current(connection, schema, wanted):
        return wanted
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_MIGRATE])
        if is_current(connection, schema, wanted):
            return wanted
        connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
        from projections.postgres.migrating import upgrade

        upgrade(connection, schema)
        grant_reader(connection, schema)
    return wanted


def is_current(connection: Connection, schema: str, wanted: str) -> bool:
    """Whether a schema's tables are of this version. Raises SinkError where they are of a newer."""
    found = version_of(connection, schema)
    if found is not None and found > wanted:
        raise SinkError(f"{schema} is of version {found}; this release knows {wanted}")
    return found == wanted


def grant_reader(connection: Connection, schema: str = HISTORY) -> bool:
    """Let the role `crossbook_reader`, which cannot log in by itself, read the schema, no more.

    False, and a warning, where we may neither make the role nor find it made.
    """
    role, name = Identifier(READER_ROLE), Identifier(schema)
    query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
    if connection.execute(query, [READER_ROLE]).fetchone() is None:
        try:
            with connection.transaction():
                connection.execute(SQL("CREATE ROLE {} NOLOGIN").format(role))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # made by another at the same time
        except psycopg.errors.InsufficientPrivilege:
            log.warning("may not create the role %s: reads keep the owner's rights", READER_ROLE)
            return False
    # A grant beside another, or beside a new partition, fails ("tuple concurrently updated").
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_MIGRATE])
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_DAYS])
        connection.execute(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, role))
        connection.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(name, role))
    return True
