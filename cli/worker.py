"""`crossbook worker NAME`: one worker of the distributed mode, and what it is composed of.

Guarantees: a worker runs until SIGTERM or SIGINT and then ends with 0; settings that are missing
are told before anything starts; each worker imports only what it is made of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from cli.settings import Settings
    from streams.drivers import Waker
    from streams.kafka.connection import KafkaConnection

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
BROKER_ANSWER_S = 5.0
BROKER_RETRY_S = 1.0

app = typer.Typer(
    no_args_is_help=True,
    help="Run a worker of the distributed mode. Any number of each may run; the workers of one "
    "kind share the shards out among them.",
)


def _usage(message: str) -> NoReturn:
    log.critical("%s", message)
    raise SystemExit(EXIT_USAGE)


def _needed(value: str | None, name: str) -> str:
    if value is None:
        _usage(f"CROSSBOOK_{name} is not set: this worker needs it")
    return value


def waker_of(settings: Settings) -> Waker:
    """Wakes over Redis."""
    from streams.redis_wake import RedisWaker

    url = _needed(settings.redis_url, "REDIS_URL")
    return RedisWaker(url, settings.kafka_topic_prefix)


def wait_for_topics(settings: Settings, connection: KafkaConnection, stop: threading.Event) -> bool:
    """Wait until the broker answers, and check the topics; False where the worker is to stop.

    Raises TopicError where they are not as they must be."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from streams.kafka.topics import check_topics

    admin = AdminClient(connection.client())
    while not stop.is_set():
        try:
            admin.list_topics(timeout=BROKER_ANSWER_S)
        except KafkaException as error:
            log.warning("no Kafka broker answers: %s; trying again", error)
            stop.wait(BROKER_RETRY_S)
            continue
        check_topics(connection, settings.shards, record_bytes_max=settings.record_bytes_max)
        return True
    return False


def matching(settings: Settings, stop: threading.Event) -> int:
    """A worker that matches."""
    from cli.kafka_connection import connection_of
    from projections.snapshots import SnapshotStore
    from streams.matcher import MatcherLimits
    from streams.workers.matching import Matching
    from streams.workers.running import run_worker

    connection = connection_of(settings)
    dsn = _needed(settings.postgres_dsn, "POSTGRES_DSN")
    limits = MatcherLimits(
        record_bytes_max=settings.record_bytes_max, snapshot_commands=settings.snapshot_commands
    )
    if not wait_for_topics(settings, connection, stop):
        return 0
    kind = Matching(
        connection,
        limits=limits,
        snapshots=SnapshotStore(dsn, keep=settings.snapshots_kept),
    )
    return run_worker(kind, connection, instance=settings.instance, stop=stop)


def redis(settings: Settings, stop: threading.Event) -> int:
    """A worker that keeps the books in Redis."""
    from redis import RedisError

    from cli.kafka_connection import connection_of
    from cli.roles.projections import load_books
    from projections.redis import RedisSink
    from projections.snapshots import SnapshotStore
    from streams.follower import Follower, FollowerLimits
    from streams.workers.running import run_worker
    from streams.workers.sinks import Sinking

    connection = connection_of(settings)
    url = _needed(settings.redis_url, "REDIS_URL")
    store = SnapshotStore(
        _needed(settings.postgres_dsn, "POSTGRES_DSN"), keep=settings.snapshots_kept
    )

    def prepare(follower: Follower) -> None:
        assert isinstance(follower.sink, RedisSink)
        load_books(follower.sink, store, follower)

    if not wait_for_topics(settings, connection, stop):
        return 0
    kind = Sinking(
        connection,
        "redis",
        make_sink=lambda: RedisSink(url, stream_length_max=settings.delta_stream_length_max),
        prepare=prepare,
        store_errors=(RedisError, *_postgres_errors(), OSError),
        limits=FollowerLimits(),
        waker=waker_of(settings),
    )
    return run_worker(kind, connection, instance=settings.instance, stop=stop)


