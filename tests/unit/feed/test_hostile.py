"""What a network may bring that is no packet of ours: nothing crashes, nothing changes.

`CROSSBOOK_FUZZ_PACKETS` is how many are tried, `CROSSBOOK_FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crossbook_client.feed import ShardBooks, ShardFeed
from crossbook_client.feed.soup import SnapshotError, take_snapshot
from tests.feed import standards
from tests.feed.compare import rows_of
from tests.feed.hostile import HostilePackets
from tests.feed.market import Market

PACKETS = int(os.environ.get("CROSSBOOK_FUZZ_PACKETS") or 50_000)
SEED = int(os.environ.get("CROSSBOOK_FUZZ_SEED") or random.SystemRandom().randrange(1, 10**6))
SESSION = b"TEST000001"
PUBLISHED = 2_000
LOOK_AT_BOOKS_EACH = 5_000
SOURCES = ("A", "B", "rerequest")


def _state(feed: ShardFeed) -> list[Any]:
    """All that a packet could have changed, save counts of what was thrown away."""
    books = {symbol: (rows_of(book), book.bids) for symbol, book in feed.books.by_symbol.items()}
    return [_position(feed), books, sorted(feed.books.orders), feed.statistics.recovered.copy()]


def _position(feed: ShardFeed) -> tuple[Any, ...]:
    waiting = len(feed._pending), feed._pending.first
    applied = feed.statistics.messages.total()
    return (
        feed.session,
        feed.expected,
        feed.known_end,
        feed.ended_at,
        feed.wake_at,
        waiting,
        applied,
    )


@pytest.mark.parametrize("with_gap", [False, True])
@pytest.mark.timeout(1_800)
def test_nothing_hostile_crashes_a_listener_or_changes_its_state(with_gap: bool) -> None:
    print(f"CROSSBOOK_FUZZ_SEED={SEED}")
    market = Market(SEED)
    bodies = market.messages(PUBLISHED)
    feed = ShardFeed(0, ShardBooks(), session=SESSION, means=("rerequest", "http"))
    for packet in standards.packets(SESSION, 1, bodies):
        feed.receive(packet, "A", 100.0)
    following = len(bodies) + 1
    if with_gap:
        beyond = standards.packet(SESSION, following + 500, bodies[-3:])
        feed.receive(beyond, "A", 100.0)
    hostile = HostilePackets(SEED, SESSION, bodies, following)
    before, position = _state(feed), _position(feed)
    for number in range(PACKETS // 2):
        packet = hostile.make()
        feed.receive(packet, SOURCES[number % 3], 100.0)
        assert _position(feed) == position, (number, packet)
        if number % LOOK_AT_BOOKS_EACH == 0:
            assert _state(feed) == before, (number, packet)
    assert _state(feed) == before
    counts = feed.statistics
    thrown_away = counts.undecodable + counts.wrong_session + counts.duplicates.total()
    assert thrown_away + counts.heartbeats.total() >= PACKETS // 2
    assert counts.undecodable and counts.wrong_session and counts.duplicates


def test_the_packets_that_hostile_ones_are_made_from_would_be_taken() -> None:
    """Else the test above would show nothing."""
    market = Market(1)
    bodies = market.messages(PUBLISHED)
    feed = ShardFeed(0, ShardBooks(), session=SESSION, means=("rerequest", "http"))
    for packet in standards.packets(SESSION, 1, bodies):
        feed.receive(packet, "A", 100.0)
    hostile = HostilePackets(1, SESSION, bodies, feed.expected)
    for _ in range(50):
        position = _position(feed)
        feed.receive(hostile.sound(), "A", 100.0)
        if _position(feed) != position:
            return
    pytest.fail("no sound packet was taken")


def test_a_hostile_block_over_http_changes_nothing() -> None:
    market = Market(SEED)
    bodies = market.messages(PUBLISHED)
    feed = ShardFeed(0, ShardBooks(), session=SESSION, means=("http",))
    for packet in standards.packets(SESSION, 1, bodies):
        feed.receive(packet, "A", 100.0)
    hostile = HostilePackets(SEED, SESSION, bodies, feed.expected)
    position, before = _position(feed)[:4], _state(feed)[1:]
    for _ in range(2_000):
        feed.took_block(hostile.make(), feed.expected, 100.0)
        assert _position(feed)[:4] == position
    assert _state(feed)[1:] == before


@contextmanager
def _serving(*answers: bytes) -> Iterator[tuple[str, int]]:
    """A snapshot service that answers each login with the next of these bytes, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(64)
                    connection.sendall(answer)

        work = threading.Thread(target=serve, daemon=True)
        work.start()
        yield server.getsockname()
        work.join(10.0)


def test_a_hostile_snapshot_is_refused_whole() -> None:
    dice = random.Random(SEED)
    market = Market(1)
    market.messages(300)
    accepted = standards.soup("A", SESSION + b"1".rjust(20))
    orders = [standards.soup("S", body) for body in market.snapshot()]
    end = standards.soup("S", b"G" + b"301".rjust(20))
    sound = accepted + b"".join(orders) + end
    answers = [
        b"",
        standards.soup("J", b"A"),
        standards.soup("A", b"short"),
        accepted,
        accepted + standards.soup("Z"),
        accepted + b"\0\0",
        accepted + b"".join(orders) + standards.soup("S", b"G" + b"x".rjust(20)),
        accepted + b"".join(orders) + standards.soup("S", b"G" + b"0".rjust(20)),
        accepted + standards.soup("S", b"Z" * 36) + end,
        accepted + b"".join(orders) + orders[-1] + end,
        sound[: len(sound) // 2],
        *(accepted + dice.randbytes(dice.randrange(1, 3_000)) for _ in range(50)),
        *(dice.randbytes(dice.randrange(1, 300)) for _ in range(50)),
    ]
    with _serving(*answers, sound) as address:
        for _ in answers:
            with pytest.raises(SnapshotError):
                take_snapshot(address)
        assert take_snapshot(address).next_sequence == 301
