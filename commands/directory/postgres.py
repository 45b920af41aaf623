"""The directory's event store in PostgreSQL: the library's own recorder, in a schema of its own.

Guarantees: any number of processes may start at once on an empty database; connections are made as
the DSN says (TLS, socket, password file: all that libpq knows); after an outage of the server the
store is used again within seconds of its return, and no call waits much longer than five.
"""

from __future__ import annotations

from typing import Final, cast

import psycopg
from eventsourcing.persistence import OperationalError
from eventsourcing.postgres import (
    ConnectionPool,
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresFactory,
)
from eventsourcing.utils import Environment
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier

SCHEMA: Final = "directory"
DSN: Final = "POSTGRES_DSN"
# The library reads where to connect from four settings of its own, and wants each to be there.
UNUSED: Final = "as the DSN says"
CONNECTIONS_MAX: Final = 4
CONNECT_TIMEOUT_S: Final = 2
POOL_TIMEOUT_S: Final = 0.25  # the library asks ten times
RECONNECT_TIMEOUT_S: Final = 2.0
STATEMENT_TIMEOUT_MS: Final = 5_000
# Taken while the tables are made (`projections` takes 1 to 3).
LOCK_CREATE: Final = 0x43_42_4D_04


def postgres_environment(dsn: str) -> dict[str, str]:
    """The settings that keep the directory in the PostgreSQL of a DSN or URL."""
    names = ("DBNAME", "HOST", "USER", "PASSWORD")
    return {
        "PERSISTENCE_MODULE": f"{__name__}:DirectoryFactory",
        DSN: dsn,
        **{f"POSTGRES_{name}": UNUSED for name in names},
        "POSTGRES_SCHEMA": SCHEMA,
        "AGGREGATE_CACHE_MAXSIZE": "1024",
    }


class DirectoryDatastore(PostgresDatastore):
    """Connects by a DSN."""

    def __init__(self, dsn: str) -> None:
        super().__init__(UNUSED, UNUSED, 0, UNUSED, UNUSED, schema=SCHEMA, lock_timeout=5)
        self.dsn = dsn
        settled = self.after_connect_func()

        def configure(connection: psycopg.Connection[DictRow]) -> None:
            settled(connection)
            connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")

        self.pool = ConnectionPool(
            dsn,
            connection_class=psycopg.Connection[DictRow],
            kwargs={"row_factory": dict_row, "connect_timeout": CONNECT_TIMEOUT_S},
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            configure=configure,
            timeout=POOL_TIMEOUT_S,
            reconnect_timeout=RECONNECT_TIMEOUT_S,
        )


class DirectoryRecorder(PostgresApplicationRecorder):
    """The library's recorder; its tables are made once, by one process at a time."""

    def create_table(self) -> None:
        """Make schema and tables where they are not there. Raises OperationalError."""
        datastore = cast(DirectoryDatastore, self.datastore)
        try:
            with psycopg.connect(
                datastore.dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            ) as connection:
                if not self._exists(connection):
                    connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_CREATE])
                    schema = SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA))
                    connection.execute(schema)
                    if not self._exists(connection):
                        super().create_table()
            datastore.register_type_adapters()
        except psycopg.Error as error:
            raise OperationalError(str(error)) from error

    def _exists(self, connection: psycopg.Connection) -> bool:
        name = f"{SCHEMA}.{self.events_table_name}"
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
        return bool(row is not None and row[0])


class DirectoryFactory(PostgresFactory):
    """The library's factory, on a `DirectoryDatastore`."""

    application_recorder_class = DirectoryRecorder

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        dsn = self.env.get(DSN)
        assert dsn is not None, "postgres_environment sets it"
        self.datastore.close()
        self.datastore = DirectoryDatastore(dsn)
