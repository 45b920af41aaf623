"""The api role: everything HTTP on one port, sequencers, the directory's follower and the clock."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn

from api.rest.app import create_app
from api.services import ApiSettings, Services
from cli.metrics_page import Page
from cli.roles.process import begin, required
from cli.settings import Settings
from commands.directory.application import (
    Directory,
    DirectoryApplication,
    sqlite_environment,
)
from commands.directory.view import DirectoryView
from commands.sequencer import Limits
from projections.read_books import BookReader
from projections.read_history import HistoryReader
from streams.clock import DirectoryPermits, run_clock
from streams.directory_follower import DirectoryFollower
from streams.gateway import EmbeddedGateway, GatewayLimits

Tasks = set[asyncio.Task[None]]


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the role decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_api(settings: Settings) -> None:
    """The api role: everything HTTP on one port, the sequencers, the directory's follower and the
    clock.
    """
    stop = begin(settings, "api")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, stop))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextlib.asynccontextmanager
async def services_of(settings: Settings) -> AsyncIterator[tuple[Services, Tasks]]:
    """The running parts behind the API, and the tasks beside it, none of which may end.

    Everything is closed, in order, at the end.
    """
    dsn = required(settings.postgres_dsn, "POSTGRES_DSN")
    url = required(settings.redis_url, "REDIS_URL")
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
    clock_stop = threading.Event()
    clock = asyncio.to_thread(
        run_clock,
        gateway,
        settings.shards,
        settings.clock_interval_ms,
        clock_stop,
        DirectoryPermits(application),
    )
    ticking = asyncio.create_task(clock, name="clock")
    tasks = {
        asyncio.create_task(follower.run(), name="directory follower"),
        asyncio.create_task(view.run(), name="directory view"),
        gateway.poller,
    }
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
        yield services, {*tasks, ticking}
    finally:
        clock_stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, ticking, return_exceptions=True)
        await gateway.close()
        await books.close()
        await history.close()
        directory.close()


async def _wait_for(stop: threading.Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110 - set by signal handlers and threads alike
        await asyncio.sleep(0.1)


async def _serve(settings: Settings, stop: threading.Event) -> None:
    async with services_of(settings) as (services, tasks):
        app = create_app(services, metrics_page=Page(settings))
        looking = asyncio.create_task(app.state.readiness.run(), name="readiness")
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(), name="server")
        stopping = asyncio.create_task(_wait_for(stop), name="stop")
        ended, _ = await asyncio.wait(
            {stopping, serving, looking, *tasks}, return_when=asyncio.FIRST_COMPLETED
        )
        looking.cancel()
        server.should_exit = True
        await serving
        for task in ended - {stopping, serving}:
            task.result()
            raise RuntimeError(f"the {task.get_name()} ended")
