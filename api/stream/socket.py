"""The server's side of one WebSocket: uvicorn's own, with a way for frames that are made already.

Guarantees: what waits in this process to be sent to one client is at most `WAITING_BYTES_MAX` and
one piece more, and the one large message that is being sent in pieces, however slowly it reads;
control frames and the notice of an end never fall into the middle of another message's frame; a
client that answers no ping in time is cut off, told why as far as it still reads.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from api.metrics import STREAM_CUT_OFF
from api.stream.frames import fragments
from api.stream.protocol import POLICY, RESTARTING

EXTENSION: Final = "crossbook.frames"
PIECE_BYTES_MAX: Final = 16_384
WAITING_BYTES_MAX: Final = 32_768
# What the kernel holds for one client is not conflated any more, so it is kept small as well.
KERNEL_BYTES_MAX: Final = 65_536
CUT_OFF_GRACE_S: Final = 0.5
CLOSE_GRACE_S: Final = 1.0

# uvicorn tells of each connection twice.
QUIET_LOG: Final = logging.getLogger("crossbook.stream.socket")
QUIET_LOG.setLevel(logging.WARNING)

__all__ = ["EXTENSION", "ClientDisconnected", "FrameSocket", "StreamSocket"]


class FrameSocket(Protocol):
    """What `/v1/stream` needs of a connection, found in its ASGI scope's extensions."""

    shutdown_notice: bytes

    def keep_alive(self, interval_s: float, timeout_s: float, notice: bytes) -> None:
        """Ping each `interval_s`, and cut off with `notice` whoever does not answer within
        `timeout_s`. Call it before the handshake is answered."""
        ...

    async def send_frames(self, frames: Iterable[bytes]) -> None:
        """Send text frames in order, waiting while the client is slow. Raises
        ClientDisconnected."""
        ...

    def offer(self, frame: bytes) -> bool:
        """Send one small frame where nothing waits; else leave it, and say so."""
        ...

    def cut_off(self, frame: bytes, code: int, reason: str) -> None:
        """Send `frame`, as far as the client takes it, and end the connection soon."""
        ...

    def take_waiting_most(self) -> int:
        """The most bytes that waited here to be sent since the last call."""
        ...


class StreamSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which puts itself into the scope as a `FrameSocket`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = QUIET_LOG
        self.shutdown_notice = b""
        self.silence_notice = b""
        self._waiting_most = 0
        self._sending = asyncio.Lock()
        self._rest: Iterator[bytes] | None = None  # of a message that is sent in pieces

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what is held for the client, here and in the kernel."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WAITING_BYTES_MAX)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, KERNEL_BYTES_MAX)

    def handle_connect(self, event: Any) -> None:
        """Put the way for frames into the scope."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][EXTENSION] = {"socket": self}

    def keep_alive(self, interval_s: float, timeout_s: float, notice: bytes) -> None:
        """See FrameSocket."""
        self.ping_interval, self.ping_timeout = interval_s, timeout_s
        self.silence_notice = notice

    def take_waiting_most(self) -> int:
        """See FrameSocket."""
        most, self._waiting_most = self._waiting_most, 0
        return most

    def _put(self, data: bytes) -> None:
        self.transport.write(data)
        waiting = self.transport.get_write_buffer_size()
        if waiting > self._waiting_most:
            self._waiting_most = waiting

    def handle_ping(self) -> None:
        """Answer the newest of those that came together, as RFC 6455 (5.5.3) allows, unless much
        waits already: for one who sends pings and reads nothing, nothing is gathered."""
        answers = [frame for frame in self.conn.data_to_send() if frame]
        if answers and not self._is_full and not self._is_over:
            self._put(answers[-1])

    async def send(self, message: Any) -> None:
        """As uvicorn's, but of many that wait for one client each looks again when it is woken.
        Raises ClientDisconnected."""
        if message["type"] == "websocket.send":
            await self._writable()
        await super().send(message)

    async def send_frames(self, frames: Iterable[bytes]) -> None:
        """See FrameSocket."""
        async with self._sending:
            together: list[bytes] = []
            size = 0
            for frame in frames:
                if size + len(frame) > PIECE_BYTES_MAX and together:
                    await self._writable()
                    self._put(b"".join(together))
                    together, size = [], 0
                if len(frame) > PIECE_BYTES_MAX:
                    await self._write_in_pieces(frame)
                else:
                    together.append(frame)
                    size += len(frame)
            if together:
                await self._writable()
                self._put(b"".join(together))

    async def _write_in_pieces(self, frame: bytes) -> None:
        self._rest = fragments(frame, PIECE_BYTES_MAX)
        while True:
            await self._writable()
            piece = next(self._rest, None)
            if piece is None:
                self._rest = None
                return
            self._put(piece)

    async def _writable(self) -> None:
        while self._is_full and not self._is_over:
            if self.writable.is_set():
                await asyncio.sleep(0)  # the transport writes, or tells, when this turn ends
            else:
                await self.writable.wait()
        if self._is_over:
            raise ClientDisconnected

    def offer(self, frame: bytes) -> bool:
        """See FrameSocket."""
        if self._sending.locked() or self._is_full or self._is_over:
            return False
        self._put(frame)
        return True

    @property
    def _is_full(self) -> bool:
        if not self.writable.is_set():
            return True
        return self.transport.get_write_buffer_size() > WAITING_BYTES_MAX

    @property
    def _is_over(self) -> bool:
        return self.disconnected or self.close_sent or self.transport.is_closing()

    def cut_off(self, frame: bytes, code: int, reason: str) -> None:
        """See FrameSocket."""
        STREAM_CUT_OFF.labels(reason).inc()
        self._end(frame, code, reason, CUT_OFF_GRACE_S)

    def keepalive_timeout(self) -> None:
        """The client answered no ping: it is away, or reads nothing."""
        self.pong_timer = None
        self.pending_ping_payload = None
        STREAM_CUT_OFF.labels("silent").inc()
        self._end(self.silence_notice, POLICY, "silent", CUT_OFF_GRACE_S)

    def shutdown(self) -> None:
        """The server ends: say so, then close."""
        if not self.shutdown_notice or not self.handshake_complete or self._is_over:
            super().shutdown()
            return
        self._end(self.shutdown_notice, RESTARTING, "the server restarts", CLOSE_GRACE_S)

    def _end(self, frame: bytes, code: int, reason: str, grace_s: float) -> None:
        self.stop_keepalive()
        if self._is_over or not self.handshake_complete:
            return
        if self._rest is not None:  # nothing may come inside a message
            if code != RESTARTING:  # whom it is too slow for, no notice reaches either
                self.transport.abort()
                return
            for piece in self._rest:
                self.transport.write(piece)
        if frame:
            self.transport.write(frame)
        try:
            self.conn.send_close(code, reason)
        except InvalidState:  # the client's own close frame came first
            self.transport.abort()
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.writable.set()  # whoever waits to send sees the end
        self.close_timer = self.loop.call_later(grace_s, self.transport.abort)
