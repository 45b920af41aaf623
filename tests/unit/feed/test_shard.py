"""The receiver of one shard, with a clock of the test's own: arbitration, gaps, and how they
close."""

from __future__ import annotations

from typing import Any

import pytest

from crossbook_client.feed import Patience, ShardBooks, ShardFeed, decode
from crossbook_client.feed.terms import Action, Discover, Fetch, Rerequest, Snapshot, TakeSnapshot
from tests.feed import standards
from tests.feed.compare import assert_same_books
from tests.feed.market import Market

SESSION = b"TEST000001"
OTHER = b"TEST000002"
ALL = ("rerequest", "http", "snapshot")


class Wire:
    """A market of 60 messages in packets of five, and a receiver of it; `now` is the test's
    clock."""

    def __init__(self, **more: Any) -> None:
        self.market = Market(1)
        self.bodies = self.market.messages(60)
        self.now = 100.0
        more.setdefault("session", SESSION)
        more.setdefault("means", ALL)
        more.setdefault("beginning", True)
        self.books = ShardBooks()
        self.feed = ShardFeed(0, self.books, **more)

    def packet(self, first: int, count: int = 5, session: bytes = SESSION) -> bytes:
        """Messages `first` to `first + count - 1`."""
        return standards.packet(session, first, self.bodies[first - 1 : first - 1 + count])

    def hear(self, first: int, count: int = 5, line: str = "A") -> None:
        """Receive that packet."""
        self.feed.receive(self.packet(first, count), line, self.now)

    def beat(self, following: int, session: bytes = SESSION) -> None:
        """Receive a heartbeat."""
        self.feed.receive(standards.packet(session, following, []), "A", self.now)

    def due(self, seconds: float = 0.0) -> list[Action]:
        """What is asked for that much later, and when due in between."""
        end = self.now + seconds
        asked: list[Action] = []
        while self.feed.wake_at <= end:
            self.now = max(self.now, self.feed.wake_at)
            before = self.feed.wake_at
            asked += self.feed.due(self.now)
            assert self.feed.wake_at > before or self.now > before or asked, "it would spin"
            if asked and not isinstance(asked[-1], Rerequest):
                break
        else:
            self.now = end
        return asked

    def assert_whole(self) -> None:
        """All 60 messages are applied, and the books are the market's."""
        assert self.feed.expected == 61 and self.feed.sound
        assert_same_books(self.books.by_symbol, self.market.books)


def test_in_order_every_message_is_applied_once() -> None:
    wire = Wire()
    for first in range(1, 61, 5):
        wire.hear(first, line="A")
        wire.hear(first, line="B")
    wire.assert_whole()
    assert wire.feed.statistics.messages == {"A": 60}
    assert wire.feed.statistics.duplicates == {"B": 12}
    assert wire.due(60.0) == []


def test_what_one_line_loses_the_other_brings() -> None:
    wire = Wire()
    for first in range(1, 61, 5):
        wire.hear(first, line="A" if first % 2 else "B")
    wire.assert_whole()
    assert wire.feed.statistics.gaps == 0


def test_packets_in_any_order_and_overlapping_give_the_same() -> None:
    wire = Wire()
    wire.hear(1)
    for first in reversed(range(6, 61, 5)):
        wire.hear(first, 5)
        wire.hear(max(1, first - 2), 4)
    wire.assert_whole()
    assert wire.feed.statistics.recovered["line"] > 0


def test_a_hole_is_asked_for_after_a_moment_and_closes() -> None:
    wire = Wire()
    wire.hear(1)
    wire.hear(11, 50)
    assert wire.due(0.001) == []
    assert wire.due(0.05) == [Rerequest(SESSION, 6, 5)]
    wire.feed.receive(wire.packet(6, 5), "rerequest", wire.now)
    wire.assert_whole()
    assert wire.feed.statistics.recovered == {"rerequest": 5}


def test_the_rest_of_a_hole_is_asked_for_at_once() -> None:
    wire = Wire()
    wire.hear(1)
    wire.beat(61)
    assert wire.due(0.05) == [Rerequest(SESSION, 6, 55)]
    wire.feed.receive(wire.packet(6, 20), "rerequest", wire.now)
    assert wire.due() == [Rerequest(SESSION, 26, 35)]
    wire.feed.receive(wire.packet(26, 35), "rerequest", wire.now)
    wire.assert_whole()


