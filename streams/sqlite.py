"""The `eventsourcing` library's SQLite recorder for logs that can be made again.

The command log uses the library's own factory, whose commits are durable before they return. An
event log is a function of it, so this factory's commits do not wait for the disk: after a power cut
the file is sound and may lack its last batches, which the matcher writes again."""

from __future__ import annotations

from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteFactory
from eventsourcing.utils import Environment, EnvType


class UnsyncedPool(SQLiteConnectionPool):
    """Connections that leave flushing to the operating system between checkpoints."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")
        return connection


class UnsyncedFactory(SQLiteFactory):
    """As the library's, with `UnsyncedPool`."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore.pool.close()
        self.datastore.pool = UnsyncedPool(db_name=self.datastore.pool.db_name)
