"""The feed of a whole exchange: its listener, and strangers' code on the same bytes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from crossbook_client.feed import FeedListener, ShardBooks, read_itch
from crossbook_client.feed.directory import FeedApi, FeedShard
from crossbook_client.feed.sockets import open_line
from tests.faults.exchange import FaultExchange, free_port
from tests.faults.feed.listening import Rows, engine_rows, published, rest_levels
from tests.faults.judge import heads_of
from tests.faults.load import SYMBOLS, Load
from tests.feed.compare import rows_of
from tests.feed.pcap import write_pcap
from tests.feed.standards import PACKET_BYTES_MAX, framed
from tests.unit.feed.test_recording import strangers_books

WAIT_S = 60.0
LOAD_S = 2.0
HEARTBEATS = 2
PCAP_PORT = 26_400  # of recordings; tshark takes some of the system's free ports for traceroute


class Capture(threading.Thread):
    """Hears both lines with plain sockets, as any program can; packets of the shard's session."""

    def __init__(self, shard: FeedShard) -> None:
        super().__init__(daemon=True)
        self._shard = shard
        self._lines = [open_line(line, "127.0.0.1") for line in shard.lines]
        self._stopping = threading.Event()
        self.packets: dict[str, list[bytes]] = {line.name: [] for line in shard.lines}

    def run(self) -> None:
        while not self._stopping.wait(0.005):
            for line, opened in zip(self._shard.lines, self._lines, strict=True):
                self._hear(self.packets[line.name], opened)

    def _hear(self, heard: list[bytes], opened: socket.socket) -> None:
        while True:
            try:
                packet = opened.recv(65_535)
            except BlockingIOError:
                return
            if packet[:10] == self._shard.session_bytes:
                heard.append(packet)

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self.join(WAIT_S)
        for opened in self._lines:
            opened.close()


@dataclass
class Traded:
    """An exchange after some trading, and all that was heard of it."""

    exchange: FaultExchange
    shard: FeedShard
    position: int
    following: int
    path: Path
    packets: dict[str, list[bytes]]
    heard: Rows
    levels: dict[str, Any]
    sound: bool
    engine: Rows = field(default_factory=dict)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    """Trade for two seconds, then wait for two heartbeats."""
    folder = tmp_path_factory.mktemp("exchange")
    ports = (20_000 + free_port() % 20_000, 40_000 + free_port() % 20_000)
    exchange = FaultExchange(folder, FEED_PORT_A=str(ports[0]), FEED_PORT_B=str(ports[1]))
    try:
        exchange.start()
        yield _trade(exchange, folder / "day.itch")
    finally:
        print(exchange.said())
        exchange.end(keep=False)


def _trade(exchange: FaultExchange, path: Path) -> Traded:
    published(exchange, 1)
    api = FeedApi(exchange.url)
    shard = api.shards()[0]
    api.close()
    capture = Capture(shard)
    capture.start()
    load = Load.of(exchange.run.read_credentials(), exchange.port, 5, count=3)
    with FeedListener(exchange.url, beginning=True, record=path) as feed:
        load.start()
        feed.run(LOAD_S)
        stopping = threading.Thread(target=load.stop)
        stopping.start()
        while stopping.is_alive():
            feed.poll(0.05)
        position, _ = heads_of(exchange.logs, 0)
        following = published(exchange, position)
        deadline = time.monotonic() + WAIT_S
        beats = feed.statistics.heartbeats.total()
        while (
            feed.shards[0].expected < following
            or feed.statistics.heartbeats.total() < beats + 2 * HEARTBEATS
        ):
            assert time.monotonic() < deadline, (feed.shards[0].expected, following)
            feed.poll(0.05)
    capture.stop()
    return Traded(
        exchange,
        shard,
        position,
        following,
        path,
        capture.packets,
        {book.locate: rows_of(book) for book in feed.books.values()},
        {symbol: (feed.books[symbol].bids, feed.books[symbol].asks) for symbol in SYMBOLS},
        feed.sound,
        engine_rows(exchange),
    )


def test_the_listeners_books_are_the_engines_and_those_of_rest(traded: Traded) -> None:
    assert traded.sound
    assert any(traded.engine.values()), "nothing rests: nothing was compared"
    assert traded.heard == traded.engine
    for symbol, sides in traded.levels.items():
        told = tuple([(one.price, one.quantity, one.order_count) for one in side] for side in sides)
        assert told == rest_levels(traded.exchange, symbol, traded.position), symbol


