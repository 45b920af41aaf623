"""The dashboard beside the API in one process, and by itself before another's.

Guarantees: the API answers first: the dashboard is made in a thread, after the exchange is ready or
when somebody first asks for it, and an API that stops meanwhile does not wait for that thread; what
is not the dashboard's goes to the API untouched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import httpx
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.later import Once, in_daemon_thread

PREFIX: Final = "/ui/"
LOOK_S: Final = 0.5

log = logging.getLogger("crossbook.dashboard")


def _make(api_url: str) -> ASGIApp:
    """Import and build the dashboard: about a second of work. Blocks."""
    from ui.app import DashboardOptions, create_dashboard

    return create_dashboard(DashboardOptions(api_url))


class Dashboard:
    """The dashboard, made once, when it is wanted."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        self._app = Once(self._begin, "dashboard")

    async def made(self) -> ASGIApp:
        """The application. Raises what importing it raised."""
        return await self._app.made()

    async def _begin(self) -> ASGIApp:
        app = await in_daemon_thread(lambda: _make(self._api_url), "dashboard")
        await start(app)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket below `/ui/`."""
        try:
            app = await self.made()
        except ImportError as error:
            log.error("the dashboard cannot be made: %s", error)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011, "reason": "no dashboard"})
                return
            refusal = PlainTextResponse(f"the dashboard cannot be made: {error}", 503)
            await refusal(scope, receive, send)
            return
        await app(scope, receive, send)


async def start(app: ASGIApp) -> None:
    """Tell an application that it starts, as a server does, and ask for its first page: Dash adds
    its last routes then, and its scripts and the routing of pages with the first request for its
    root, without which any other page would lack them."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the dashboard did not start: {message.get('message')}")

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://dashboard") as client:
        (await client.get(PREFIX)).raise_for_status()


class WithDashboard:
    """An API with the dashboard under `/ui/`; `/` leads there."""

    def __init__(self, api: ASGIApp, dashboard: ASGIApp) -> None:
        self._api = api
        self._dashboard = dashboard
        self._home = RedirectResponse(PREFIX, 307)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by path."""
        path: str = scope.get("path", "")
        if path.startswith(PREFIX):
            await self._dashboard(scope, receive, send)
        elif scope["type"] == "http" and path in ("/", "/ui"):
            await self._home(scope, receive, send)
        else:
            await self._api(scope, receive, send)


async def make_when_ready(dashboard: Dashboard, ready: Callable[[], Awaitable[bool]]) -> None:
    """Make the dashboard once `ready` says so, so that the first page is quick too. Never ends, as
    the API's other tasks."""
    while not await ready():  # noqa: ASYNC110 - readiness is looked at, nobody tells
        await asyncio.sleep(LOOK_S)
    try:
        await dashboard.made()
    except ImportError as error:
        log.error("the dashboard cannot be made: %s", error)
    await asyncio.Event().wait()
