"""`/v1/stream`: every WebSocket of this process, from handshake to end.

Guarantees: a connection whose key was revoked ends within 5 seconds, as does every one with a key
while keys cannot be checked; nothing that a client sends, or does not read, delays another client.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import metrics
from api.errors import Problem, behind, problem_body, retry_after
from api.keys import key_text_in
from api.stream.connection import Connection, error_frame, notice_frame, time_now
from api.stream.interface import Hub
from api.stream.limits import Connections, StreamSettings
from api.stream.origin import origin_allowed
from api.stream.protocol import Heartbeat, ServerShutdown, StreamError
from api.stream.socket import EXTENSION, FrameSocket
from commands.directory.view import DirectoryView

PATH: Final = "/v1/stream"
CHECK_KEYS_S: Final = 0.25
TURN: Final = 200  # connections looked at before others may run
RECONNECT_AFTER_MS: Final = 500
SHUTDOWN: Final = notice_frame(
    ServerShutdown("the server restarts: connect again, with `since`", RECONNECT_AFTER_MS)
)
SILENT: Final = error_frame(
    StreamError(
        "silent",
        "nothing came back for some seconds: read what is sent and answer pings; connect again, "
        "with `since`",
        closes=True,
    )
)
HANDSHAKE_STATUS: Final = {"too_many_connections": 429, "invalid_key": 401, "directory_stale": 503}


class Stream:
    """The ASGI app behind `/v1/stream`. Whoever serves it runs `run()` beside it."""

    def __init__(self, view: DirectoryView, hub: Hub | None, settings: StreamSettings) -> None:
        self._view = view
        self._hub = hub
        self._settings = settings
        self.counted = Connections(settings)
        self._open: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client, until it goes."""
        assert scope["type"] == "websocket"
        await receive()  # websocket.connect
        address = scope["client"][0] if scope.get("client") else "unknown"
        try:
            connection = self._enter(scope, address)
        except Problem as problem:
            await refuse_handshake(problem, send)
            return
        metrics.STREAM_CONNECTIONS.inc()
        try:
            await send({"type": "websocket.accept"})
            self._open.add(connection)
            await connection.serve(receive)
        finally:
            metrics.STREAM_CONNECTIONS.dec()
            self._open.discard(connection)
            connection.leave()
            self.counted.leave(address)

    def _enter(self, scope: Scope, address: str) -> Connection:
        """Count a client in. Raises Problem where it may not come in."""
        headers = Headers(scope=scope)
        origin, host = headers.get("origin"), headers.get("host")
        if not origin_allowed(origin, host, self._settings.origins):
            detail = "this origin's pages may not open a stream: see CROSSBOOK_STREAM_ORIGINS"
            raise Problem(403, "origin_not_allowed", detail)
        if self._hub is None or EXTENSION not in scope["extensions"]:
            raise Problem(503, "no_stream", "this server has no stream", headers=retry_after())
        if not self._hub.ready:
            raise behind("the stream has not caught up with the log yet")
        try:
            self.counted.enter(address)
        except StreamError as error:
            raise _problem_of(error) from error
        socket: FrameSocket = scope["extensions"][EXTENSION]["socket"]
        connection = Connection(socket, self._view, self._hub, self.counted)
        text = key_text_in(headers)
        try:
            if text:
                connection.take_key(text)
        except StreamError as error:
            connection.leave()
            self.counted.leave(address)
            raise _problem_of(error) from error
        socket.shutdown_notice = SHUTDOWN
        settings = self._settings
        socket.keep_alive(settings.ping_interval_s, settings.ping_timeout_s, SILENT)
        return connection

    @property
    def connection_count(self) -> int:
        """How many clients there are."""
        return self.counted.open

    async def run(self) -> None:
        """Check keys and send heartbeats until cancelled."""
        beat_at = time.monotonic() + self._settings.heartbeat_s
        while True:
            await asyncio.sleep(CHECK_KEYS_S)
            beats = time.monotonic() >= beat_at
            frame = notice_frame(Heartbeat(time_now())) if beats else b""
            if beats:
                beat_at = time.monotonic() + self._settings.heartbeat_s
            waiting = 0
            for number, connection in enumerate(list(self._open), start=1):
                connection.check_key()
                waiting = max(waiting, connection.socket.take_waiting_most())
                if frame:
                    connection.socket.offer(frame)
                if number % TURN == 0:
                    await asyncio.sleep(0)
            metrics.STREAM_WAITING_BYTES.set(waiting)


def _problem_of(error: StreamError) -> Problem:
    headers = retry_after() if error.code != "invalid_key" else None
    return Problem(HANDSHAKE_STATUS[error.code], error.code, error.detail, headers=headers)


async def upgrade_required(_request: Request) -> Response:
    """`GET /v1/stream` without a WebSocket handshake."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    raise Problem(
        426, "upgrade_required", "this is a WebSocket: see docs/stream.md", headers=headers
    )


async def refuse_handshake(problem: Problem, send: Send) -> None:
    body = problem_body(problem, "")
    headers = [(b"content-type", b"application/problem+json")]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send(
        {"type": "websocket.http.response.start", "status": problem.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": body})
