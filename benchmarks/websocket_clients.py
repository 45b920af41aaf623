"""Many WebSocket clients on one epoll, cheap enough that the server is what is measured.

Guarantees: every delta that a client reads is counted by its symbol and sequence, and its chain is
checked. What one client has read and checked frame by frame is the reference; bytes of another that
are the same, from the same place of the same chains, need no reading again."""

from __future__ import annotations

import re
import select
import socket
import time
from bisect import bisect_right
from typing import Final, TextIO

from benchmarks.websocket_flow import SYMBOLS

HANDSHAKE: Final = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
SUBSCRIBE: Final = (
    '{"op":"subscribe","channel":"level2","symbols":["' + '","'.join(SYMBOLS) + '"]}'
).encode()
MESSAGE: Final = re.compile(
    rb'\{"type": ?"(snapshot|delta)", ?"channel": ?"level2", ?"symbol": ?"([^"]+)", ?'
    rb'"sequence": ?"(\d+)"(?:, ?"previous_sequence": ?"(\d+)")?'
)
TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA
RECEIVE_BYTES: Final = 262_144
NUMBER: Final = {symbol.encode(): place for place, symbol in enumerate(SYMBOLS)}
SETTLE_S: Final = 2.0  # after the last was due: what has not come by then is lost


def frame_of(opcode: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    assert len(payload) < 65_536
    if len(payload) < 126:
        head = bytes((0x80 | opcode, 0x80 | len(payload)))
    else:
        head = bytes((0x80 | opcode, 0xFE)) + len(payload).to_bytes(2, "big")
    return head + bytes(4) + payload


class Client:
    """One socket, and how far it has read."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(HANDSHAKE % port)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.socket.recv(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        self.socket.sendall(frame_of(TEXT, SUBSCRIBE))
        self.rest = b""  # of a frame that is not whole; where in step, it is in the reference
        self.last = [b""] * len(SYMBOLS)  # sequences
        self.at = -1  # bytes of the reference; -1 where this client is not in step with it
        self.deltas = 0


class Clients:
    """All clients, what they read, and when."""

    def __init__(self, port: int, count: int, stalled: int = 0) -> None:
        """`stalled` more than `count` read nothing after their snapshots."""
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._reference = bytearray()
        self._ends: list[int] = []  # of the reference's frames
        self._frames: list[int] = []  # the delta of each
        self._last: list[tuple[bytes, ...]] = []  # the sequences after each
        self._places: dict[tuple[bytes, ...], int] = {}
        self.deltas: dict[tuple[bytes, bytes], int] = {}  # numbered as they were first seen
        self.ranges: list[tuple[int, int, int]] = []  # (read at, frames of the reference from, to)
        self.singles: list[tuple[int, int]] = []  # (read at, delta)
        self.conflated = self.broken = self.closed = self.snapshots = 0
        for _ in range(count + stalled):
            client = Client(port)
            self._clients[client.socket.fileno()] = client
            self._poll.register(client.socket, select.EPOLLIN)
        while self.snapshots < (count + stalled) * len(SYMBOLS):
            assert self._turn(5.0), "a snapshot did not come"
        self._stalled = [self._clients.popitem()[1] for _ in range(stalled)]
        for client in self._stalled:
            self._poll.unregister(client.socket)

    @property
    def delivered(self) -> int:
        """Deltas read, by all together."""
        return sum(client.deltas for client in self._clients.values())

    def range_frames(self) -> list[int]:
        """The delta of each frame of the reference."""
        return self._frames

    def run(self, server: TextIO, wait_s: float) -> int:
        """Read until everything has come that the server says was due, or `SETTLE_S` longer; how
        many deltas all together should have read."""
        self._poll.register(server, select.EPOLLIN)
        due, deadline = -1, time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if self._turn(0.1, server.fileno()) == "server":
                due = int(server.readline()) * len(self._clients)
                self._poll.unregister(server)
                deadline = time.monotonic() + SETTLE_S
            if due >= 0 and self.delivered >= due:
                break
        if due >= 0:
            return due
        raise TimeoutError("the server did not say that it had published all")

    def close(self) -> None:
        """End all connections."""
        for client in (*self._clients.values(), *self._stalled):
            client.socket.close()
        self._poll.close()

    def _turn(self, wait_s: float, server: int = -1) -> str:
        heard = ""
        for fd, _ in self._poll.poll(wait_s):
            if fd == server:
                heard = "server"
                continue
            client = self._clients[fd]
            data = client.socket.recv(RECEIVE_BYTES)
            if not data:
                self.closed += 1
                self._poll.unregister(fd)
                continue
            heard = heard or "client"
            self._take(client, data, time.monotonic_ns())
        return heard

    def _take(self, client: Client, data: bytes, now_ns: int) -> None:
        at = client.at
        if at >= 0:
            known = len(self._reference) - at
            same = data if len(data) <= known else data[:known]
            if self._reference.startswith(same, at):
                place = bisect_right(self._ends, at)
                client.at = at = at + len(same)
                upto = bisect_right(self._ends, at, place)
                if upto > place:
                    client.deltas += upto - place
                    self.ranges.append((now_ns, place, upto))
                if len(same) == len(data):
                    return
                data = data[len(same) :]
            self._fall_out(client, at)
        self._read(client, client.rest + data, now_ns)

    def _fall_out(self, client: Client, at: int) -> None:
        """From now on this client's frames are read, until it is in step again."""
        place = bisect_right(self._ends, at) - 1
        client.rest = bytes(self._reference[self._ends[place] : at])
        client.last = list(self._last[place])
        client.at = -1

    def _read(self, client: Client, data: bytes, now_ns: int) -> None:
        at = 0
        while len(data) - at >= 2:
            length, head = data[at + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2 : at + head], "big")
            end = at + head + length
            if len(data) < end:
                break
            self._frame(client, data[at:end], head, now_ns)
            at = end
        client.rest = data[at:]
        place = self._places.get(tuple(client.last), -1)
        rest = client.rest
        if place >= 0 and self._reference.startswith(rest, self._ends[place]):
            client.at = self._ends[place] + len(rest)

    def _frame(self, client: Client, frame: bytes, head: int, now_ns: int) -> None:
        opcode = frame[0] & 0xF
        if opcode == PING:
            client.socket.sendall(frame_of(PONG, frame[head:]))
            return
        found = MESSAGE.match(frame, head)
        if opcode != TEXT or found is None:
            return
        kind, symbol, sequence, previous = found.groups()
        number = NUMBER[symbol]
        if kind == b"snapshot":
            self.snapshots += 1
            self.conflated += b'"conflated"' in frame
            client.last[number] = sequence
            return
        self.broken += previous != client.last[number]
        client.deltas += 1
        delta = self.deltas.setdefault((symbol, sequence), len(self.deltas))
        self.singles.append((now_ns, delta))
        before = tuple(client.last)
        client.last[number] = sequence
        if not self._last or before == self._last[-1]:
            self._reference += frame
            self._ends.append(len(self._reference))
            self._frames.append(delta)
            self._last.append(tuple(client.last))
            self._places[self._last[-1]] = len(self._ends) - 1