def test_a_lost_tail_is_seen_by_the_heartbeat() -> None:
    wire = Wire()
    wire.hear(1, 55)
    assert wire.feed.caught_up
    wire.beat(61)
    assert not wire.feed.caught_up and wire.feed.missing == 5
    assert wire.due(0.05) == [Rerequest(SESSION, 56, 5)]


def test_several_holes_are_asked_for_together() -> None:
    wire = Wire()
    for first in (1, 11, 21, 31):
        wire.hear(first)
    assert wire.due(0.05) == [Rerequest(SESSION, first, 5) for first in (6, 16, 26)]


def test_unanswered_requests_are_repeated_then_fetched_then_a_snapshot_is_taken() -> None:
    wire = Wire()
    wire.hear(1)
    wire.hear(11, 45)
    asked = wire.due(5.0)
    assert asked[:-1] == [Rerequest(SESSION, 6, 5)] * Patience().rerequest_tries
    assert asked[-1] == Fetch(6, 50)
    for _ in range(Patience().tries - 1):
        wire.feed.took_block(None, None, wire.now)
        assert wire.due(5.0) == [Fetch(6, 50)]
    wire.feed.took_block(None, None, wire.now)
    assert wire.due(5.0) == [TakeSnapshot()]
    wire.hear(56)
    fresh = ShardBooks()
    fresh.apply(decode(body) for body in wire.bodies[:40])
    wire.feed.took_snapshot(Snapshot(SESSION, 41, fresh), wire.now)
    assert wire.feed.expected == 61 and wire.feed.sound
    assert_same_books(wire.books.by_symbol, wire.market.books, trades=False)
    assert wire.feed.statistics.recovered == {"snapshot": 35}


def test_a_fetched_block_closes_a_gap() -> None:
    wire = Wire(means=("http",))
    wire.hear(1)
    wire.beat(61)
    assert wire.due(0.1) == [Fetch(6, 55)]
    wire.feed.took_block(wire.packet(6, 55), 61, wire.now)
    wire.assert_whole()
    assert wire.feed.statistics.recovered == {"http": 55}


def test_much_that_is_missing_is_fetched_without_being_re_requested() -> None:
    wire = Wire(patience=Patience(rerequest_messages_max=10))
    wire.hear(1)
    wire.beat(61)
    assert wire.due(1.0) == [Fetch(6, 55)]


def test_joins_by_a_snapshot_and_what_came_meanwhile() -> None:
    wire = Wire(beginning=False)
    assert wire.due() == [TakeSnapshot()]
    for first in range(31, 61, 5):
        wire.hear(first)
    assert not wire.feed.joined and not wire.books.by_symbol
    fresh = ShardBooks()
    fresh.apply(decode(body) for body in wire.bodies[:42])
    wire.feed.took_snapshot(Snapshot(SESSION, 43, fresh), wire.now)
    assert wire.feed.expected == 61
    assert_same_books(wire.books.by_symbol, wire.market.books, trades=False)
    assert wire.feed.statistics.recovered == {}


def test_without_a_snapshot_it_begins_at_the_beginning() -> None:
    wire = Wire(beginning=False, known_end=61)
    for _ in range(Patience().tries):
        assert wire.due(5.0) == [TakeSnapshot()]
        wire.feed.took_snapshot(None, wire.now)
    asked = wire.due(5.0)
    assert asked[0] == Rerequest(SESSION, 1, 60)
    wire.feed.took_block(wire.packet(1, 60), 61, wire.now)
    wire.assert_whole()


def test_a_lower_sequence_is_a_late_packet_and_never_a_restart() -> None:
    wire = Wire()
    for first in range(1, 61, 5):
        wire.hear(first)
    for first in range(1, 61, 5):
        wire.hear(first, line="B")
    wire.beat(1)
    wire.beat(30)
    wire.assert_whole()
    assert wire.due(60.0) == []


def test_another_session_changes_nothing_while_the_own_one_is_heard() -> None:
    wire = Wire()
    wire.hear(1, 60)
    for _ in range(1_000):
        wire.now += 0.9
        wire.feed.receive(wire.packet(1, 60, OTHER), "A", wire.now)
        wire.beat(61, OTHER)
        wire.beat(61)
    wire.assert_whole()
    assert wire.feed.statistics.wrong_session == 2_000


