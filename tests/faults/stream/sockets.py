"""Many plain WebSocket clients in one event loop, which count what they are sent and, told to, read
nothing any more.

Guarantees: a client checks its chain of every symbol as messages come; nothing is decoded but what
that needs."""

from __future__ import annotations

import asyncio
import re
import socket as sockets
from typing import Final

HANDSHAKE: Final = (
    b"GET /v1/stream HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
DELTA: Final = re.compile(
    rb'\{"type":"(snapshot|delta)","channel":"level2","symbol":"[^"]+","sequence":"(\d+)"'
    rb'(?:,"previous_sequence":"(\d+)")?(,"conflated":true)?'
)
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
MASK: Final = bytes(4)
RECEIVE_BYTES: Final = 65_536  # of the stalled clients: the kernel may not swallow all of it


class PlainClient(asyncio.Protocol):
    """One client, subscribed to one symbol's level2."""

    def __init__(self, host: str, symbol: str) -> None:
        self._host = host.encode()
        self._symbol = symbol
        self._buffer = b""
        self._upgraded = False
        self.sequence = -1
        self.deltas = 0
        self.bytes_read = 0
        self.conflated = 0
        self.broken = 0
        self.closed_at: float | None = None
        self.said = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(HANDSHAKE % self._host)

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self.closed_at = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        """Take frames as they come; they may come in pieces."""
        self._buffer += data
        self.bytes_read += len(data)
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            self._buffer = rest
            request = f'{{"op":"subscribe","channel":"level2","symbols":["{self._symbol}"]}}'
            self._send(TEXT, request.encode())
        self._take_frames()

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            length, head = buffer[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            if len(buffer) - at < head + length:
                break
            self._take(buffer[at] & 0xF, buffer[at + head : at + head + length])
            at += head + length
        self._buffer = buffer[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._send(PONG, payload)
            return
        self.said = payload
        found = DELTA.match(payload)
        if opcode != TEXT or found is None:
            return
        kind, sequence, previous, conflated = found.groups()
        if kind == b"delta":
            self.deltas += 1
            self.broken += int(previous) != self.sequence
        self.conflated += conflated is not None
        self.sequence = int(sequence)

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        head = bytes((0x80 | opcode, 0x80 | length))
        if length > 125:
            head = bytes((0x80 | opcode, 0xFE)) + length.to_bytes(2, "big")
        self.transport.write(head + MASK + payload)

    @staticmethod
    async def open(port: int, symbol: str) -> PlainClient:
        """Connect, with a small receive buffer."""
        own = sockets.socket()
        own.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BYTES)
        own.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(own, ("127.0.0.1", port))
        _, client = await loop.create_connection(
            lambda: PlainClient(f"127.0.0.1:{port}", symbol), sock=own
        )
        return client
