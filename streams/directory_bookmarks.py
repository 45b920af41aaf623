"""How far the directory's commands got in each shard's log, where finding out from the log itself
would mean reading all of it.

Guarantees: a bookmark is saved after what it tells is durable, and is believed only where the log
holds that very batch at that very position. A lost one costs repeats, which the engine answers with
nothing."""

from __future__ import annotations

from typing import Final, Protocol

from psycopg.sql import SQL, Identifier

from commands.directory.application import DirectoryApplication
from commands.directory.postgres import LOCK_CREATE, SCHEMA, DirectoryFactory
from domain.wire import WireError, check_batch

DIRECTORY_SESSION: Final = bytes(15) + b"\x01"
TABLE: Final = Identifier(SCHEMA, "bookmarks")


class ReadableLog(Protocol):
    """A command log as bookmarks need it. Calls block and raise PersistenceError."""

    shard: int

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (position, batch) pairs after a position."""
        ...


class Bookmarks(Protocol):
    """A place for bookmarks. Calls block and raise PersistenceError."""

    def load(self) -> dict[int, tuple[int, int]]:
        """(notification id, position) by shard."""
        ...

    def save(self, shard: int, notification_id: int, position: int) -> None:
        """Keep a bookmark; one that is further on stays."""
        ...

    def drop(self, shard: int) -> None:
        """Forget a bookmark that is of another log."""
        ...


def is_sound(bookmark: tuple[int, int], command_log: ReadableLog) -> bool:
    """Whether the log holds what the bookmark tells. Raises PersistenceError."""
    notification_id, position = bookmark
    rows = command_log.read(position - 1, 1)
    if not rows or rows[0][0] != position:
        return False
    try:
        header = check_batch(rows[0][1])
    except WireError:
        return False
    return (header.session, header.batch_number) == (DIRECTORY_SESSION, notification_id)


class PostgresBookmarks:
    """Bookmarks beside a directory that is kept in PostgreSQL, through its connections."""

    def __init__(self, application: DirectoryApplication) -> None:
        assert isinstance(application.factory, DirectoryFactory), "a directory on PostgreSQL"
        self._datastore = application.factory.datastore
        with self._datastore.transaction(commit=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_CREATE])
            cursor.execute(
                SQL(
                    "CREATE TABLE IF NOT EXISTS {} (shard integer PRIMARY KEY,"
                    " notification_id bigint NOT NULL, position bigint NOT NULL)"
                ).format(TABLE)
            )

    def load(self) -> dict[int, tuple[int, int]]:
        """See `Bookmarks.load`."""
        query = SQL("SELECT shard, notification_id, position FROM {}").format(TABLE)
        with self._datastore.cursor() as cursor:
            rows = cursor.execute(query).fetchall()
        return {row["shard"]: (row["notification_id"], row["position"]) for row in rows}

    def save(self, shard: int, notification_id: int, position: int) -> None:
        """See `Bookmarks.save`."""
        statement = SQL(
            "INSERT INTO {0} AS old VALUES (%s, %s, %s) ON CONFLICT (shard) DO UPDATE"
            " SET notification_id = EXCLUDED.notification_id, position = EXCLUDED.position"
            " WHERE old.notification_id < EXCLUDED.notification_id"
        ).format(TABLE)
        with self._datastore.transaction(commit=True) as cursor:
            cursor.execute(statement, [shard, notification_id, position])

    def drop(self, shard: int) -> None:
        """See `Bookmarks.drop`."""
        with self._datastore.transaction(commit=True) as cursor:
            cursor.execute(SQL("DELETE FROM {} WHERE shard = %s").format(TABLE), [shard])
