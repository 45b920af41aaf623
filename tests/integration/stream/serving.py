"""An exchange's API on a real socket, and clients that speak to it plainly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from api.rest.app import create_app
from api.stream.endpoint import Stream
from api.stream.limits import StreamSettings
from api.stream.socket import StreamSocket
from tests.integration.api.exchange import Exchange

WAIT_S = 10.0


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; TimeoutError where it does not come to."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is of several parts
            await asyncio.sleep(0.01)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Served:
    """An exchange, and where it is served."""

    exchange: Exchange
    url: str
    stream: Stream
    server: uvicorn.Server

    @asynccontextmanager
    async def client(self, key: str | None = None, **more: Any) -> AsyncIterator[Client]:
        """A plain WebSocket with the key of this name; `more` goes to the handshake's headers."""
        headers = dict(more)
        if key is not None:
            headers["X-API-Key"] = self.exchange.keys[key]
        address = self.url.replace("http", "ws") + "/v1/stream"
        async with connect(address, additional_headers=headers, max_size=None) as socket:
            yield Client(socket)


class Client:
    """Says and hears one JSON message at a time; heartbeats are passed over."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, op: str, **fields: Any) -> None:
        """Send a request."""
        await self.socket.send(msgspec.json.encode({"op": op, **fields}).decode())

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message: dict[str, Any] = msgspec.json.decode(await self.socket.recv())
                if message["type"] != "heartbeat":
                    return message

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return the next message."""
        await self.say(op, **fields)
        return await self.hear()

    async def subscribe(self, channel: str, *symbols: str, **more: Any) -> list[dict[str, Any]]:
        """Subscribe; the first messages."""
        answer = await self.ask("subscribe", channel=channel, symbols=symbols, **more)
        assert answer["type"] == "subscribed", answer
        return [await self.hear() for _ in symbols]


@asynccontextmanager
async def served(exchange: Exchange, port: int = 0, **limits: Any) -> AsyncIterator[Served]:
    """Serve an exchange on a port, or a free one; `limits` are of the stream's settings."""
    services = exchange.services
    services.stream_settings = StreamSettings(**limits)
    app = create_app(services)
    config = uvicorn.Config(
        app,
        port=port,
        lifespan="off",
        log_config=None,
        ws=StreamSocket,
        ws_max_size=services.stream_settings.message_bytes_max,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    streaming = asyncio.create_task(app.state.stream.run())
    assert services.hub is not None
    await until(lambda: server.started and services.hub.ready)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(exchange, f"http://127.0.0.1:{port}", app.state.stream, server)
    finally:
        streaming.cancel()
        server.should_exit = True
        await serving
