"""kill -9 of the multicast role under load: it goes on in the same session and sequence, and what
it published, before and after, is what the event log says, message by message."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise

import httpx
import pytest

from projections.itch.encoder import FeedEncoder
from streams.logs import SQLiteEventLog
from tests.faults.exchange import FaultExchange, wait_for
from tests.faults.killer import Killer
from tests.faults.load import Load
from tests.faults.options import NewExchange
from tests.property.itch_book import HEADER, unpack

KILLS = 4
SECONDS = 16.0
WAIT_S = 60.0


class Line(threading.Thread):
    """Keeps every packet of line A of one shard, until it is told to stop."""

    def __init__(self, group: str, port: int) -> None:
        super().__init__(name="line A", daemon=True)
        self.packets: list[bytes] = []
        self.stopping = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((group, port))
        member = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._socket.settimeout(0.2)

    def run(self) -> None:
        with self._socket:
            while not self.stopping.is_set():
                try:
                    self.packets.append(self._socket.recv(65_536))
                except TimeoutError:
                    continue


def published(exchange: FaultExchange) -> tuple[str, list[bytes]]:
    """(session, messages) as the API gives them out, once all of the log is published."""
    url = f"http://127.0.0.1:{exchange.port}"
    log = SQLiteEventLog(exchange.settings.logs, 0)
    end = log.tail().position
    log.close()

    def caught_up() -> dict[str, str] | None:
        shards = httpx.get(f"{url}/v1/feed", trust_env=False).json().get("shards", [])
        return next((each for each in shards if int(each["position"]) >= end), None)

    shard = wait_for("all of the log to be published", caught_up, WAIT_S)
    messages: list[bytes] = []
    while len(messages) < int(shard["next_sequence"]) - 1:
        wanted = {"from": len(messages) + 1, "count": 20_000}
        answer = httpx.get(f"{url}{shard['messages_url']}", params=wanted, trust_env=False)
        messages += unpack(answer.raise_for_status().content)[2]
    return shard["session"], messages


def encoded(exchange: FaultExchange) -> tuple[bytes, list[bytes]]:
    """The same, from the event log alone."""
    log = SQLiteEventLog(exchange.settings.logs, 0)
    encoder = FeedEncoder()
    while batches := log.read(int(encoder.position), 64):
        for batch in batches:
            encoder.apply(batch.record)
    log.close()
    return encoder.session, [each for _, packet in encoder.packets for each in unpack(packet)[2]]


@pytest.mark.timeout(400)
def test_a_killed_publisher_goes_on_and_nothing_is_missing_or_different(
    new_exchange: NewExchange, seed: int
) -> None:
    group = "239.255.26.111"
    exchange = new_exchange(FEED_GROUP_A=group, SNAPSHOT_COMMANDS="5000")
    exchange.start()
    line = Line(group, exchange.settings.feed_port_a)
    line.start()
    load = Load.of(exchange.run.read_credentials(), exchange.port, seed)
    killer = Killer(exchange, "multicast", kills=KILLS, seconds=SECONDS, seed=seed)
    load.start()
    killer.start()
    killer.finish(SECONDS * 4)
    load.stop()
    exchange.wait_until_ready()

    session, messages = published(exchange)
    line.stopping.set()
    line.join()
    expected_session, expected = encoded(exchange)
    assert session.encode() == expected_session
    assert messages == expected[: len(messages)]
    assert len(messages) > 1_000
    assert killer.killed == KILLS
    mine = [packet for packet in line.packets if packet[:10] == expected_session]
    heads = [HEADER.unpack_from(packet) for packet in mine]
    for packet, (_, first, count) in zip(mine, heads, strict=True):
        if count:
            assert unpack(packet)[2] == expected[first - 1 : first - 1 + count]
    sent = [first for _, first, count in heads if count]
    assert all(first < second for first, second in pairwise(sent)), "one packet was sent twice"
    assert len(sent) > 20
    assert exchange.stop(10.0) == 0