def test_a_stranger_rebuilds_the_engines_books_from_the_recording(traded: Traded) -> None:
    books = ShardBooks()
    assert books.apply(read_itch(traded.path)) == []
    symbols = {book.locate: symbol for symbol, book in books.by_symbol.items()}
    expected = {symbols[locate]: rows for locate, rows in traded.engine.items() if rows}
    assert strangers_books(traded.path) == expected


def test_the_status_has_the_feed_beside_the_other_projections(traded: Traded) -> None:
    query = "{ status { roles { role up } shards { matched projections { name position } } } }"
    deadline = time.monotonic() + WAIT_S
    while True:  # the publisher tells its place each second, and the status is looked at as often
        answer = httpx.post(f"{traded.exchange.url}/graphql", json={"query": query}, timeout=WAIT_S)
        status = answer.json()["data"]["status"]
        [shard] = status["shards"]
        found = {each["name"]: each["position"] for each in shard["projections"]}
        if found.get("multicast") == shard["matched"]:
            break
        assert time.monotonic() < deadline, (found, shard["matched"])
        time.sleep(0.1)
    assert list(found) == ["redis", "postgres", "multicast"]
    assert {"role": "multicast", "up": True} in status["roles"]


def test_both_lines_carry_the_same_sound_packets(traded: Traded) -> None:
    first, second = traded.packets.values()
    assert [packet for packet in first if packet[18:20] != b"\0\0"] == [
        packet for packet in second if packet[18:20] != b"\0\0"
    ]
    assert all(len(packet) <= PACKET_BYTES_MAX for packet in first)


def dissect(path: Path, port: int) -> list[list[str]]:
    """What tshark tells of each packet: protocols, session, sequence, count, each message, and what
    it complains about."""
    if shutil.which("tshark") is None:
        lacking = "no tshark: install it"
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)
    fields = (
        *("frame.protocols", "moldudp64.session", "moldudp64.sequence", "moldudp64.count"),
        *("moldudp64.msglen", "moldudp64.msgdata", "_ws.malformed", "_ws.expert.message"),
    )
    asked = [word for name in fields for word in ("-e", name)]
    done = subprocess.run(
        [
            *("tshark", "-n", "-r", str(path), "-d", f"udp.port=={port},moldudp64"),
            *("-T", "fields", "-E", "separator=|", *asked),
        ],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    return [line.split("|") for line in done.stdout.splitlines()]


def test_tshark_dissects_every_packet_as_moldudp64_without_complaint(
    traded: Traded, tmp_path: Path
) -> None:
    """Its dissector of ITCH is of version 3: messages are compared as bytes."""
    line, path = traded.shard.lines[0], tmp_path / "line.pcap"
    packets = traded.packets[line.name]
    assert write_pcap(path, line.group, PCAP_PORT, packets) == len(packets)
    dissected = dissect(path, PCAP_PORT)
    assert len(dissected) == len(packets)
    messages = 0
    for packet, (protocols, session, sequence, count, lengths, bodies, bad, complaint) in zip(
        packets, dissected, strict=True
    ):
        assert protocols.endswith(":moldudp64") and not bad and not complaint, (bad, complaint)
        assert session == traded.shard.session
        assert int(sequence.split(",")[0]) == int.from_bytes(packet[10:18], "big")
        assert int(count) == int.from_bytes(packet[18:20], "big")
        found = [bytes.fromhex(body) for body in bodies.split(",")] if bodies else []
        assert [len(body) for body in found] == [int(each) for each in lengths.split(",") if each]
        assert framed(found) == packet[20:]
        messages += len(found)
    assert messages > 100
    assert [row for row in dissected if row[3] == "0"], "no heartbeat was captured"


def test_tshark_would_complain_about_a_broken_packet(traded: Traded, tmp_path: Path) -> None:
    line, path = traded.shard.lines[0], tmp_path / "broken.pcap"
    packet = next(one for one in traded.packets[line.name] if one[18:20] != b"\0\0")
    write_pcap(path, line.group, PCAP_PORT, [packet[:18] + b"\0\xfe" + packet[20:], packet[:-3]])
    assert all(row[6] or row[7] for row in dissect(path, PCAP_PORT))
