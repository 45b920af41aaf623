"""The projections role: the Redis and PostgreSQL sinks of every shard, in one process."""

from __future__ import annotations

import logging

import psycopg
import redis

from cli.roles.process import begin, required
from cli.settings import Settings
from domain.batch import START
from domain.snapshot import SnapshotError, restore
from projections.postgres import PostgresSink
from projections.redis import RedisSink
from projections.snapshots import SnapshotStore
from streams.embedded import drive_sinks
from streams.follower import Follower, FollowerLimits
from streams.logs import SQLiteEventLog

log = logging.getLogger(__name__)

STORE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, redis.RedisError, OSError)


def run_projections(settings: Settings) -> None:
    """The projections role: the Redis and PostgreSQL sinks of every shard."""
    stop = begin(settings, "projections")
    dsn = required(settings.postgres_dsn, "POSTGRES_DSN")
    url = required(settings.redis_url, "REDIS_URL")
    books = RedisSink(url, stream_length_max=settings.delta_stream_length_max)
    history = PostgresSink(dsn)
    store = SnapshotStore(dsn, keep=settings.snapshots_kept)
    followers = [
        Follower(SQLiteEventLog(settings.logs, shard), sink, limits=FollowerLimits())
        for sink in (books, history)
        for shard in range(settings.shards)
    ]

    def prepare(follower: Follower) -> None:
        if follower.sink is books:
            load_books(books, store, follower)

    drive_sinks(followers, settings.run_dir, stop, transient=STORE_ERRORS, prepare=prepare)
    books.close()
    history.close()


def load_books(sink: RedisSink, store: SnapshotStore, follower: Follower) -> None:
    """Fill an empty Redis from the newest engine snapshot, so that it need not see the whole
    history.
    """
    shard = follower.source.shard
    if sink.position(shard) != START:
        return
    found = store.newest_sound(shard, follower.source.tail().position)
    if found is None:
        return
    at, chunks = found
    logged = follower.source.at(at.position)
    if logged is None or logged.header.chain != at.chain:
        return
    try:
        exchange = restore(chunks)
    except SnapshotError as error:
        log.warning("shard %d: snapshot of %d: %s", shard, at.position, error)
        return
    sink.load(
        shard,
        at,
        (
            (
                number,
                exchange.book_sequence(number),
                exchange.trading_state(number),
                exchange.levels(number, 0),
                exchange.levels(number, 1),
            )
            for number in exchange.instruments()
        ),
    )
    log.info("redis, shard %d: loaded the books of position %d", shard, at.position)
