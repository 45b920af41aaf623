"""Batches: what is a repeat, what is undecodable, and the order and numbers of a batch's events."""

from __future__ import annotations

import pytest

from domain import codes
from domain.commands import CancelOrder, ClockTick, Command, SetAccount, SubmitOrder
from domain.event_records import decode_events
from domain.events import LevelChanged, OrderAccepted, OrderExecuted, OrderRejected
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from domain.wire import decode_event_header
from tests.property.pair import Pair
from tests.reference.records import batch_of, record_of
from tests.reference.tables import OPENING, Story, play

HOUR_NS = 3600 * 10**9
ONE = b"session-number-1"
TWO = b"session-number-2"
CLOCK = bytes(15) + b"\x02"


def status_of(pair: Pair, session: bytes, number: int, *commands: Command) -> int:
    """What became of a batch."""
    pair.send(session, number, list(commands))
    return pair.reference.status


# --- sessions -----------------------------------------------------------------------------------


def test_a_batch_that_comes_again_changes_nothing() -> None:
    pair = Pair()
    pair.send(ONE, 1, OPENING)
    buy = SubmitOrder(1, 1, 0, 0, 0, 100, 5)
    assert status_of(pair, ONE, 2, buy) == codes.APPLIED
    assert status_of(pair, ONE, 2, buy) == codes.REPEAT
    assert status_of(pair, ONE, 1, buy) == codes.REPEAT
    assert pair.engine.levels(1, 0) == [(100, 5, 1)]
    assert status_of(pair, ONE, 3, buy) == codes.APPLIED
    assert pair.engine.levels(1, 0) == [(100, 10, 2)]


def test_numbers_may_leave_gaps_but_a_session_begins_with_1() -> None:
    pair = Pair()
    assert status_of(pair, ONE, 2) == codes.REPEAT
    assert status_of(pair, ONE, 1) == codes.APPLIED
    assert status_of(pair, ONE, 7) == codes.APPLIED
    assert status_of(pair, ONE, 6) == codes.REPEAT
    assert status_of(pair, ONE, 2**63 - 1) == codes.APPLIED


def test_a_permanent_session_may_begin_anywhere() -> None:
    pair = Pair()
    assert status_of(pair, CLOCK, 40) == codes.APPLIED
    assert status_of(pair, CLOCK, 40) == codes.REPEAT
    assert status_of(pair, CLOCK, 39) == codes.REPEAT
    assert status_of(pair, bytes(16), 1) == codes.APPLIED
    assert status_of(pair, CLOCK, 41) == codes.APPLIED


@pytest.mark.parametrize("number", [0, -1, -(2**63)])
def test_a_number_not_above_0_is_unsound(number: int) -> None:
    pair = Pair()
    for session in (ONE, CLOCK):
        assert status_of(pair, session, number, ClockTick(5)) == codes.UNDECODABLE
    assert pair.engine.trading_time_ns == 0


def test_a_session_is_forgotten_24_hours_after_it_was_heard_of() -> None:
    pair = Pair()
    status_of(pair, CLOCK, 1, ClockTick(HOUR_NS))
    assert status_of(pair, ONE, 1) == codes.APPLIED
    status_of(pair, CLOCK, 2, ClockTick(2 * HOUR_NS))
    status_of(pair, CLOCK, 3, ClockTick(26 * HOUR_NS - 1))
    assert status_of(pair, ONE, 1) == codes.REPEAT
    status_of(pair, CLOCK, 4, ClockTick(26 * HOUR_NS))
    assert status_of(pair, ONE, 2) == codes.REPEAT
    assert status_of(pair, ONE, 1) == codes.APPLIED


def test_a_repeat_does_not_keep_a_session_alive() -> None:
    pair = Pair()
    status_of(pair, ONE, 1)
    status_of(pair, CLOCK, 1, ClockTick(HOUR_NS))
    assert status_of(pair, ONE, 1) == codes.REPEAT
    status_of(pair, CLOCK, 2, ClockTick(25 * HOUR_NS))
    assert status_of(pair, ONE, 2) == codes.REPEAT


