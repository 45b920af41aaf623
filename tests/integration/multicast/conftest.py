"""A publisher in this process: the real sink, lines and services over a flow of the real engine,
on loopback, with a Redis of the session's."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.batch import EventBatch
from domain.exchange import Exchange
from projections.multicast.feed import Feed, FeedPlan
from projections.multicast.lines import Line, LinePlan
from projections.multicast.sink import MulticastSink
from tests.integration.projections.flow import Flow
from tests.property.itch_book import HEADER, ItchMarket, messages_of

WAIT_S = 60.0


def free_udp_port() -> int:
    """A port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


class LogOfFlow:
    """A flow's batches as an event log."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.shard = flow.shard

    def read(self, after: int, limit: int) -> list[EventBatch]:
        return self.flow.batches[after : after + limit]

    def close(self) -> None:
        """Nothing is open."""


class Receiver:
    """One line of one shard, joined on loopback."""

    def __init__(self, line: Line, shard: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
        self.socket.bind(line.address(shard))
        member = socket.inet_aton(line.group) + socket.inet_aton("127.0.0.1")
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self.socket.settimeout(WAIT_S)

    def next(self) -> bytes:
        """The next packet, heartbeats among them."""
        return self.socket.recv(65_536)

    def data(self, until_sequence: int) -> list[bytes]:
        """Packets with messages, until one reaches up to a sequence."""
        found = []
        while True:
            packet = self.next()
            _, first, count = HEADER.unpack_from(packet)
            if count:
                found.append(packet)
                if first + count >= until_sequence:
                    return found

    def heartbeat(self) -> int:
        """The sequence of the next heartbeat."""
        while True:
            _, sequence, count = HEADER.unpack_from(self.next())
            if count == 0:
                return int(sequence)

    def close(self) -> None:
        self.socket.close()


class Publisher:
    """A `Feed` with its sink, and clients of its services."""

    def __init__(self, folder: Path, redis_url: str, **plan: int) -> None:
        self.flow = Flow(instruments=5)
        self.lines = (
            Line("A", "239.255.26.101", free_udp_port()),
            Line("B", "239.255.26.102", free_udp_port()),
        )
        self.redis_url = redis_url
        self.folder = folder
        self.plan = plan
        self.line_plan = LinePlan(self.lines, heartbeat_s=0.1)
        self.failures: list[str] = []
        self.open()

    def open(self) -> None:
        """Start it."""
        self.feed = Feed(
            FeedPlan(
                self.folder, self.line_plan, "127.0.0.1", "127.0.0.1", self.redis_url, **self.plan
            ),
            tail_of=lambda _shard: len(self.flow.batches),
            open_log=lambda _shard: LogOfFlow(self.flow),
            restore=lambda shard, _position: Exchange(shard),
            on_failure=lambda: self.failures.append("the services ended"),
        )
        self.feed.start()
        self.sink: MulticastSink = self.feed.make_sink()

    def close(self) -> None:
        """Stop it."""
        self.sink.close()
        self.feed.close()
        assert self.failures == []

    def catch_up(self, group: int = 7) -> int:
        """Have the sink apply what it lacks; the next sequence."""
        shard = self.flow.shard
        at = self.sink.position(shard).position
        for first in range(at, len(self.flow.batches), group):
            self.sink.apply(shard, self.flow.batches[first : first + group])
        published = self.feed.board.get(shard)
        assert published is not None
        return published.next_sequence

    def go(self, batches: int = 3, commands: int = 60) -> int:
        """Some more flow, published; the next sequence."""
        self.flow.go(batches, commands)
        return self.catch_up()

    @property
    def session(self) -> bytes:
        published = self.feed.board.get(self.flow.shard)
        assert published is not None
        return published.session

    def ask(self, request: bytes, wait_s: float = WAIT_S) -> bytes | None:
        """The answer to a re-request; None where there is none in time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(wait_s)
            entry = self.feed.entries()[0].rerequest
            asking.sendto(request, (entry.host, entry.port))
            try:
                return asking.recv(65_536)
            except TimeoutError:
                return None

    def snapshot(self, session: bytes | None = None) -> tuple[list[bytes], bytes]:
        """(SoupBinTCP packets, type and payload; what was left over) of a login."""
        entry = self.feed.entries()[0].snapshot
        with socket.create_connection((entry.host, entry.port), WAIT_S) as connection:
            connection.sendall(login(self.session if session is None else session))
            return soup_of(b"".join(iter(lambda: connection.recv(65_536), b"")))

    def market(self) -> tuple[ItchMarket, int]:
        """What a snapshot's messages come to, and the sequence that it ends with."""
        packets, rest = self.snapshot()
        assert rest == b""
        kinds = {packet[:1] for packet in packets}
        assert kinds <= {b"A", b"S", b"H", b"Z"}
        messages = [packet[1:] for packet in packets if packet[:1] == b"S"]
        assert packets[-1] == b"Z"
        assert messages[-1][:1] == b"G"
        market = ItchMarket()
        for message in messages[:-1]:
            market.apply(message)
        return market, int(messages[-1][1:])


def login(session: bytes) -> bytes:
    """A SoupBinTCP login request."""
    return struct.pack(">H", 47) + b"L" + b"user  " + b"password  " + session + b"%20d" % 1


def soup_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole packets, and what is left of one that is not."""
    packets, at = [], 0
    while at + 2 <= len(data):
        (size,) = struct.unpack_from(">H", data, at)
        if at + 2 + size > len(data):
            break
        packets.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return packets, data[at:]


def apply_packets(market: ItchMarket, packets: list[bytes], since: int) -> int:
    """Apply the messages of packets from a sequence on, each once; the next sequence."""
    for packet in packets:
        _, first, _ = HEADER.unpack_from(packet)
        for sequence, message in enumerate(messages_of(packet[HEADER.size :]), first):
            if sequence == since:
                market.apply(message)
                since += 1
    return since


@pytest.fixture
def publisher(tmp_path: Path, redis_url: str) -> Iterator[Publisher]:
    """A publisher of one shard."""
    made = Publisher(tmp_path / "feed", redis_url)
    yield made
    made.close()


@pytest.fixture
def receivers(publisher: Publisher) -> Iterator[list[Receiver]]:
    """Both lines."""
    joined = [Receiver(line) for line in publisher.lines]
    yield joined
    for receiver in joined:
        receiver.close()
