"""The server's side of one HTTP connection: uvicorn's own, with bounds on what it reads before
there is a request.

Guarantees: the head of a request is at most about `HEAD_BYTES_MAX` in memory, however it is sent; a
connection that has begun none, or not ended one, within `HEAD_WAIT_S` is closed; what is no HTTP is
answered as a problem, like everything else.
"""

from __future__ import annotations

import asyncio
import secrets
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import Problem, problem_body
from api.heads import guarded

HEAD_BYTES_MAX: Final = 65_536
HEAD_WAIT_S: Final = 10.0


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol over httptools, whose parser holds a head of any length."""

    head_wait_s = HEAD_WAIT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A first head must come in time."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what the parser keeps of a head that has not ended."""
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            detail = f"a request's head has at most {HEAD_BYTES_MAX:,} bytes"
            self._refuse(Problem(431, "headers_too_large", detail))
        else:
            self._await_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is another protocol's connection."""
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(Problem(400, "malformed_http", "this is no sound HTTP request"))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_wait_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        request_id = secrets.token_hex(16)
        body = problem_body(problem, request_id)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
        ]
        phrase = HTTPStatus(problem.status).phrase.encode()
        head = b"HTTP/1.1 %d %s\r\n" % (problem.status, phrase)
        lines = [name + b": " + value + b"\r\n" for name, value in guarded(headers, "/")]
        self.transport.write(head + b"".join(lines) + b"\r\n" + body)
        self.transport.close()
