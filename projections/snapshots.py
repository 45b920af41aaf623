"""Engine snapshots in PostgreSQL, in a schema of their own that no rebuild touches.

Guarantees: a snapshot is written whole or not at all; every chunk carries its SHA-256, and a
damaged snapshot is passed over for the next older one; a chunk that several snapshots share is
stored once. They only save time: all can be dropped at any moment.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.sql import SQL

from domain.batch import Position

log = logging.getLogger(__name__)

LOCK_CREATE: Final = 0x43_42_4D_03
CREATE: Final = """
    CREATE SCHEMA IF NOT EXISTS snapshots;
    CREATE TABLE IF NOT EXISTS snapshots.snapshots (
        shard integer NOT NULL,
        position bigint NOT NULL,
        chain bytea NOT NULL,
        chunk_count integer NOT NULL,
        saved_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (shard, position)
    );
    CREATE TABLE IF NOT EXISTS snapshots.chunks (
        shard integer NOT NULL,
        position bigint NOT NULL,
        number integer NOT NULL,
        sha256 bytea NOT NULL,
        PRIMARY KEY (shard, position, number),
        FOREIGN KEY (shard, position) REFERENCES snapshots.snapshots ON DELETE CASCADE
    );
    CREATE INDEX IF NOT EXISTS chunks_sha256 ON snapshots.chunks (sha256);
    CREATE TABLE IF NOT EXISTS snapshots.bodies (sha256 bytea PRIMARY KEY, body bytea NOT NULL);
    ALTER TABLE snapshots.bodies ALTER COLUMN body SET STORAGE EXTERNAL
"""
PRUNE: Final = """
    DELETE FROM snapshots.snapshots WHERE shard = %(shard)s AND position NOT IN (
        SELECT position FROM snapshots.snapshots WHERE shard = %(shard)s
        ORDER BY position DESC LIMIT %(keep)s)
"""
NEWEST_FIRST: Final = """
    SELECT position, chain, chunk_count FROM snapshots.snapshots
    WHERE shard = %s AND position <= %s ORDER BY position DESC
"""
LISTED: Final = """
    SELECT position, (extract(epoch FROM saved_at) * 1000000)::bigint FROM snapshots.snapshots
    WHERE shard = %s ORDER BY position DESC
"""
SWEEP: Final = """
    DELETE FROM snapshots.bodies b WHERE NOT EXISTS (
        SELECT FROM snapshots.chunks c WHERE c.sha256 = b.sha256)
"""
# COPY, row by row: a result of some hundred megabytes at once takes ten times the CPU time.
CHUNKS: Final = """
    COPY (
        SELECT c.sha256, b.body FROM snapshots.chunks c JOIN snapshots.bodies b USING (sha256)
        WHERE c.shard = {shard} AND c.position = {position} ORDER BY c.number
    ) TO STDOUT (FORMAT binary)
"""
FORGET: Final = "DELETE FROM snapshots.bodies WHERE sha256 = %s"
POSITION_MAX: Final = 2**63 - 1

Connection = psycopg.Connection[tuple[Any, ...]]


class SnapshotStore:
    """Keeps the newest `keep` snapshots of each shard. Safe for several threads, one at a time."""

    def __init__(self, dsn: str, *, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError("at least one snapshot is kept")
        self._dsn = dsn
        self._keep = keep
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def save(self, shard: int, at: Position, chunks: Sequence[bytes]) -> None:
        """Keep the snapshot taken at `at`, durably, and forget all but the newest few.

        Raises psycopg.Error, and then nothing was written.
        """
        with self._lock:
            connection = self._connect()
            key = (shard, at.position)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM snapshots.snapshots WHERE shard = %s AND position = %s", key
                )
                cursor.execute(
                    "INSERT INTO snapshots.snapshots (shard, position, chain, chunk_count)"
                    " VALUES (%s, %s, %s, %s)",
                    (*key, at.chain, len(chunks)),
                )
                # Two shards that save at once must not sweep each other's bodies away.
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_CREATE])
                digests = [hashlib.sha256(chunk).digest() for chunk in chunks]
                self._write_bodies(cursor, dict(zip(digests, chunks, strict=True)))
                cursor.executemany(
                    "INSERT INTO snapshots.chunks VALUES (%s, %s, %s, %s)",
                    [(*key, number, digest) for number, digest in enumerate(digests)],
                )
                cursor.execute(PRUNE, {"shard": shard, "keep": self._keep})
                cursor.execute(SWEEP)

    @staticmethod
    def _write_bodies(cursor: psycopg.Cursor[tuple[Any, ...]], bodies: dict[bytes, bytes]) -> None:
        """Write the chunks that no snapshot holds yet; most of a large state changes seldom."""
        held = cursor.execute(
            "SELECT sha256 FROM snapshots.bodies WHERE sha256 = ANY(%s)", [list(bodies)]
        ).fetchall()
        for digest in bodies.keys() - {bytes(row[0]) for row in held}:
            cursor.execute("INSERT INTO snapshots.bodies VALUES (%s, %b)", (digest, bodies[digest]))

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        """The newest undamaged snapshot not past `at_most_position`; None where there is none."""
        at_most = POSITION_MAX if at_most_position is None else at_most_position
        with self._lock:
            connection = self._connect()
            for position, chain, count in connection.execute(
                NEWEST_FIRST, (shard, at_most)
            ).fetchall():
                chunks = self._sound_chunks(connection, shard, position)
                if chunks is not None and len(chunks) == count:
                    return Position(position, bytes(chain)), chunks
                log.warning("shard %d: the snapshot of position %d is damaged", shard, position)
        return None

    def listed(self, shard: int) -> list[tuple[int, int]]:
        """(position, when it was saved in ns since 1970) of each snapshot, newest first, sound or
        not."""
        with self._lock:
            rows = self._connect().execute(LISTED, [shard]).fetchall()
        return [(int(position), int(saved_at_us) * 1_000) for position, saved_at_us in rows]

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _sound_chunks(
        self, connection: Connection, shard: int, position: int
    ) -> list[bytes] | None:
        chunks: list[bytes] = []
        damaged: list[bytes] = []
        wanted = SQL(CHUNKS).format(shard=shard, position=position)
        with connection.cursor() as cursor, cursor.copy(wanted) as copy:
            copy.set_types(["bytea", "bytea"])
            for digest, chunk in copy.rows():
                if hashlib.sha256(chunk).digest() == digest:
                    chunks.append(chunk)
                else:
                    damaged.append(digest)
        for digest in damaged:
            # Forget it, so that the next snapshot that has this chunk writes it anew.
            connection.execute(FORGET, [digest])
        return None if damaged else chunks

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                tcp_user_timeout=30_000,
                application_name="crossbook snapshots",
            )
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_CREATE])
                connection.execute(CREATE)
            self._connection = connection
        return self._connection
