"""The history of orders, executions and trades in PostgreSQL.

Guarantees: the effects of a group of batches and the position after them are one transaction, which
begins by moving the position with a compare-and-set; so two instances never apply a batch twice,
and what a crash of the server loses is a suffix that is replayed. Hence commits need not wait for
the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from domain.batch import START, ConflictError, EventBatch, Position, SinkError
from projections.links import check_link
from projections.metrics import HistoryMetrics
from projections.postgres.schema import HISTORY, Connection, migrate
from projections.postgres.write_rows import Days, Written, runs_of

# Joins are by the primary key whatever the statistics say: those of a table that grew from nothing
# within seconds, and of a staging table, are wrong.
SESSION: Final = """
    SET synchronous_commit = off;
    SET search_path = {schema};
    SET statement_timeout = '60s';
    SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET enable_seqscan = off;
    CREATE TEMP TABLE order_changes (
        order_id bigint, price_ticks bigint, quantity bigint, executed_quantity bigint,
        leaves_quantity bigint, executed_value bigint, status smallint, reason smallint,
        updated_position bigint, updated_at_ns bigint, updated_trading_time_ns bigint
    ) ON COMMIT DELETE ROWS
"""
SELECT_POSITION: Final = "SELECT position, chain FROM sink_positions WHERE sink = %s AND shard = %s"
FIRST_POSITION: Final = (
    "INSERT INTO sink_positions (position, chain, sink, shard) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)
MOVE_POSITION: Final = (
    "UPDATE sink_positions SET position = %s, chain = %s"
    " WHERE sink = %s AND shard = %s AND position = %s AND chain = %s"
)


class PostgresSink:
    """The sink `postgres`. One connection a shard, so that each shard may have a thread of its
    own."""

    name = "postgres"

    def __init__(self, dsn: str, *, schema: str = HISTORY) -> None:
        self._dsn = dsn
        self._schema = schema
        self._shards: dict[int, _ShardWriter] = {}
        self._lock = threading.Lock()

    def position(self, shard: int) -> Position:
        """The last batch applied; START where nothing was. Raises psycopg.OperationalError."""
        return self._shard(shard).position()

    def apply(self, shard: int, batches: Sequence[EventBatch]) -> Position:
        """Write the batches' rows and the new position in one transaction.

        Raises ConflictError, ForkError, or psycopg.OperationalError where the server is away (the
        batches may be written or not: read the position again).
        """
        if not batches:
            return self.position(shard)
        return self._shard(shard).write(batches)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for writer in self._shards.values():
                writer.close()
            self._shards.clear()

    def _shard(self, shard: int) -> _ShardWriter:
        with self._lock:
            if shard not in self._shards:
                self._shards[shard] = _ShardWriter(self._dsn, self._schema, self.name, shard)
            return self._shards[shard]


class _ShardWriter:
    """One shard's connection, made anew after a failure, where we believe the shard to stand, and
    the trading days that we believe its tables to have."""

    def __init__(self, dsn: str, schema: str, sink: str, shard: int) -> None:
        self._dsn = dsn
        self._schema = schema
        self._key = (sink, shard)
        self._connection: Connection | None = None
        self._known: Position | None = None
        self._days: Days | None = None
        self._made: frozenset[int] = frozenset()
        self._metrics = HistoryMetrics(shard)
        self._lock = threading.Lock()

    def position(self) -> Position:
        with self._lock, self._errors():
            return self._read_position(self._connect())

    def write(self, batches: Sequence[EventBatch]) -> Position:
        with self._lock, self._errors():
            connection = self._connect()
            before = self._check(connection, batches)
            after = batches[-1].at
            days = self._days or Days.stored(connection, self._key[1])
            written = Written(days, self._made)
            with connection.transaction():
                if not self._move(connection, before, after):
                    raise ConflictError(
                        f"another instance moved {self._key} from {before.position}"
                    )
                written.write(connection, self._key[1], runs_of(batches))
            self._known, self._days, self._made = after, written.days, written.made
            self._metrics.committed(written.orders_born, written.orders_changed, written.matches)
            return after

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _check(self, connection: Connection, batches: Sequence[EventBatch]) -> Position:
        """The position before `batches`. Our own idea may be old: only what is stored is blamed."""
        if self._known is not None:
            try:
                check_link(self._known, batches)
                return self._known
            except SinkError:
                self._forget()
        stored = self._read_position(connection)
        check_link(stored, batches)
        return stored

    def _read_position(self, connection: Connection) -> Position:
        row = connection.execute(SELECT_POSITION, self._key).fetchone()
        self._known = START if row is None else Position(row[0], bytes(row[1]))
        return self._known

    def _move(self, connection: Connection, before: Position, after: Position) -> bool:
        arguments = (after.position, after.chain, *self._key)
        if before == START:
            moved = connection.execute(FIRST_POSITION, arguments)
        else:
            moved = connection.execute(MOVE_POSITION, (*arguments, before.position, before.chain))
        return moved.rowcount == 1

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                tcp_user_timeout=30_000,
                application_name=f"crossbook {self._key[0]} sink, shard {self._key[1]}",
            )
            try:
                migrate(connection, self._schema)
                connection.execute(SESSION.format(schema=self._schema))
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._forget()

    def _forget(self) -> None:
        self._known = self._days = None
        self._made = frozenset()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """After a failure nothing that we believe of the server holds."""
        try:
            yield
        except SinkError:
            self._forget()
            raise
        except psycopg.errors.UndefinedTable as error:
            self._drop()
            raise ConflictError("the tables were replaced") from error
        except psycopg.Error:
            self._drop()
            raise
