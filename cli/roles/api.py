"""The api role: everything HTTP on one port, sequencers, the directory's follower and the clock."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

from api.services import Services
from cli.api_server import run_server
from cli.api_services import Parts, Tasks, batching_of, gateway_limits_of, services_over
from cli.roles.process import begin
from cli.settings import Settings
from cli.trading_hours import schedule_of
from commands.directory.application import DirectoryApplication, sqlite_environment
from streams.clock import DirectoryPermits, run_clock
from streams.directory_follower import DirectoryFollower
from streams.gateway import EmbeddedGateway


def run_api(settings: Settings) -> None:
    """The api role: everything HTTP on one port, the sequencers, the directory's follower and the
    clock.
    """
    run_server(settings, services_of, begin(settings, "api"))


@contextlib.asynccontextmanager
async def services_of(settings: Settings) -> AsyncIterator[tuple[Services, Tasks]]:
    """The running parts behind the API, and the tasks beside it, none of which may end.

    Everything is closed, in order, at the end.
    """
    async with _embedded_parts(settings) as parts, services_over(settings, parts) as running:
        yield running


@contextlib.asynccontextmanager
async def _embedded_parts(settings: Settings) -> AsyncIterator[Parts]:
    gateway = EmbeddedGateway(
        settings.logs,
        settings.run_dir,
        settings.shards,
        limits=gateway_limits_of(settings),
        batching=batching_of(settings),
    )
    application = DirectoryApplication(sqlite_environment(settings.logs / "directory.sqlite"))
    follower = DirectoryFollower(application, gateway, gateway.command_logs)
    clock_stop = threading.Event()
    clock = asyncio.to_thread(
        run_clock,
        gateway,
        settings.shards,
        settings.clock_interval_ms,
        clock_stop,
        DirectoryPermits(application),
        schedule_of(settings, application),
    )
    ticking = asyncio.create_task(clock, name="clock")
    tasks = {asyncio.create_task(follower.run(), name="directory follower"), gateway.poller}
    try:
        yield Parts(gateway, application, follower, {*tasks, ticking})
    finally:
        clock_stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, ticking, return_exceptions=True)
        await gateway.close()
        application.close()
