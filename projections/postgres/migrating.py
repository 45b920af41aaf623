"""The one place that loads Alembic: the SQL that brings a schema from one version to another.

Guarantees: Alembic writes the script (its offline mode), we run it over our own connection, in the
caller's transaction; a schema that the hand-numbered releases made is taken over with its rows.
"""

from __future__ import annotations

import io

from alembic import command
from alembic.config import Config
from psycopg.sql import SQL, Identifier

from projections.postgres.schema import FIRST_VERSION, MIGRATIONS, Connection, version_of


def configuration(output: io.StringIO) -> Config:
    """Alembic's configuration; there is no alembic.ini. `output` gets the script."""
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def script_of(version: str | None, to: str = "head") -> str:
    """The SQL from `version` (None: from nothing) to another, for a schema on the search path."""
    output = io.StringIO()
    command.upgrade(configuration(output), f"{version or 'base'}:{to}", sql=True)
    return output.getvalue()


def upgrade(connection: Connection, schema: str, to: str = "head") -> None:
    """Apply what is missing, within the transaction that is open on `connection`."""
    connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(schema)))
    _adopt(connection, schema)
    script = script_of(version_of(connection, schema), to)
    connection.execute(script.encode())


def _adopt(connection: Connection, schema: str) -> None:
    """Take over tables of the releases before Alembic: their `schema_version` said 1."""
    query = "SELECT to_regclass(%s) IS NOT NULL"
    row = connection.execute(query, [f"{schema}.schema_version"]).fetchone()
    if row is None or not row[0]:
        return
    assert version_of(connection, schema) in (FIRST_VERSION, None)
    connection.execute("DROP TABLE schema_version")
    connection.execute(
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)"
    )
    connection.execute("INSERT INTO alembic_version VALUES (%s)", [FIRST_VERSION])
