"""The two lines, over real sockets on loopback: what goes out, when, and what does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from projections.multicast.lines import Line, LinePlan, Lines
from projections.multicast.packets import header
from projections.multicast.sink import LIVE_BATCHES_MAX, MulticastSink
from tests.integration.multicast.conftest import (
    Publisher,
    Receiver,
    apply_packets,
    free_udp_port,
    until,
)
from tests.property.itch_book import HEADER, ItchMarket
from tests.property.test_itch_feed import agrees

SESSION = b"SESSION234"


def test_both_lines_carry_the_same_packets_and_they_come_to_the_engines_books(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    market, at = ItchMarket(), 1
    for _ in range(10):
        end = publisher.go()
        first, second = (receiver.data(end) for receiver in receivers)
        assert first == second
        assert all(len(packet) <= 1400 for packet in first)
        at = apply_packets(market, first, at)
        assert at == end
        agrees(market, publisher.flow.exchange)


def test_a_heartbeat_tells_what_comes_next_on_both_lines(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    end = publisher.go()
    for receiver in receivers:
        until(lambda receiver=receiver: receiver.heartbeat() == end, "the heartbeat of now")
        packet = receiver.next()
        assert packet == header(publisher.session, end, 0)


def test_a_publisher_that_begins_again_sends_no_old_packet_and_goes_on(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    end = publisher.go()
    receivers[0].data(end)
    session = publisher.session
    publisher.close()
    publisher.open()
    publisher.sink.position(0)
    until(lambda: receivers[0].heartbeat() == end, "a heartbeat of what was published before")
    later = publisher.go()
    packets = receivers[0].data(later)
    assert HEADER.unpack_from(packets[0])[:2] == (session, end)


def test_two_publishers_on_one_file_send_each_packet_once(
    publisher: Publisher, receivers: list[Receiver], redis_url: str
) -> None:
    other = MulticastSink(
        publisher.folder,
        board=publisher.feed.board,
        lines=publisher.feed.lines,
        tail_of=lambda _shard: len(publisher.flow.batches),
    )
    sinks = [publisher.sink, other]
    for turn in range(20):
        publisher.flow.go(1, 40)
        sink = sinks[turn % 2]
        at = sink.position(0).position
        sink.apply(0, publisher.flow.batches[at:])
    published = publisher.feed.board.get(0)
    assert published is not None
    packets = receivers[0].data(published.next_sequence)
    firsts = [HEADER.unpack_from(packet)[1] for packet in packets]
    assert firsts == sorted(set(firsts))
    market = ItchMarket()
    assert apply_packets(market, packets, 1) == published.next_sequence
    agrees(market, publisher.flow.exchange)
    other.close()


def test_two_publishers_with_files_of_their_own_send_the_same_packets(
    publisher: Publisher, receivers: list[Receiver], tmp_path: Path
) -> None:
    end = publisher.go(12)
    first = receivers[0].data(end)
    other = MulticastSink(
        tmp_path / "other machine",
        board=publisher.feed.board,
        lines=publisher.feed.lines,
        tail_of=lambda _shard: len(publisher.flow.batches),
    )
    for at in range(len(publisher.flow.batches)):
        other.apply(0, publisher.flow.batches[at : at + 1])
    assert receivers[0].data(end) == first
    other.close()


def test_a_sink_far_behind_sends_nothing_but_heartbeats(
    publisher: Publisher, receivers: list[Receiver]
) -> None:
    for _ in range(LIVE_BATCHES_MAX + 300):
        publisher.flow.go(1, 1)
    end = publisher.catch_up(group=64)
    packets = receivers[0].data(end)
    sent = sum(HEADER.unpack_from(packet)[2] for packet in packets)
    assert 0 < sent < end - 1
    assert HEADER.unpack_from(packets[0])[1] > 200
    until(lambda: receivers[1].heartbeat() == end, "a heartbeat that tells of all")


# --- pace -----------------------------------------------------------------------------------------


@pytest.fixture
def line() -> Line:
    return Line("A", "239.255.26.103", free_udp_port())


@pytest.fixture
def receiver(line: Line) -> Iterator[Receiver]:
    joined = Receiver(line)
    yield joined
    joined.close()


def packets(count: int) -> list[tuple[int, bytes]]:
    """Packets of one message each."""
    return [(n, header(SESSION, n, 1) + b"\x00\x01x") for n in range(1, count + 1)]


def test_packets_beyond_the_pace_wait_and_go_out_in_order(line: Line, receiver: Receiver) -> None:
    lines = Lines(LinePlan((line,), heartbeat_s=0.05, packets_per_s_max=200))
    lines.start()
    lines.publish(0, SESSION, packets(60), 61)
    assert receiver.heartbeat() < 61, "what waits is not yet expected"
    lines.publish(0, SESSION, [(61, header(SESSION, 61, 1) + b"\x00\x01y")], 62)
    found = receiver.data(62)
    assert [HEADER.unpack_from(packet)[1] for packet in found][-3:] == [59, 60, 61]
    until(lambda: receiver.heartbeat() == 62, "the heartbeat after all of it")
    lines.close()


def test_of_too_many_that_wait_the_oldest_are_not_sent(line: Line, receiver: Receiver) -> None:
    plan = LinePlan((line,), heartbeat_s=0.05, packets_per_s_max=200, waiting_packets_max=20)
    lines = Lines(plan)
    lines.publish(0, SESSION, packets(100), 101)
    lines.start()
    firsts = [HEADER.unpack_from(packet)[1] for packet in receiver.data(101)]
    assert firsts == [*range(1, 11), *range(81, 101)]
    lines.close()


def test_a_line_that_cannot_send_stops_nothing(line: Line, receiver: Receiver) -> None:
    nowhere = replace(line, name="B", group="239.255.26.104")
    plan = LinePlan((nowhere, line), heartbeat_s=0.05)
    lines = Lines(plan)
    lines.start()
    lines.publish(0, SESSION, packets(1), 2)
    assert receiver.data(2)
    for channel in lines._shards[0].channels[:1]:
        channel.close()
        channel._plan = replace(plan, interface="203.0.113.7")  # of no interface here
    lines.publish(0, SESSION, [(2, header(SESSION, 2, 1) + b"\x00\x01y")], 3)
    assert receiver.data(3)
    until(lambda: receiver.heartbeat() == 3, "heartbeats go on")
    lines.close()


def test_an_interface_by_name_and_a_time_to_live() -> None:
    group = Line("A", "239.255.26.105", free_udp_port())
    lines = Lines(LinePlan((group,), interface="lo", ttl=3))
    lines.publish(0, SESSION, packets(1), 2)
    sending = lines._shards[0].channels[0]._socket
    assert sending is not None
    assert sending.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 3
    lines.close()