def test_a_session_that_took_the_place_of_a_silent_one_is_believed_if_the_api_says_so() -> None:
    wire = Wire(can_discover=True, beginning=False, means=ALL)
    wire.due()
    fresh = ShardBooks()
    fresh.apply(decode(body) for body in wire.bodies)
    wire.feed.took_snapshot(Snapshot(SESSION, 61, fresh), wire.now)
    book = wire.books.by_symbol["AAPL"]
    for _ in range(3):
        wire.now += 1.5
        wire.beat(9, OTHER)
    assert wire.due() == [Discover()]
    wire.feed.took_session(SESSION, wire.now)
    assert wire.feed.session == SESSION and wire.feed.expected == 61
    for _ in range(3):
        wire.now += 1.5
        wire.beat(9, OTHER)
    assert wire.due() == [Discover()]
    wire.feed.took_session(OTHER, wire.now)
    assert wire.feed.session == OTHER and wire.feed.expected == 0
    assert not wire.books.by_symbol and not book.orders
    assert wire.due() == [TakeSnapshot()]


def test_without_an_api_three_packets_after_a_silence_are_enough() -> None:
    wire = Wire(means=())
    wire.hear(1)
    wire.now += 1.0
    wire.beat(1, OTHER)
    wire.beat(1, OTHER)
    wire.beat(1, OTHER)
    assert wire.feed.session == SESSION
    wire.now += 3.0
    wire.beat(1, OTHER)
    assert wire.feed.session == OTHER and wire.feed.statistics.session_changes == 1


def test_without_any_means_it_begins_with_the_first_packet_and_skips_gaps() -> None:
    wire = Wire(means=(), session=None)
    wire.hear(11)
    assert wire.feed.expected == 16 and wire.books.partial
    wire.hear(21, 40)
    assert wire.due(30.0) == []
    assert wire.feed.expected == 61 and not wire.feed.sound
    assert wire.feed.statistics.unrecovered == 5


def test_out_of_order_packets_are_bounded_and_all_is_recovered() -> None:
    wire = Wire(patience=Patience(pending_packets_max=4))
    wire.hear(1)
    for first in range(11, 61, 5):
        wire.hear(first)
    assert len(wire.feed._pending) == 4 and wire.feed.statistics.pending_dropped == 6
    while not wire.feed.caught_up:
        for asked in wire.due(0.2):
            assert isinstance(asked, Rerequest)
            answer = wire.packet(asked.sequence, min(asked.count, 5))
            wire.feed.receive(answer, "rerequest", wire.now)
    wire.assert_whole()


@pytest.mark.parametrize("nothing", [b"", standards.packet(SESSION, 61, [])])
def test_a_claim_of_messages_that_were_never_published_is_dropped(nothing: bytes) -> None:
    wire = Wire()
    wire.hear(1, 60)
    wire.beat(10**15)
    assert not wire.feed.caught_up
    began = wire.now
    while not wire.feed.caught_up:
        assert wire.now < began + 10.0
        for asked in wire.due(5.0):
            if isinstance(asked, Fetch):
                wire.feed.took_block(nothing, 61, wire.now)
            elif isinstance(asked, TakeSnapshot):
                wire.feed.took_snapshot(None, wire.now)
    assert wire.feed.statistics.claims_discarded == 1
    wire.assert_whole()


def test_the_end_of_the_session_is_told_once_all_of_it_is_there() -> None:
    wire = Wire()
    wire.hear(1, 50)
    wire.feed.receive(standards.end_of_session(SESSION, 61), "A", wire.now)
    assert not wire.feed.finished
    wire.hear(51, 10)
    assert wire.feed.finished
    wire.assert_whole()


def test_a_message_that_does_not_fit_has_a_snapshot_taken() -> None:
    wire = Wire()
    wire.hear(1, 60)
    stray = standards.packet(SESSION, 61, [standards.deleted(1, 0, 10**9)])
    wire.feed.receive(stray, "A", wire.now)
    assert not wire.feed.sound and wire.feed.statistics.contradictions == 1
    assert wire.due(1.0) == [TakeSnapshot()]
    fresh = ShardBooks()
    fresh.apply(decode(body) for body in wire.bodies)
    wire.feed.took_snapshot(Snapshot(SESSION, 62, fresh), wire.now)
    assert wire.feed.sound
    assert_same_books(wire.books.by_symbol, wire.market.books, trades=False)


@pytest.mark.parametrize("following", [1, 30])
def test_a_snapshot_from_before_the_gap_is_not_taken(following: int) -> None:
    wire = Wire(means=("snapshot",), beginning=True)
    wire.hear(1, 40)
    wire.beat(61)
    assert wire.due(1.0) == [TakeSnapshot()]
    wire.feed.took_snapshot(Snapshot(SESSION, following, ShardBooks()), wire.now)
    assert wire.feed.expected == 41 and wire.books.by_symbol
    assert wire.due(5.0) == [TakeSnapshot()]
