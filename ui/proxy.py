"""The public API under the dashboard's own address, for a dashboard that runs by itself.

Guarantees: the browser then has one origin, as in an API process, so neither needs CORS nor a laxer
Content-Security-Policy; requests, answers and messages pass through unread and unlogged; a slow
browser slows its own connection alone; a WebSocket is opened for pages of this origin only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import httpx
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

TIMEOUT_S: Final = 30.0
CONNECTIONS_MAX: Final = 200
HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailers", "transfer-encoding", "upgrade", "host"}
)
NO_ANSWER: Final = {
    "type": "urn:crossbook:problem:no_answer",
    "title": "No answer",
    "status": 502,
    "detail": "the exchange behind this dashboard does not answer",
    "reason": "no_answer",
}


class ApiProxy:
    """An ASGI application that hands everything on to `api_url`."""

    def __init__(self, api_url: str) -> None:
        self._ws_url = "ws" + api_url.removeprefix("http").rstrip("/")
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
        self._http = httpx.AsyncClient(
            base_url=api_url, timeout=TIMEOUT_S, limits=limits, trust_env=False
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one request or WebSocket."""
        if scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive, send))
        elif scope["type"] == "http":
            await self._request(Request(scope, receive), scope, receive, send)

    async def close(self) -> None:
        """Close the connections to the API."""
        await self._http.aclose()

    async def _request(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        asked = self._http.build_request(
            request.method, path, headers=passed_on(request.headers), content=request.stream()
        )
        try:
            answer = await self._http.send(asked, stream=True)
        except httpx.TransportError:
            refusal = JSONResponse(NO_ANSWER, 502, media_type="application/problem+json")
            await refusal(scope, receive, send)
            return

        async def body() -> AsyncIterator[bytes]:
            async for piece in answer.aiter_raw():
                yield piece

        try:
            handed = StreamingResponse(body(), answer.status_code)
            handed.raw_headers = [
                (name.lower(), value)
                for name, value in answer.headers.raw
                if name.decode().lower() not in HOP_BY_HOP
            ]
            await handed(scope, receive, send)
        finally:
            await answer.aclose()

    async def _socket(self, browser: WebSocket) -> None:
        if not same_origin(browser.headers):
            await browser.close(1008, "origin_not_allowed")
            return
        query = f"?{browser.url.query}" if browser.url.query else ""
        protocols = browser.scope.get("subprotocols") or None
        try:
            exchange = await connect(
                f"{self._ws_url}{browser.url.path}{query}",
                subprotocols=protocols,
                compression=None,
                max_size=None,
                ping_interval=None,
                proxy=None,
            )
        except (OSError, InvalidHandshake, TimeoutError):
            await browser.close(1013, "the exchange does not answer")
            return
        await browser.accept(exchange.subprotocol)
        await _pump(browser, exchange)


async def _pump(browser: WebSocket, exchange: ClientConnection) -> None:
    """Hand on messages both ways until either side ends."""

    async def outwards() -> None:
        async for message in exchange:
            if isinstance(message, str):
                await browser.send_text(message)
            else:
                await browser.send_bytes(message)

    async def inwards() -> None:
        while True:
            message = await browser.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            await exchange.send(text if text is not None else message["bytes"])

    tasks = [asyncio.create_task(outwards()), asyncio.create_task(inwards())]
    _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await exchange.close()
    expected = (ConnectionClosed, WebSocketDisconnect, asyncio.CancelledError, RuntimeError)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, expected):
            raise end
    if not ends or tasks[0] not in left:
        await _end(browser, exchange)


async def _end(browser: WebSocket, exchange: ClientConnection) -> None:
    """Close the browser's side as the exchange closed its own."""
    code = exchange.close_code or 1011
    await browser.close(code if code not in (1005, 1006) else 1011, exchange.close_reason or "")


def passed_on(headers: Headers) -> list[tuple[str, str]]:
    """A request's headers without those of its own connection."""
    return [(name, value) for name, value in headers.items() if name not in HOP_BY_HOP]


def same_origin(headers: Headers) -> bool:
    """Whether a handshake comes from a page of this address."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