def test_a_jump_of_the_clock_forgets_nobody_who_was_just_there() -> None:
    pair = Pair()
    status_of(pair, ONE, 1, ClockTick(HOUR_NS))
    status_of(pair, TWO, 1)
    status_of(pair, CLOCK, 1, ClockTick(500 * HOUR_NS))
    assert status_of(pair, ONE, 2) == codes.REPEAT
    assert status_of(pair, TWO, 2) == codes.APPLIED


def test_permanent_sessions_are_never_forgotten() -> None:
    pair = Pair()
    status_of(pair, CLOCK, 5, ClockTick(HOUR_NS))
    status_of(pair, ONE, 1, ClockTick(1000 * HOUR_NS))
    assert status_of(pair, CLOCK, 5) == codes.REPEAT


def test_of_4096_sessions_the_one_heard_of_longest_ago_makes_room() -> None:
    exchange = Exchange(0)
    sessions = [b"session" + b"%09d" % number for number in range(codes.SESSIONS_MAX + 1)]
    order = [(session, 1) for session in sessions[:-1]]
    order += [(sessions[0], 2), (bytes(16), 1), (sessions[-1], 1)]
    for session, number in order:
        batch = batch_of([], session=session, batch_number=number)
        header = decode_event_header(exchange.apply(exchange.position + 1, batch))
        assert header.status == codes.APPLIED
    exchange = restore(snapshot(exchange))
    for session, number, status in (
        (sessions[1], 2, codes.REPEAT),
        (sessions[2], 2, codes.APPLIED),
        (sessions[0], 3, codes.APPLIED),
        (sessions[-1], 2, codes.APPLIED),
    ):
        batch = batch_of([], session=session, batch_number=number)
        header = decode_event_header(exchange.apply(exchange.position + 1, batch))
        assert header.status == status


# --- unsound bytes ------------------------------------------------------------------------------


def test_unsound_bytes_take_their_position_and_change_nothing_else() -> None:
    pair = Pair()
    pair.send(ONE, 1, OPENING)
    good = batch_of([record_of(SetAccount(5))], session=ONE, batch_number=2)
    for unsound in (b"", b"junk", good[:-1], good + b"\x00" * 8, good[:9] + b"\x07" + good[10:]):
        pair.send_unsound(unsound)
    assert pair.position == 6
    pair.send(ONE, 2, [SetAccount(5)])
    assert pair.reference.status == codes.APPLIED


def test_one_unsound_record_makes_its_whole_batch_undecodable() -> None:
    pair = Pair()
    records = [record_of(SetAccount(1)), b"\x63\x02" + bytes(14)]
    pair.send_unsound(batch_of(records, session=ONE, batch_number=1))
    assert status_of(pair, ONE, 1, SetAccount(1)) == codes.APPLIED


def test_a_client_order_id_padded_with_anything_but_nul_is_invalid() -> None:
    exchange = Exchange(3)
    exchange.apply(1, batch_of([record_of(c) for c in OPENING], session=ONE, batch_number=1))
    for position, size in enumerate((1, 3, 5, 7, 9, 35), 2):
        record = record_of(SubmitOrder(1, 1, 0, 0, 0, 100, 5, b"x" * size))
        batch = batch_of([record[:-1] + b"x"], session=ONE, batch_number=position)
        (refused,) = decode_events(exchange.apply(position, batch))
        assert isinstance(refused, OrderRejected)
        assert refused.reason == codes.INVALID_CLIENT_ORDER_ID


def test_an_empty_batch_is_applied() -> None:
    pair = Pair()
    assert status_of(pair, ONE, 1) == codes.APPLIED


