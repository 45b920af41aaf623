"""A small publisher of one shard, written from the standards, that does to its lines what networks
do.

Re-request server, HTTP catch-up and snapshot service answer from the same history. It is a thread
apiece, on loopback, and ends with `close`.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.feed import standards
from tests.feed.market import Market

SESSION = b"TEST000001"
HEARTBEAT_S = 0.1
GROUPS = {"A": "239.192.77.1", "B": "239.192.77.2"}


@dataclass
class Faults:
    """Shares of packets of one line that are lost, late (by up to three packets), or sent twice."""

    loss: float = 0.0
    reordering: float = 0.0
    duplicates: float = 0.0


@dataclass
class WireLine:
    """One line: sends packets, with faults."""

    name: str
    group: str
    port: int
    faults: Faults = field(default_factory=Faults)
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._late: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()  # heartbeats come from a thread of their own
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
        )
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def send(self, packet: bytes) -> None:
        """Send, lose, delay or double a packet."""
        with self._lock:
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        self._late = [(count - 1, late) for count, late in self._late]
        if self.dice.random() >= self.faults.loss:
            if self.dice.random() < self.faults.reordering:
                self._late.append((self.dice.randrange(1, 4), packet))
            else:
                self.put(packet)
            if self.dice.random() < self.faults.duplicates:
                self.put(packet)
        for count, late in list(self._late):
            if count <= 0:
                self.put(late)
                self._late.remove((count, late))

    def put(self, packet: bytes) -> None:
        """Send these bytes, whatever they are."""
        self.sent.append(packet)
        self._socket.sendto(packet, (self.group, self.port))

    def close(self) -> None:
        """Let the socket go."""
        self._socket.close()


class Publisher:
    """See the module. `services` are which of rerequest, http and snapshot there are."""

    def __init__(
        self,
        market: Market,
        *,
        session: bytes = SESSION,
        services: Iterable[str] = ("rerequest", "http", "snapshot"),
        history: Iterable[bytes] = (),
        lines: dict[str, WireLine] | None = None,
        port: int = 0,
    ) -> None:
        self.market = market
        self.session = session
        self.history: list[bytes] = list(history)
        self.services = set(services)
        self.asked: dict[str, int] = {"rerequest": 0, "http": 0, "snapshot": 0}
        self.rerequest_loss = 0.0
        self.damage_snapshots = False
        self.lines = lines or {
            name: WireLine(name, group, free_port(), dice=random.Random(ord(name)))
            for name, group in GROUPS.items()
        }
        self._lock = threading.Lock()  # history and market change together
        self.stopping = threading.Event()
        self._dice = random.Random(7)
        self._requests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests.bind(("127.0.0.1", 0))
        self._snapshots = socket.create_server(("127.0.0.1", 0))
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        for work in (self._beat, self._answer, self._serve, self._http_serve):
            threading.Thread(target=work, daemon=True).start()

    @property
    def next_sequence(self) -> int:
        """Of the next message."""
        return len(self.history) + 1

    @property
    def port(self) -> int:
        """Of the API."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.port}"

    def publish(self, count: int) -> None:
        """Have the market make messages, and send them."""
        with self._lock:
            first = self.next_sequence
            made = self.market.messages(count)
            self.history += made
        for packet in standards.packets(self.session, first, made):
            for line in self.lines.values():
                line.send(packet)

    def end(self) -> None:
        """Say that the session has ended."""
        for line in self.lines.values():
            line.put(standards.end_of_session(self.session, self.next_sequence))

    def beat(self) -> None:
        """Send a heartbeat now."""
        for line in self.lines.values():
            line.send(standards.packet(self.session, self.next_sequence, []))

    def close(self) -> None:
        """Stop everything, as a kill does: nothing is said."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        with contextlib.suppress(OSError):
            self._snapshots.shutdown(socket.SHUT_RDWR)
        self._snapshots.close()
        # recvfrom returns where the socket receives something
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._requests.getsockname())

    def description(self) -> dict[str, Any]:
        """What /v1/feed answers."""
        rerequest = _address(self._requests) if "rerequest" in self.services else None
        snapshot = _address(self._snapshots) if "snapshot" in self.services else None
        return {
            "shard": 0,
            "session": self.session.decode(),
            "next_sequence": str(self.next_sequence),
            "lines": [
                {"name": line.name, "group": line.group, "port": line.port}
                for line in self.lines.values()
            ],
            "rerequest": rerequest,
            "snapshot": snapshot,
            "messages_url": "/v1/feed/0/messages" if "http" in self.services else None,
        }

    def block(self, first: int, count: int) -> bytes:
        """What HTTP answers."""
        with self._lock:
            return standards.packet(
                self.session, first, self.history[first - 1 : first - 1 + count]
            )

    # --- services ---------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self.stopping.wait(HEARTBEAT_S):
            self.beat()

    def _http_serve(self) -> None:
        self._http.serve_forever(poll_interval=0.05)

    def _answer(self) -> None:
        with self._requests:
            while not self.stopping.is_set():
                asked, sender = self._requests.recvfrom(2048)
                if len(asked) != 20 or "rerequest" not in self.services:
                    continue
                session, first, count = struct.unpack(">10sQH", asked)
                self.asked["rerequest"] += 1
                if session != self.session or not 0 < first < self.next_sequence:
                    continue
                if self._dice.random() < self.rerequest_loss:
                    continue
                wanted = self.history[first - 1 : first - 1 + count]
                answer = next(iter(standards.packets(self.session, first, wanted)))
                self._requests.sendto(answer, sender)

    def _serve(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._snapshots.accept()
            except OSError:
                return
            with connection:
                self._send_snapshot(connection)

    def _send_snapshot(self, connection: socket.socket) -> None:
        login = connection.recv(64)
        assert login[:3] == struct.pack(">H", 47) + b"L" and len(login) == 49, login
        if "snapshot" not in self.services or login[19:29].strip() not in (b"", self.session):
            connection.sendall(standards.soup("J", b"A"))
            return
        with self._lock:
            messages, following = self.market.snapshot(), self.next_sequence
        self.asked["snapshot"] += 1
        accepted = self.session.decode().rjust(10) + "1".rjust(20)
        parts = [standards.soup("A", accepted.encode()), standards.soup("H")]
        parts += [standards.soup("S", message) for message in messages]
        if self.damage_snapshots:
            parts = parts[: len(parts) // 2]
        else:
            parts.append(standards.soup("S", b"G" + str(following).rjust(20).encode()))
            parts.append(standards.soup("Z"))
        with contextlib.suppress(OSError):
            connection.sendall(b"".join(parts))


def _handler(publisher: Publisher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/v1/feed":
                self._reply(200, json.dumps({"shards": [publisher.description()]}).encode())
            elif "http" not in publisher.services:
                self._reply(503, b"{}")
            else:
                query = parse_qs(parts.query)
                first, count = int(query["from"][0]), int(query["count"][0])
                publisher.asked["http"] += 1
                known = first < publisher.next_sequence
                self._reply(
                    200 if known else 416, publisher.block(first, count) if known else b"{}"
                )

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Next-Sequence", str(publisher.next_sequence))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


@contextlib.contextmanager
def publishing(market: Market, **more: Any) -> Iterator[Publisher]:
    """A publisher that ends with the block."""
    publisher = Publisher(market, **more)
    try:
        yield publisher
    finally:
        publisher.close()
        for line in publisher.lines.values():
            line.close()


def free_port() -> int:
    """A UDP port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _address(bound: socket.socket) -> dict[str, Any]:
    host, port = bound.getsockname()
    return {"host": host, "port": port}
