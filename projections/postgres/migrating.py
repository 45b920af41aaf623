"""The one place that loads Alembic: the SQL that brings a schema from one version to another.

Guarantees: Alembic writes the script (its offline mode), we run it over our own connection, in the
caller's transaction; a schema that the hand-numbered releases made is taken over with its rows.
"""

from __future__ import annotations

import io
from typing import Final

from alembic import command
from alembic.config import Config
from psycopg.sql import SQL, Identifier

from projections.postgres.schema import (
    FIRST_VERSION,
    MIGRATIONS,
    READER_ROLE,
    Connection,
    is_current,
    newest,
    version_of,
)

# Tables of the releases before Alembic: their `schema_version` said 1.
ADOPT: Final = f"""
DROP TABLE schema_version;
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('{FIRST_VERSION}');
"""
READER: Final = f"""
DO $$ BEGIN CREATE ROLE {READER_ROLE} NOLOGIN;
EXCEPTION WHEN duplicate_object THEN NULL; END $$;
"""


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


def whole_script(connection: Connection, schema: str) -> str:
    """All that brings a schema to the newest version and lets the reader read it, as one
    transaction to be run by whoever may; only a comment where nothing is lacking. Raises SinkError
    where the tables are of a newer release."""
    if is_current(connection, schema, newest()):
        return f"-- {schema} is of the newest version, {newest()}\n"
    name, role = quoted(schema), quoted(READER_ROLE)
    return (
        f"BEGIN;\nCREATE SCHEMA IF NOT EXISTS {name};\nSET LOCAL search_path TO {name};\n"
        + (ADOPT if _is_older(connection, schema) else "")
        + script_of(version_of(connection, schema))
        + READER
        + f"GRANT USAGE ON SCHEMA {name} TO {role};\n"
        + f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role};\nCOMMIT;\n"
    )


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return Identifier(name).as_string()


def upgrade(connection: Connection, schema: str, to: str = "head") -> None:
    """Apply what is missing, within the transaction that is open on `connection`."""
    connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(schema)))
    _adopt(connection, schema)
    script = script_of(version_of(connection, schema), to)
    connection.execute(script.encode())


def _adopt(connection: Connection, schema: str) -> None:
    if _is_older(connection, schema):
        assert version_of(connection, schema) in (FIRST_VERSION, None)
        connection.execute(ADOPT.encode())


def _is_older(connection: Connection, schema: str) -> bool:
    """Whether a release before Alembic made the tables."""
    query = "SELECT to_regclass(%s) IS NOT NULL"
    row = connection.execute(query, [f"{schema}.schema_version"]).fetchone()
    return row is not None and bool(row[0])
