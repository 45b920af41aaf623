"""What happens to every request before it is routed: its id, its size limit, its measure, and a net
for what nobody expected.

Guarantees: each response carries `X-Request-ID`, and so does each line logged on the way to it; no
request body beyond the limit is ever held in memory, however it is sent; an exception that no
handler knows is logged and answered with status 500. Plain ASGI, because Starlette's
BaseHTTPMiddleware costs a task and a queue a request.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from api import metrics
from api.errors import Problem, edge_response, retry_after

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
BODY_BYTES_MAX: Final = 1024 * 1024
LENGTH_DIGITS_MAX: Final = 18
# A client that is cut off while it still sends sees a reset instead of the answer, so the rest is
# read and thrown away; but not for ever.
DISCARD_BYTES_MAX: Final = 64 * 1024 * 1024

log = logging.getLogger("crossbook.api")


class RequestIdMiddleware:
    """Names each request and catches what nobody else did."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on with `scope["request_id"]` set."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if REQUEST_ID.fullmatch(asked) else secrets.token_hex(16)
        scope["request_id"] = request_id
        bind_contextvars(request_id=request_id)  # the server runs each request in its own context
        status = 0
        began = time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        metrics.HTTP_IN_FLIGHT.inc()
        try:
            await self._pass_on(scope, receive, send_named, lambda: status != 0)
        finally:
            metrics.HTTP_IN_FLIGHT.dec()
            metrics.answered(scope, status or 499, time.perf_counter() - began)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, started: Callable[[], bool]
    ) -> None:
        """Catch what nobody else did; `started` tells whether an answer is under way."""
        request_id = scope["request_id"]
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            # The process stops and waits no longer; what was sent may be in the log by now.
            if started():
                raise
            detail = "the exchange is stopping; a write may be in the log: send it again"
            problem = Problem(503, "stopping", detail, headers=retry_after())
            await edge_response(problem, scope)(scope, receive, send)
        except Exception:
            log.exception("request %s %s failed (%s)", scope["method"], scope["path"], request_id)
            if started():
                raise
            detail = "something unexpected went wrong; it is logged under this request id"
            problem = Problem(500, "internal_error", detail)
            await edge_response(problem, scope)(scope, receive, send)


class BodyLimitMiddleware:
    """Refuses bodies over `bytes_max` with 413, by Content-Length or, without it, as they come
    in."""

    def __init__(self, app: ASGIApp, bytes_max: int = BODY_BYTES_MAX) -> None:
        self.app = app
        self.bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on with a `receive` that counts."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")[:LENGTH_DIGITS_MAX]
        length = int(declared) if declared.isascii() and declared.isdigit() else 0
        if length > self.bytes_max:
            # Whoever waits for "100 Continue" has sent nothing yet, and must not be asked to.
            if headers.get("expect", "").lower() != "100-continue" and length <= DISCARD_BYTES_MAX:
                await self._discard(receive)
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.bytes_max:
                    if message.get("more_body", False):
                        await self._discard(receive)
                    raise self._problem()
            return message

        await self.app(scope, receive_counted, send)

    def _problem(self) -> Problem:
        detail = f"a body has at most {self.bytes_max:,} bytes"
        return Problem(413, "body_too_large", detail, headers={"Connection": "close"})

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = edge_response(self._problem(), scope)
        await response(scope, receive, send)

    @staticmethod
    async def _discard(receive: Receive) -> None:
        discarded = 0
        while discarded <= DISCARD_BYTES_MAX:
            message = await receive()
            discarded += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
