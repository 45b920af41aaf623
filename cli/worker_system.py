"""The two workers that write commands by themselves: `directory` follows the directory, `clock`
tells trading time.

Guarantees: any number of each may run: what one has written, the engine answers another's repeat of
with nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from eventsourcing.persistence import PersistenceError

from cli.kafka_connection import connection_of
from cli.settings import Settings
from cli.trading_hours import schedule_of
from cli.worker import wait_for_topics
from commands.directory.application import DirectoryApplication
from commands.directory.postgres import postgres_environment
from domain.wire import encode_batch
from streams.clock import DirectoryPermits, run_clock
from streams.directory_bookmarks import PostgresBookmarks
from streams.directory_follower import DirectoryFollower
from streams.kafka.logs import KafkaCommandLog
from streams.redis_wake import RedisWakeListener

log = logging.getLogger("crossbook.worker")

EXIT_USAGE: Final = 2
STORE_RETRY_S: Final = 1.0
NEEDED: Final = ("kafka_bootstrap_servers", "redis_url", "postgres_dsn")


class LogWriter:
    """Writes batches of the permanent sessions to every shard's command log."""

    def __init__(
        self, logs: Sequence[KafkaCommandLog], clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._logs = logs
        self._clock_ns = clock_ns

    def write_system(
        self, shard: int, session: bytes, batch_number: int, records: list[bytes]
    ) -> int:
        """Append one batch and return its position. Blocks.

        Raises IntegrityError where this process wrote it before, PersistenceError where Kafka did
        not take it, or did not say."""
        batch = encode_batch(session, batch_number, self._clock_ns(), records)
        return self._logs[shard].append(session, batch_number, batch)


def opened_directory(dsn: str, stop: threading.Event) -> DirectoryApplication | None:
    """The directory, as soon as PostgreSQL answers; None where the process is to stop."""
    while not stop.is_set():
        try:
            return DirectoryApplication(postgres_environment(dsn))
        except PersistenceError as error:
            log.warning("the directory cannot be opened: %s; trying again", error)
            stop.wait(STORE_RETRY_S)
    return None


def directory(settings: Settings, stop: threading.Event) -> int:
    """A worker that turns directory changes into shard commands."""
    check_needed(settings)
    assert settings.postgres_dsn is not None and settings.redis_url is not None
    connection = connection_of(settings)
    if not wait_for_topics(settings, connection, stop):
        return 0
    application = opened_directory(settings.postgres_dsn, stop)
    if application is None:
        return 0
    logs = [KafkaCommandLog(connection, shard) for shard in range(settings.shards)]
    bookmarks = PostgresBookmarks(application)
    follower = DirectoryFollower(application, LogWriter(logs), logs, bookmarks)
    wakes = RedisWakeListener(
        settings.redis_url,
        settings.kafka_topic_prefix,
        ["directory"],
        lambda _topic, _shard, _position: follower.wake(),
    )
    try:
        asyncio.run(_follow(follower, stop))
    finally:
        wakes.close()
        for each in logs:
            each.close()
        application.close()
    return 0


async def _follow(follower: DirectoryFollower, stop: threading.Event) -> None:
    following = asyncio.create_task(follower.run(), name="directory follower")
    stopping = asyncio.create_task(asyncio.to_thread(stop.wait), name="stop")
    ended, _ = await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    following.cancel()
    await asyncio.gather(following, stopping, return_exceptions=True)
    if following in ended:
        following.result()


def clock(settings: Settings, stop: threading.Event) -> int:
    """A worker that ticks."""
    check_needed(settings)
    assert settings.postgres_dsn is not None
    connection = connection_of(settings)
    if not wait_for_topics(settings, connection, stop):
        return 0
    application = opened_directory(settings.postgres_dsn, stop)
    if application is None:
        return 0
    logs = [KafkaCommandLog(connection, shard) for shard in range(settings.shards)]
    try:
        run_clock(
            LogWriter(logs),
            settings.shards,
            settings.clock_interval_ms,
            stop,
            DirectoryPermits(application),
            schedule_of(settings, application),
        )
    finally:
        for each in logs:
            each.close()
        application.close()
    return 0


def check_needed(settings: Settings) -> None:
    """End the process, telling every setting that it lacks."""
    missing = [f"CROSSBOOK_{each.upper()}" for each in NEEDED if getattr(settings, each) is None]
    if missing:
        log.critical("not set, and needed in the distributed mode: %s", ", ".join(missing))
        raise SystemExit(EXIT_USAGE)
