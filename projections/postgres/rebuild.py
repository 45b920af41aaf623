"""Building the history anew beside the one that is served, and changing over in one transaction.

Guarantees: readers see the old tables until the new ones are at least as far; the running sink
waits out the change and goes on in the new tables, from their position. One rebuild at a time.
"""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Identifier

from domain.batch import SinkError
from projections.postgres.schema import (
    HISTORY,
    HISTORY_NEXT,
    HISTORY_OLD,
    LOCK_REBUILD,
    Connection,
    migrate,
)
from projections.postgres.sink import PostgresSink

# A shard that is served and is missing in the new tables, or not yet as far there.
BEHIND = SQL(
    "SELECT shard FROM {live}.sink_positions served"
    " LEFT JOIN {next}.sink_positions built USING (sink, shard)"
    " WHERE coalesce(built.position, 0) < served.position LIMIT 1"
)


class PostgresRebuild(PostgresSink):
    """A sink of fresh tables. Apply each shard's event log from the start, then call `finish`.

    Use it as a context manager, or call `begin` and `close`.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, schema=HISTORY_NEXT)
        self._admin: Connection | None = None

    def begin(self) -> None:
        """Make the fresh tables. Raises SinkError where another rebuild is under way."""
        admin = psycopg.connect(self._dsn, autocommit=True, connect_timeout=5)
        row = admin.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_REBUILD]).fetchone()
        if row is None or not row[0]:
            admin.close()
            raise SinkError("another rebuild of PostgreSQL is under way")
        self._admin = admin
        _drop(admin, HISTORY_NEXT)
        _drop(admin, HISTORY_OLD)
        migrate(admin, HISTORY_NEXT)

    def finish(self, *, even_if_behind: bool = False) -> bool:
        """Serve the new tables from now on; False where they are not yet as far as those served.

        With `even_if_behind` they are served all the same: for a history that forked.
        """
        if self._admin is None:
            raise SinkError("finish() without begin()")
        admin = self._admin
        names = {"live": Identifier(HISTORY), "next": Identifier(HISTORY_NEXT)}
        migrate(admin, HISTORY)
        with admin.transaction():
            # Sinks begin by moving their position: this waits for those under way and stops others.
            admin.execute(SQL("LOCK TABLE {live}.sink_positions").format(**names))
            if not even_if_behind and admin.execute(BEHIND.format(**names)).fetchone() is not None:
                return False
            rename = SQL("ALTER SCHEMA {} RENAME TO {}")
            admin.execute(rename.format(names["live"], Identifier(HISTORY_OLD)))
            admin.execute(rename.format(names["next"], names["live"]))
        _drop(admin, HISTORY_OLD)
        return True

    def close(self) -> None:
        """Close every connection and drop what was not finished."""
        super().close()
        if self._admin is not None and not self._admin.closed:
            _drop(self._admin, HISTORY_NEXT)
            self._admin.close()
        self._admin = None

    def __enter__(self) -> PostgresRebuild:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _drop(connection: Connection, schema: str) -> None:
    connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))
