"""The multicast role: the feed of every shard, in one process."""

from __future__ import annotations

import sqlite3

from cli.feed import SnapshotEngines, Tails, feed_plan_of
from cli.roles.process import begin, required
from cli.settings import Settings
from projections.multicast.feed import Feed
from streams.embedded import drive_sinks
from streams.follower import Follower, FollowerLimits
from streams.logs import SQLiteEventLog


def run_multicast(settings: Settings) -> None:
    """The multicast role: the feed of every shard."""
    stop = begin(settings, "multicast")
    required(settings.redis_url, "REDIS_URL")

    def open_log(shard: int) -> SQLiteEventLog:
        return SQLiteEventLog(settings.logs, shard)

    engines = SnapshotEngines(required(settings.postgres_dsn, "POSTGRES_DSN"), open_log)
    feed = Feed(
        feed_plan_of(settings),
        tail_of=Tails(open_log),
        open_log=open_log,
        restore=engines,
        on_failure=stop.set,
    )
    feed.start()
    sink = feed.make_sink()
    followers = [
        Follower(open_log(shard), sink, limits=FollowerLimits()) for shard in range(settings.shards)
    ]
    try:
        drive_sinks(
            followers,
            settings.run_dir,
            stop,
            transient=(sqlite3.Error, OSError),
            prepare=lambda _follower: None,
            name="multicast",
        )
    finally:
        sink.close()
        feed.close()
        engines.close()
    if feed.failure is not None:
        raise feed.failure