def test_the_highest_command_index_gives_its_order_id() -> None:
    exchange = Exchange(codes.SHARD_MAX)
    records = [record_of(command) for command in OPENING]
    records += [record_of(CancelOrder(1, 1, 1))] * (65_534 - len(records))
    records.append(record_of(SubmitOrder(1, 1, 0, 0, 0, 100, 5)))
    image = exchange.apply(1, batch_of(records, session=ONE, batch_number=1))
    accepted = decode_events(image)[-2]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.command_index == 65_534
    assert accepted.order_id == 254 << 55 | 1 << 16 | 65_534 < 2**63
    assert exchange.orders(1, 0) == [(accepted.order_id, 1, 100, 5)]


@pytest.mark.parametrize("shard", [-1, 255, 2**40])
def test_a_shard_is_0_to_254(shard: int) -> None:
    with pytest.raises(ValueError, match="shard"):
        Exchange(shard)


# --- events -------------------------------------------------------------------------------------


def test_levels_come_after_a_command_s_other_events_in_the_order_of_their_first_touch() -> None:
    play("""
        a: ann sells 5 at 101        | accepted
        levels                       | ask 101: 5 in 1
        b: bob sells 5 at 100        | accepted
        c: cat sells 5 at 100        | accepted
        levels                       | ask 100: 10 in 2
        d: ann buys 20 at 102        | accepted; 5 at 100 with b; 5 at 100 with c; 5 at 101 with a
        levels                       | ask 100: 0 in 0; ask 101: 0 in 0; bid 102: 5 in 1
    """)


def test_refusals_and_repeats_touch_no_level() -> None:
    play("""
        a: ann buys 5 at 100 id=x    | accepted
        ann buys 5 at 100 id=x       | repeats a
        levels                       | -
        ann buys 5 at 100 id=x in ALL | refused unknown_instrument
        levels                       | -
    """)


def test_every_command_of_a_batch_tells_its_levels_before_the_next_one() -> None:
    story = Story()
    sale, purchase = SubmitOrder(1, 1, 1, 0, 0, 100, 5), SubmitOrder(2, 1, 0, 0, 0, 100, 5)
    events = story.send([sale, purchase])
    assert [type(event) for event in events] == [
        OrderAccepted,
        LevelChanged,
        OrderAccepted,
        OrderExecuted,
        LevelChanged,
    ]
    assert [event.command_index for event in events] == [0, 0, 1, 1, 1]


def test_each_book_counts_for_itself_and_the_shard_counts_its_trades() -> None:
    story = Story()
    orders = [SubmitOrder(1, n, side, 0, 0, 100, 10) for n in (1, 3) for side in (1, 0)]
    events = story.send(orders)
    trades = [event for event in events if isinstance(event, OrderExecuted)]
    assert [trade.match_number for trade in trades] == [1, 2]
    for instrument in (1, 3):
        told = [event.book_sequence for event in events if event.instrument == instrument]
        assert told == [2, 3, 4, 5, 6]  # the listing was 1


# --- state --------------------------------------------------------------------------------------


def test_equal_histories_have_equal_states_and_others_do_not() -> None:
    def after(*commands: Command) -> bytes:
        pair = Pair()
        pair.send(ONE, 1, OPENING)
        pair.send(ONE, 2, list(commands))
        return state_hash(pair.engine)

    buy = SubmitOrder(1, 1, 0, 0, 0, 100, 5, b"x")
    hashes = [
        after(),
        after(buy),
        after(SubmitOrder(1, 1, 0, 0, 0, 100, 5, b"y")),
        after(SubmitOrder(1, 1, 0, 0, 1, 100, 5, b"x")),
        after(SubmitOrder(1, 1, 0, 0, 0, 100, 4, b"x")),
        after(SubmitOrder(2, 1, 0, 0, 0, 100, 5, b"x")),
        after(ClockTick(1)),
        after(SetAccount(1, 1)),
        after(SetAccount(1, 0, True)),
    ]
    assert after(buy) == hashes[1]
    assert len(set(hashes)) == len(hashes)
