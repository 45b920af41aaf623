"""The tables' versions: plain numbered SQL files, each applied once, in order, under a lock.

Guarantees: any number of processes may migrate at once; a schema of a newer release is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from domain.batch import SinkError

HISTORY: Final = "history"
HISTORY_NEXT: Final = "history_next"
HISTORY_OLD: Final = "history_old"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK_MIGRATE: Final = 0x43_42_4D_01
LOCK_REBUILD: Final = 0x43_42_4D_02

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


def migrate(connection: Connection, schema: str, migrations: Path = MIGRATIONS) -> int:
    """Make `schema` where it is missing, bring it to the newest version, and return that.

    Raises SinkError where a newer release wrote it.
    """
    files = sorted(migrations.glob("[0-9]*.sql"))
    newest = int(files[-1].name[:4])
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_MIGRATE])
        name = Identifier(schema)
        connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(SQL("SET LOCAL search_path TO {}").format(name))
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
        row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        version = 0 if row is None or row[0] is None else int(row[0])
        if version > newest:
            raise SinkError(f"{schema} is of version {version}; this release knows {newest}")
        for file in files:
            number = int(file.name[:4])
            if number > version:
                connection.execute(file.read_bytes())
                connection.execute("INSERT INTO schema_version VALUES (%s)", [number])
    return newest
