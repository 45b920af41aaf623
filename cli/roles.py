"""The composition root of each role: what a process of the embedded mode is made of.

Every `run_…` blocks until SIGTERM or SIGINT, or until the parent process is gone, and then stops in
order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from types import FrameType

import psycopg
import redis
import uvicorn
from projections.read_books import BookReader
from projections.read_history import HistoryReader
from projections.redis.sink import RedisSink
from projections.snapshots import SnapshotStore

from api.rest.app import create_app
from api.services import ApiSettings, Services
from cli.settings import Settings
from commands.directory.application import (
    Directory,
    DirectoryApplication,
    sqlite_environment,
)
from commands.directory.view import DirectoryView
from commands.sequencer import Limits
from domain.batch import START
from domain.snapshot import SnapshotError, restore
from projections.postgres.sink import PostgresSink
from streams.clock import run_clock
from streams.directory_follower import DirectoryFollower
from streams.embedded import drive_matchers, drive_sinks
from streams.follower import Follower, FollowerLimits
from streams.gateway import EmbeddedGateway, GatewayLimits
from streams.logs import SQLiteCommandLog, SQLiteEventLog
from streams.matcher import Matcher, MatcherLimits

log = logging.getLogger(__name__)

PARENT_CHECK_S = 0.5
STORE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, redis.RedisError, OSError)


def _begin(settings: Settings) -> threading.Event:
    """Logging, and an event that is set when this process should stop."""
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    parent = os.getppid()

    def watch() -> None:
        while not stop.wait(PARENT_CHECK_S):
            if os.getppid() != parent:
                log.warning("the supervisor is gone: stopping")
                stop.set()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    # What lives as long as the process is not worth walking through at every collection.
    gc.collect()
    gc.freeze()
    return stop


def _required(value: str | None, name: str) -> str:
    if value is None:
        raise SystemExit(f"CROSSBOOK_{name} is not set: this role is started by `crossbook up`")
    return value


def run_matching(settings: Settings) -> None:
    """The matching role: every shard's matcher, in one process."""
    stop = _begin(settings)
    store = SnapshotStore(
        _required(settings.postgres_dsn, "POSTGRES_DSN"), keep=settings.snapshots_kept
    )
    limits = MatcherLimits(
        record_bytes_max=settings.record_bytes_max, snapshot_commands=settings.snapshot_commands
    )
    matchers = [
        Matcher(
            SQLiteCommandLog(settings.logs, shard),
            SQLiteEventLog(settings.logs, shard),
            snapshots=store,
            limits=limits,
        )
        for shard in range(settings.shards)
    ]
    try:
        drive_matchers(matchers, settings.run_dir, stop)
        for matcher in matchers:
            if matcher.dirty_commands:
                matcher.save_snapshot(wait=True)
    except KeyboardInterrupt:
        log.info("stopped while replaying")


def run_projections(settings: Settings) -> None:
    """The projections role: the Redis and PostgreSQL sinks of every shard."""
    stop = _begin(settings)
    dsn = _required(settings.postgres_dsn, "POSTGRES_DSN")
    url = _required(settings.redis_url, "REDIS_URL")
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


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the role decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def run_api(settings: Settings) -> None:
    """The api role: everything HTTP on one port, the sequencers, the directory's follower and the
    clock.
    """
    stop = _begin(settings)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, stop))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextlib.asynccontextmanager
async def services_of(settings: Settings) -> AsyncIterator[tuple[Services, EmbeddedGateway]]:
    """The running parts behind the API, and the gateway; closed in order at the end."""
    dsn = _required(settings.postgres_dsn, "POSTGRES_DSN")
    url = _required(settings.redis_url, "REDIS_URL")
    gateway = EmbeddedGateway(
        settings.logs,
        settings.run_dir,
        settings.shards,
        limits=GatewayLimits(lag_batches_max=settings.lag_batches_max),
        batching=Limits(
            batch_commands_max=settings.batch_commands_max,
            batch_bytes_max=settings.batch_bytes_max,
            pending_commands_max=settings.pending_commands_max,
        ),
    )
    path = settings.logs / "directory.sqlite"
    application = DirectoryApplication(sqlite_environment(path))
    directory = Directory(application, settings.shards)
    view = DirectoryView(application)
    await asyncio.to_thread(view.refresh)
    follower = DirectoryFollower(application, gateway, gateway.command_logs)
    tasks = [asyncio.create_task(follower.run()), asyncio.create_task(view.run())]
    books = BookReader(url)
    history = HistoryReader(dsn)
    await history.open()
    services = Services(
        gateway=gateway,
        progress=gateway.progress,
        directory=directory,
        directory_view=view,
        directory_writes=follower,
        books=books,
        history=history,
        settings=ApiSettings(
            shards=settings.shards,
            outcome_wait_ms=settings.outcome_wait_ms,
            read_wait_ms=settings.read_wait_ms,
            lag_batches_max=settings.lag_batches_max,
            body_bytes_max=settings.body_bytes_max,
        ),
    )
    try:
        yield services, gateway
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gateway.close()
        await books.close()
        await history.close()
        directory.close()


async def _wait_for(stop: threading.Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110 - set by signal handlers and threads alike
        await asyncio.sleep(0.1)


async def _serve(settings: Settings, stop: threading.Event) -> None:
    async with services_of(settings) as (services, gateway):
        config = uvicorn.Config(
            create_app(services),
            host=settings.host,
            port=settings.port,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        clock_stop = threading.Event()
        clock = threading.Thread(
            target=run_clock,
            args=(gateway, settings.shards, settings.clock_interval_ms, clock_stop),
            name="clock",
        )
        clock.start()
        serving = asyncio.create_task(server.serve())
        try:
            stopping = asyncio.create_task(_wait_for(stop))
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            clock_stop.set()
            server.should_exit = True
            await serving
            await asyncio.to_thread(clock.join)
