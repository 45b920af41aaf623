"""Re-requests, catch-up over HTTP and snapshots, over real sockets."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import httpx
import msgspec
import pytest
import redis

from projections.multicast.board import FeedBoard, Published
from projections.multicast.packets import header
from projections.multicast.recovery import RerequestServer
from projections.multicast.register import ShardEntry, key_of
from tests.integration.multicast.conftest import (
    Publisher,
    Receiver,
    apply_packets,
    login,
    soup_of,
    until,
)
from tests.property.itch_book import HEADER, messages_of, unpack
from tests.property.test_itch_feed import agrees

NO_ANSWER_S = 0.3


def all_messages(publisher: Publisher, end: int) -> list[bytes]:
    """Everything that was published, over HTTP."""
    messages: list[bytes] = []
    while len(messages) < end - 1:
        answer = fetch(publisher, len(messages) + 1, 1_000)
        messages += unpack(answer.content)[2]
    return messages


def fetch(publisher: Publisher, first: object, count: object, shard: object = 0) -> httpx.Response:
    url = publisher.feed.entries()[0].catch_up
    query = {"shard": str(shard), "from": str(first), "count": str(count)}
    return httpx.get(url, params=query, trust_env=False)


# --- re-requests ----------------------------------------------------------------------------------


def test_a_request_is_answered_by_one_packet_of_what_it_asks_for(publisher: Publisher) -> None:
    end = publisher.go(12)
    every = all_messages(publisher, end)
    session = publisher.session
    for first, count in ((1, 1), (1, 65_535), (5, 3), (end - 1, 1), (end - 1, 65_535), (77, 20)):
        answer = publisher.ask(header(session, first, count))
        assert answer is not None
        assert len(answer) <= 1400
        told, sequence, messages = unpack(answer)
        assert (told, sequence) == (session, first)
        assert messages == every[first - 1 : first - 1 + len(messages)]
        wanted = min(count, end - first)
        cut_short = len(messages) < wanted
        following = every[first - 1 + len(messages)] if cut_short else b""
        assert not cut_short or len(answer) + 2 + len(following) > 1400


def test_what_cannot_be_answered_is_not(publisher: Publisher) -> None:
    end = publisher.go(12)
    session = publisher.session
    silent = [
        header(session, end, 1),  # the next one: not there yet
        header(session, end + 1, 1),
        header(session, 0, 1),
        header(session, 2**64 - 1, 65_535),
        header(session, 1, 0),
        header(b"OTHER23456", 1, 1),
        header(session, 1, 1)[:19],
        header(session, 1, 1) + b"x",
        b"",
    ]
    for request in silent:
        assert publisher.ask(request, NO_ANSWER_S) is None, request
    assert publisher.ask(header(session, 1, 1)) is not None


def test_answers_are_bounded_for_one_address_and_in_all(publisher: Publisher) -> None:
    end = publisher.go(40, 300)
    publisher.close()
    publisher.plan = {"rerequest_bytes_per_s_max": 10_000}
    publisher.open()
    publisher.catch_up()
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        entry = publisher.feed.entries()[0].rerequest
        asking.settimeout(NO_ANSWER_S)
        for first in range(1, min(end, 6_000), 30):
            asking.sendto(header(publisher.session, first, 30), (entry.host, entry.port))
        try:
            while asking.recv(2_000):
                answered += 1
        except TimeoutError:
            pass
    assert 1 <= answered <= 6


def test_one_address_leaves_some_to_the_others(tmp_path: Path) -> None:
    """The bounds by themselves: addresses cannot be had in plenty on loopback."""
    board = FeedBoard()
    board.put(Published(0, b"SESSION234", 1, 100, 1))
    server = RerequestServer(tmp_path, board, bytes_per_s_max=100_000)
    one = server._bucket_of("192.0.2.1")
    while one.has(1_400):
        one.take(1_400)
        server._all.take(1_400)
    request = header(b"SESSION234", 1, 1)
    assert server._answer(request, "192.0.2.1")[0] == "too_many"
    assert server._answer(request, "192.0.2.2")[0] == "too_old"  # past the bounds: no such file
    for number in range(3_000):
        server._bucket_of(f"198.51.100.{number}")
    assert len(server._by_address) <= 1_024


# --- catch-up -------------------------------------------------------------------------------------


def test_catch_up_at_the_ends(publisher: Publisher) -> None:
    end = publisher.go(12)
    whole = fetch(publisher, 1, 65_534)
    session, first, messages = unpack(whole.content)
    assert (session, first, len(messages)) == (publisher.session, 1, end - 1)
    assert (whole.headers["x-next-sequence"], whole.headers["x-first-sequence"]) == (str(end), "1")
    assert unpack(fetch(publisher, end - 1, 10).content)[2] == messages[-1:]
    assert fetch(publisher, end, 10).content == header(session, end, 0)
    assert fetch(publisher, end + 1, 10).status_code == 416
    for first, count in ((0, 1), (1, 0), (1, 65_535), (-1, 5), ("x", 5), (2**63, 1), (1, "")):
        assert fetch(publisher, first, count).status_code == 400, (first, count)
    assert fetch(publisher, 1, 1, shard=3).status_code == 404
    url = publisher.feed.entries()[0].catch_up
    assert httpx.get(f"{url}x", trust_env=False).status_code == 404


def test_what_is_no_longer_kept_is_gone(publisher: Publisher) -> None:
    publisher.close()
    publisher.plan = {"messages_kept": 300}
    publisher.open()
    for _ in range(12):
        end = publisher.go()
    kept = int(fetch(publisher, end, 1).headers["x-first-sequence"])
    assert 1 < kept < end
    assert fetch(publisher, kept - 1, 1).status_code == 410
    assert publisher.ask(header(publisher.session, kept - 1, 1), NO_ANSWER_S) is None
    assert unpack(fetch(publisher, kept, 65_534).content)[1] == kept


def test_the_register_tells_where_everything_is(publisher: Publisher, redis_url: str) -> None:
    end = publisher.go()
    client = redis.Redis.from_url(redis_url)

    def entry() -> ShardEntry | None:
        found = client.get(key_of(0))
        return msgspec.json.decode(found, type=ShardEntry) if found else None

    until(lambda: (found := entry()) and found.next_sequence == end, "the entry of now")
    found = entry()
    assert found == publisher.feed.entries()[0]
    assert [(line.name, line.group, line.port) for line in found.lines] == [
        (line.name, line.group, line.port) for line in publisher.lines
    ]
    assert 0 < client.pttl(key_of(0)) <= 5_000
    client.close()


# --- snapshots ------------------------------------------------------------------------------------


def test_a_snapshot_and_the_lines_come_to_the_engines_books(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    publisher.go(20)
    market, next_sequence = publisher.market()
    agrees(market, publisher.flow.exchange)
    end = publisher.go(20)
    packets = receivers[0].data(end)
    assert apply_packets(market, packets, next_sequence) == end
    agrees(market, publisher.flow.exchange)


def test_snapshots_that_are_asked_for_under_way(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    publisher.go(5)
    stop = threading.Event()

    def goes_on() -> None:
        while not stop.is_set():
            publisher.go(1, 100)

    going = threading.Thread(target=goes_on)
    going.start()
    made = [publisher.market() for _ in range(6)]
    stop.set()
    going.join()
    published = publisher.feed.board.get(0)
    assert published is not None
    packets = receivers[1].data(published.next_sequence)
    for market, next_sequence in made:
        assert apply_packets(market, packets, next_sequence) == published.next_sequence
        agrees(market, publisher.flow.exchange)


def test_the_login_answer_tells_the_session(publisher: Publisher) -> None:
    publisher.go()
    for session in (publisher.session, b" " * 10):
        packets, rest = publisher.snapshot(session)
        assert packets[0] == b"A" + publisher.session + b"%20d" % 1
        assert rest == b""


def test_another_session_is_refused(publisher: Publisher) -> None:
    publisher.go()
    assert publisher.snapshot(b"OTHER23456") == ([b"JS"], b"")


@pytest.mark.parametrize(
    "bytes_sent", [b"\x00\x00", b"\xff\xff" + b"L" * 100, b"\x00\x03Lab", b"\x00\x01U"]
)
def test_what_is_no_login_is_cut_off(publisher: Publisher, bytes_sent: bytes) -> None:
    publisher.go()
    entry = publisher.feed.entries()[0].snapshot
    with socket.create_connection((entry.host, entry.port), 30) as connection:
        connection.sendall(bytes_sent)
        assert connection.recv(100) == b""
    assert publisher.snapshot()[0][-1] == b"Z"


def test_connections_are_bounded_and_one_that_reads_nothing_holds_up_nobody(
    publisher: Publisher,
) -> None:
    publisher.close()
    publisher.plan = {"snapshot_connections_max": 2}
    publisher.open()
    publisher.go(40, 300)
    entry = publisher.feed.entries()[0].snapshot
    idle = [socket.create_connection((entry.host, entry.port), 30) for _ in range(2)]
    idle[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    idle[0].sendall(login(publisher.session))
    assert idle[0].recv(2) == struct.pack(">H", 31)
    with socket.create_connection((entry.host, entry.port), 30) as third:
        assert soup_of(third.recv(100)) == ([b"JS"], b"")
    end = publisher.go()
    assert publisher.ask(header(publisher.session, end - 1, 1)) is not None
    idle[1].close()
    until(lambda: publisher.snapshot()[0][-1:] == [b"Z"], "room for another")
    idle[0].close()


def test_a_snapshot_that_cannot_be_made_ends_without_g(publisher: Publisher) -> None:
    publisher.go()
    del publisher.flow.batches[2:]  # the log lost what is published
    packets, rest = publisher.snapshot()
    assert [packet[:1] for packet in packets] == [b"A"]
    assert rest == b""


def test_a_block_is_what_a_packet_is(publisher: Publisher) -> None:
    end = publisher.go()
    content = fetch(publisher, 1, 65_534).content
    assert HEADER.unpack_from(content)[2] == len(messages_of(content[HEADER.size :])) == end - 1