def postgres(settings: Settings, stop: threading.Event) -> int:
    """A worker that keeps the history in PostgreSQL."""
    from cli.kafka_connection import connection_of
    from projections.postgres import PostgresSink
    from streams.follower import FollowerLimits
    from streams.workers.running import run_worker
    from streams.workers.sinks import Sinking

    connection = connection_of(settings)
    dsn = _needed(settings.postgres_dsn, "POSTGRES_DSN")
    if not wait_for_topics(settings, connection, stop):
        return 0
    kind = Sinking(
        connection,
        "postgres",
        make_sink=lambda: PostgresSink(dsn),
        prepare=lambda _follower: None,
        store_errors=(*_postgres_errors(), OSError),
        limits=FollowerLimits(),
        waker=waker_of(settings),
    )
    return run_worker(kind, connection, instance=settings.instance, stop=stop)


def multicast(settings: Settings, stop: threading.Event) -> int:
    """A worker that publishes the multicast feed."""
    import sqlite3

    from cli.feed import SnapshotEngines, Tails, feed_plan_of
    from cli.kafka_connection import connection_of
    from projections.multicast.feed import Feed
    from streams.drivers import Unheard
    from streams.follower import FollowerLimits
    from streams.kafka.logs import KafkaEventLog
    from streams.workers.running import run_worker
    from streams.workers.sinks import Sinking

    if not settings.feed_enabled:
        _usage("CROSSBOOK_FEED_ENABLED is false: there is nothing to publish")
    connection = connection_of(settings)
    _needed(settings.redis_url, "REDIS_URL")
    dsn = _needed(settings.postgres_dsn, "POSTGRES_DSN")

    def open_log(shard: int) -> KafkaEventLog:
        return KafkaEventLog(connection, shard)

    if not wait_for_topics(settings, connection, stop):
        return 0
    engines = SnapshotEngines(dsn, open_log)
    feed = Feed(
        feed_plan_of(settings),
        tail_of=Tails(open_log),
        open_log=open_log,
        restore=engines,
        on_failure=stop.set,
    )
    feed.start()
    kind = Sinking(
        connection,
        "multicast",
        make_sink=feed.make_sink,
        prepare=lambda _follower: None,
        store_errors=(sqlite3.Error, OSError),
        limits=FollowerLimits(),
        waker=Unheard(),
    )
    code = run_worker(kind, connection, instance=settings.instance, stop=stop)
    feed.close()
    engines.close()
    return code if feed.failure is None else EXIT_FAILED


def directory(settings: Settings, stop: threading.Event) -> int:
    """A worker that turns directory changes into shard commands."""
    from cli import worker_system

    return worker_system.directory(settings, stop)


def clock(settings: Settings, stop: threading.Event) -> int:
    """A worker that ticks."""
    from cli import worker_system

    return worker_system.clock(settings, stop)


def _postgres_errors() -> tuple[type[BaseException], ...]:
    import psycopg

    return psycopg.OperationalError, psycopg.InterfaceError


# name: what runs it until `stop` is set (and returns the exit code), and what it does.
WORKERS: dict[str, tuple[Callable[[Settings, threading.Event], int], str]] = {
    "matching": (matching, "Match: command log in, event log out."),
    "redis": (redis, "Keep the books in Redis."),
    "postgres": (postgres, "Keep the history of orders and trades in PostgreSQL."),
    "multicast": (multicast, "Publish the multicast feed: lines, re-requests, snapshots."),
    "directory": (directory, "Tell the shards of accounts and instruments."),
    "clock": (clock, "Tell the shards the time, once a second."),
}


def run(name: str) -> None:
    """Run one worker in this process, until it is told to stop."""
    from cli.main import load_settings
    from cli.roles.process import begin
    from streams.kafka.topics import TopicError

    settings = load_settings(None)
    stop = begin(settings, name, with_parent=False)
    work, _ = WORKERS[name]
    try:
        code = work(settings, stop)
    except TopicError as error:
        log.critical("%s", error)
        code = EXIT_FAILED
    raise typer.Exit(code)


def _add(name: str) -> None:
    def command() -> None:
        run(name)

    app.command(name, help=WORKERS[name][1])(command)


for _name in WORKERS:
    _add(_name)
