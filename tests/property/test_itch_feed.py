"""The feed's messages, read by a reader of its own, come to the engine's books after every batch;
and they are the same bytes wherever an encoder stopped and another went on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.codes import TradingState
from domain.event_records import decode_events
from domain.events import OrderExecuted
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot
from projections.itch.encoder import FeedEncoder
from projections.itch.snapshot import SnapshotWriter
from projections.market_data.replica import ShardReplica
from tests.property.event_flow import SHARD, Flow
from tests.property.itch_book import ItchMarket, messages_of, unpack
from tests.property.test_cuts import whole

STATES = {
    TradingState.OPEN: ("T", b"    "),
    TradingState.HALTED: ("H", b"HALT"),
    TradingState.CANCEL_ONLY: ("P", b"CXLO"),
    TradingState.CLOSED: ("H", b"CLSD"),
}
SESSION = b"AAAAAAAAAA"  # of a chain that is all zero, as in these flows


def engine_book(engine: Exchange, number: int) -> list[tuple[int, str, int, int]]:
    """As `ItchMarket.book`, of the engine."""
    return [
        (order_id, "BS"[side], price, leaves)
        for side in (0, 1)
        for order_id, _, price, leaves in engine.orders(number, side)
    ]


def agrees(market: ItchMarket, engine: Exchange) -> None:
    """Instruments, states and every resting order in its place."""
    numbers = engine.instruments()
    assert sorted(market.symbols) == numbers
    for number in numbers:
        assert market.book(number) == engine_book(engine, number)
        assert market.states[number] == STATES[TradingState(engine.trading_state(number))]


def taken(encoder: FeedEncoder) -> list[tuple[int, bytes]]:
    """The packets that an encoder made since it was last asked."""
    packets, encoder.packets = encoder.packets, []
    return packets


def feed(market: ItchMarket, packets: Sequence[tuple[int, bytes]], expected: int) -> int:
    """Apply packets, which must begin at `expected`; the next sequence."""
    for first, packet in packets:
        session, sequence, messages = unpack(packet)
        assert (session, sequence, first) == (SESSION, expected, expected)
        assert len(packet) <= 1400
        for message in messages:
            market.apply(message)
        expected += len(messages)
    return expected


@pytest.mark.parametrize("seed", range(3))
def test_messages_come_to_the_engines_books_after_every_batch(seed: int) -> None:
    flow = Flow(seed)
    encoder, market, expected = FeedEncoder(), ItchMarket(), 1
    matches: list[tuple[int, int, int]] = []
    for number in range(400):
        answer = flow.add() if number else flow.answers[0]
        encoder.apply(answer)
        expected = feed(market, taken(encoder), expected)
        assert encoder.next_sequence == expected
        agrees(market, flow.engine)
        events = decode_events(answer)
        executed = [event for event in events if isinstance(event, OrderExecuted)]
        matches += [(each.match_number, each.quantity, each.price_ticks) for each in executed]
    assert market.matches == matches
    assert len(matches) > 300
    assert set(market.counts) == set("SRHAEXD")
    assert set(market.system) >= set("OQ")
    assert market.symbols == {1: b"AAPL    ", 2: b"BRK/A   ", 20: b"ZVZZT^^^"} | {
        number: symbol for number, symbol in market.symbols.items() if number not in (1, 2, 20)
    }


def test_packets_are_as_full_as_they_can_be_and_never_of_two_batches() -> None:
    encoder = FeedEncoder()
    for answer in whole().answers:
        encoder.apply(answer)
        packets = taken(encoder)
        sizes = [len(packet) for _, packet in packets]
        for (_, _), (_, following), size in zip(packets, packets[1:], sizes, strict=False):
            (first,) = unpack(following)[2][:1]
            assert size + 2 + len(first) > 1400


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(whole().answers)), max_size=12))
def test_an_encoder_that_goes_on_anywhere_gives_the_same_packets(cuts: list[int]) -> None:
    """The stream holds repeats, unsound batches, late listings and days that pass."""
    expected = once()
    encoder = FeedEncoder()
    packets: list[tuple[int, bytes]] = []
    known: set[int] = set()
    for number, answer in enumerate(whole().answers):
        if number in cuts:
            encoder = gone_on(encoder, known)
        encoder.apply(answer)
        packets += taken(encoder)
        known |= set(encoder.changed)
        encoder.changed.clear()
    assert packets == expected


def gone_on(encoder: FeedEncoder, known: set[int]) -> FeedEncoder:
    """Another encoder, made of what is kept of this one."""
    other = FeedEncoder(
        encoder.session, encoder.position, encoder.next_sequence, encoder.trading_time_ns
    )
    for number in known:
        other.add_instrument(number, *encoder.instrument(number))
    return other


def once() -> list[tuple[int, bytes]]:
    """All packets of the stream, made in one go."""
    encoder = FeedEncoder()
    for answer in whole().answers:
        encoder.apply(answer)
    return taken(encoder)


def test_a_batch_that_is_not_the_next_is_refused() -> None:
    encoder = FeedEncoder()
    encoder.apply(whole().answers[0])
    for other in (0, 2):
        with pytest.raises(ValueError, match="does not follow 1"):
            encoder.apply(whole().answers[other])


def test_a_snapshot_and_the_messages_after_it_come_to_the_same_books() -> None:
    flow = Flow(7)
    chance = random.Random(7)
    encoder, late = FeedEncoder(), []
    encoder.apply(flow.answers[0])
    for _ in range(200):
        if chance.randrange(20) == 0:
            late.append(begin_with_a_snapshot(flow.engine))
        encoder.apply(flow.add())
        for market in late:
            for _, packet in encoder.packets:
                for message in unpack(packet)[2]:
                    market.apply(message)
        taken(encoder)
    assert len(late) > 3
    for market in late:
        agrees(market, flow.engine)


def begin_with_a_snapshot(engine: Exchange) -> ItchMarket:
    """A market of a snapshot's messages, made in slices of a few orders."""
    writer = SnapshotWriter(ShardReplica(restore(snapshot(engine))))
    soup = writer.begin()
    while part := writer.orders(3):
        soup += part
    market = ItchMarket()
    for message in messages_of(soup):
        assert message[:1] == b"S"
        market.apply(message[1:])
    assert market.system[0] == "O"
    assert ("Q" in market.system) == any(state[1] != b"CLSD" for state in market.states.values())
    agrees(market, engine)
    return market


def test_the_shard_of_the_flow_is_in_every_reference() -> None:
    flow = Flow(1)
    encoder, market = FeedEncoder(), ItchMarket()
    for answer in [*flow.answers, *(flow.add() for _ in range(20))]:
        encoder.apply(answer)
    feed(market, taken(encoder), 1)
    assert {reference >> 55 for reference in market.orders} == {SHARD}
