"""`crossbook rebuild NAME`: a read model, or the feed, built again from the event log while the
exchange runs.

Guarantees: readers see the old one until the new one is at least as far, then the new one at once;
what was half built is dropped. The event log alone is read, from its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cli.run_state import RunFolder
from cli.settings import Settings
from domain.batch import SinkError
from projections.multicast.rebuild import FeedRebuild
from projections.multicast.store import path_of
from projections.postgres.rebuild import PostgresRebuild
from projections.redis.rebuild import RedisRebuild
from streams.follower import EventSource, Follower, FollowerLimits
from streams.logs import SQLiteEventLog

NAMES: Final = ("redis", "postgres", "multicast")
SAY_EVERY_S: Final = 2.0
BEHIND_WAIT_S: Final = 10.0
IDLE_S: Final = 0.02

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stores:
    """Where the read models are."""

    redis_url: str
    postgres_dsn: str


class ClosableSource(EventSource, Protocol):
    """An event log that was opened here."""

    def close(self) -> None:
        """Let go of it."""
        ...


def stores_of(settings: Settings) -> Stores:
    """The read models: of the settings in the distributed mode, else of the exchange that runs.

    Raises NotRunningError, SinkError."""
    if not settings.distributed:
        state = RunFolder(settings.data_dir).running()
        return Stores(state.redis_url, state.postgres_dsn)
    if settings.redis_url is None or settings.postgres_dsn is None:
        raise SinkError("CROSSBOOK_REDIS_URL and CROSSBOOK_POSTGRES_DSN are to be set")
    return Stores(settings.redis_url, settings.postgres_dsn)


def dsn_of(settings: Settings) -> str:
    """The PostgreSQL of the settings, else of the exchange that runs. Raises NotRunningError."""
    if settings.postgres_dsn is not None:
        return settings.postgres_dsn
    return RunFolder(settings.data_dir).running().postgres_dsn


def sources_of(settings: Settings) -> list[ClosableSource]:
    """Every shard's event log."""
    shards = range(settings.shards)
    if not settings.distributed:
        return [SQLiteEventLog(settings.logs, shard) for shard in shards]
    from cli.kafka_connection import connection_of
    from streams.kafka.logs import KafkaEventLog

    connection = connection_of(settings)
    return [KafkaEventLog(connection, shard) for shard in shards]


def rebuild(
    name: str, settings: Settings, stores: Stores, *, force: bool, say: Say
) -> dict[int, int]:
    """Build one of `NAMES` anew; the position reached by shard.

    `force` serves the new one even where the old one claims to be further than the log: for a
    history that forked. Raises SinkError, psycopg.Error, redis.RedisError.
    """
    assert name in NAMES, name
    sources = sources_of(settings)
    try:
        if name == "multicast":
            return _rebuild_multicast(settings, sources, force, say)
        build = _rebuild_redis if name == "redis" else _rebuild_postgres
        return build(settings, stores, sources, force, say)
    finally:
        for source in sources:
            source.close()


def _rebuild_postgres(
    settings: Settings,
    stores: Stores,
    sources: list[ClosableSource],
    force: bool,
    say: Say,
) -> dict[int, int]:
    with PostgresRebuild(stores.postgres_dsn) as sink:
        followers = [Follower(source, sink, limits=FollowerLimits()) for source in sources]
        for follower in followers:
            catch_up(follower, say)
        serve(followers, lambda: sink.finish(even_if_behind=force))
    return {follower.source.shard: follower.position for follower in followers}


def _rebuild_redis(
    settings: Settings,
    stores: Stores,
    sources: list[ClosableSource],
    force: bool,
    say: Say,
) -> dict[int, int]:
    sink = RedisRebuild(stores.redis_url, stream_length_max=settings.delta_stream_length_max)
    reached = {}
    try:
        for source in sources:
            sink.begin(source.shard)
            follower = Follower(source, sink, limits=FollowerLimits())
            catch_up(follower, say)

            def finish(shard: int = source.shard) -> bool:
                return sink.finish(shard, even_if_behind=force)

            serve([follower], finish)
            reached[source.shard] = follower.position
    finally:
        sink.close()
    return reached


def _rebuild_multicast(
    settings: Settings, sources: list[ClosableSource], force: bool, say: Say
) -> dict[int, int]:
    """The files of this machine: each shard's that is there."""
    reached = {}
    for source in sources:
        if not path_of(settings.feeds, source.shard).exists():
            say(f"shard {source.shard}: no file of it is in {settings.feeds}")
            continue
        with FeedRebuild(
            settings.feeds, source.shard, messages_kept=settings.feed_messages_kept
        ) as sink:
            follower = Follower(source, sink, limits=FollowerLimits())
            catch_up(follower, say)

            def finish(sink: FeedRebuild = sink) -> bool:
                return sink.finish(even_if_behind=force)

            serve([follower], finish)
            reached[source.shard] = follower.position
    return reached


def catch_up(follower: Follower, say: Say) -> None:
    """Apply the log from where the sink is to its present end."""
    said = time.monotonic()
    while follower.step():
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            tail = follower.source.tail().position
            say(f"shard {follower.source.shard}: {follower.position:,} of {tail:,} batches")


def serve(followers: list[Follower], finish: Callable[[], bool]) -> None:
    """Change over as soon as the new one is as far as the old one.

    Raises SinkError where it does not come so far: then the old one is not of this log.
    """
    deadline = time.monotonic() + BEHIND_WAIT_S
    while not finish():
        moved = sum(follower.step() for follower in followers)
        if moved:
            deadline = time.monotonic() + BEHIND_WAIT_S
            continue
        if time.monotonic() > deadline:
            raise SinkError("what is served claims to be further than the log; --force replaces it")
        time.sleep(IDLE_S)
