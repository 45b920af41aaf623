"""One API process: its services, its HTTP server, and their end.

Guarantees: it runs until it is told to stop, and then finishes what it has begun; where a task that
should run as long as the process ends, the process ends too, and says which."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import uvicorn
from fastapi import FastAPI

from api.heads import HeadLimitMiddleware
from api.http_socket import BoundedHttp
from api.rates.enforce import RateMiddleware
from api.rest.app import create_app
from api.services import Services
from api.stream.socket import StreamSocket
from cli.addresses import url_of
from cli.api_services import Tasks
from cli.dashboard import Dashboard, WithDashboard, make_when_ready
from cli.metrics_page import Page
from cli.settings import Settings

ServicesOf: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[tuple[Services, Tasks]]]


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the role decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_server(settings: Settings, services_of: ServicesOf, stop: threading.Event) -> None:
    """Serve until `stop`. Raises RuntimeError where a task that may not end did."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, services_of, stop))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _wait_for(stop: threading.Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110 - set by signal handlers and threads alike
        await asyncio.sleep(0.1)


async def _serve(settings: Settings, services_of: ServicesOf, stop: threading.Event) -> None:
    async with services_of(settings) as (services, tasks):
        app = create_app(services, metrics_page=Page(settings))
        looking = asyncio.create_task(app.state.readiness.run(), name="readiness")
        streaming = asyncio.create_task(app.state.stream.run(), name="stream")
        dashboard = Dashboard(url_of(settings.host, settings.port))
        making = asyncio.create_task(_make_soon(dashboard, app), name="dashboard")
        config = uvicorn.Config(
            WithDashboard(app, RateMiddleware(HeadLimitMiddleware(dashboard), services.rates)),
            host=settings.host,
            port=settings.port,
            lifespan="off",
            access_log=False,
            log_config=None,
            ws=StreamSocket,
            ws_max_size=settings.stream_message_bytes_max,
            ws_per_message_deflate=False,
            server_header=False,
            http=BoundedHttp,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies.replace(",", " ").split() or None,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(), name="server")
        stopping = asyncio.create_task(_wait_for(stop), name="stop")
        ended, _ = await asyncio.wait(
            {stopping, serving, looking, streaming, making, *tasks},
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (looking, streaming, making):
            task.cancel()
        server.should_exit = True
        await serving
        for task in ended - {stopping, serving}:
            task.result()
            raise RuntimeError(f"the {task.get_name()} ended")


async def _make_soon(dashboard: Dashboard, app: FastAPI) -> None:
    async def ready() -> bool:
        if (await app.state.readiness.look()).behind:
            return False
        await app.state.graphql.made()  # which the dashboard's pages ask
        return True

    await make_when_ready(dashboard, ready)
