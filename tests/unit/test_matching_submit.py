"""Submitting: the checks and their order, priority, times in force, market orders, client order
ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.codes import (
    ACCOUNT_MAX,
    CLIENT_ORDER_IDS_MAX,
    INSTRUMENT_MAX,
    ORDERS_MAX,
    Reason,
)
from domain.commands import Command, ListInstrument, SetAccount, SetTradingState, SubmitOrder
from domain.event_records import decode_events
from domain.events import OrderAccepted, OrderExecuted, OrderRejected
from domain.exchange import Exchange
from tests.reference.records import batch_of, record_of
from tests.reference.tables import Story, play

# --- priority -----------------------------------------------------------------------------------


def test_the_best_price_trades_first_and_the_oldest_order_first_within_it() -> None:
    play("""
        a: ann sells 5 at 101        | accepted
        b: bob sells 5 at 100        | accepted
        c: cat sells 5 at 100        | accepted
        d: ann sells 5 at 102        | accepted
        asks                         | 100: b 5, c 5 / 101: a 5 / 102: d 5
        e: cat buys 12 at 101        | accepted; 5 at 100 with b; 5 at 100 with c; 2 at 101 with a
        asks                         | 101: a 3 / 102: d 5
        bids                         | -
    """)


def test_bids_mirror_asks() -> None:
    play("""
        a: ann buys 5 at 99          | accepted
        b: bob buys 5 at 100         | accepted
        c: cat buys 5 at 100         | accepted
        bids                         | 100: b 5, c 5 / 99: a 5
        d: ann sells 12 at 99        | accepted; 5 at 100 with b; 5 at 100 with c; 2 at 99 with a
        bids                         | 99: a 3
        asks                         | -
    """)


def test_trades_are_at_the_resting_order_s_price() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: bob buys 5 at 107         | accepted; 5 at 100 with a
    """)


def test_a_remainder_rests_at_its_own_limit_and_never_trades_past_it() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: ann sells 5 at 102        | accepted
        c: bob buys 8 at 101         | accepted; 5 at 100 with a
        bids                         | 101: c 3
        asks                         | 102: b 5
    """)


def test_a_partly_filled_order_keeps_its_place() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 100         | accepted
        c: cat sells 3 at 100        | accepted; 3 at 100 with a
        bids                         | 100: a 2, b 5
        d: cat sells 3 at 100        | accepted; 2 at 100 with a; 1 at 100 with b
        bids                         | 100: b 4
    """)


def test_orders_of_one_account_trade_with_each_other() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: ann buys 5 at 100         | accepted; 5 at 100 with a
    """)


def test_books_do_not_meet() -> None:
    play("""
        a: ann sells 10 at 100 in AAA | accepted
        b: bob buys 10 at 100 in BBB  | accepted
        asks of AAA                   | 100: a 10
        bids of BBB                   | 100: b 10
    """)


def test_the_price_range_s_ends_trade_like_any_price() -> None:
    play("""
        a: ann sells 5 at 4294967295 | accepted
        b: bob buys 5 at 1           | accepted
        c: cat buys 2 at 4294967295  | accepted; 2 at 4294967295 with a
        d: cat sells 2 at 1          | accepted; 2 at 1 with b
        bids                         | 1: b 3
        asks                         | 4294967295: a 3
    """)


# --- time in force ------------------------------------------------------------------------------


def test_the_rest_of_an_ioc_is_cancelled() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: bob buys 8 at 100 ioc     | accepted; 5 at 100 with a; b cancelled 3 ioc_remainder
        c: bob buys 8 at 100 ioc     | accepted; c cancelled 8 ioc_remainder
        levels                       | -
        bids                         | -
    """)


def test_an_ioc_that_is_filled_has_no_rest() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: bob buys 5 at 100 ioc     | accepted; 5 at 100 with a
        asks                         | -
    """)


def test_a_fok_trades_all_or_nothing() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: bob sells 5 at 101        | accepted
        c: cat buys 11 at 101 fok    | accepted; c cancelled 11 fok_not_fillable
        d: cat buys 10 at 100 fok    | accepted; d cancelled 10 fok_not_fillable
        levels                       | -
        asks                         | 100: a 5 / 101: b 5
        e: cat buys 10 at 101 fok    | accepted; 5 at 100 with a; 5 at 101 with b
        asks                         | -
    """)


# --- market orders ------------------------------------------------------------------------------


def test_a_market_order_takes_what_is_there_and_never_rests() -> None:
    play("""
        a: ann sells 5 at 100        | accepted
        b: ann sells 5 at 100000     | accepted
        c: bob buys 12               | accepted; 5 at 100 with a; 5 at 100000 with b;
                                     | c cancelled 2 no_liquidity
        d: bob buys 1                | accepted; d cancelled 1 no_liquidity
        bids                         | -
    """)


def test_a_market_fok_without_enough_on_the_other_side_is_not_fillable() -> None:
    play("""
        a: ann buys 5 fok            | accepted; a cancelled 5 fok_not_fillable
        b: ann sells 5 at 100        | accepted
        c: bob buys 6 fok            | accepted; c cancelled 6 fok_not_fillable
        d: bob buys 5 fok            | accepted; 5 at 100 with b
    """)


def test_the_collar_reaches_from_the_best_opposite_price_at_arrival() -> None:
    """BBB's collar is 10."""
    play("""
        a: ann sells 10 at 100 in BBB | accepted
        b: ann sells 10 at 110 in BBB | accepted
        c: ann sells 10 at 115 in BBB | accepted
        d: bob buys 30 in BBB         | accepted; 10 at 100 with a; 10 at 110 with b;
                                      | d cancelled 10 no_liquidity
        asks of BBB                   | 115: c 10
        e: bob buys 20 fok in BBB     | accepted; e cancelled 20 fok_not_fillable
        f: bob buys 10 fok in BBB     | accepted; 10 at 115 with c
    """)


def test_the_collar_of_a_sale_reaches_down_and_may_pass_zero() -> None:
    play("""
        a: ann buys 10 at 20 in BBB  | accepted
        b: ann buys 10 at 10 in BBB  | accepted
        c: ann buys 10 at 5 in BBB   | accepted
        d: bob sells 30 in BBB       | accepted; 10 at 20 with a; 10 at 10 with b;
                                     | d cancelled 10 no_liquidity
        e: bob sells 20 in BBB       | accepted; 10 at 5 with c; e cancelled 10 no_liquidity
    """)


def test_the_collar_of_a_purchase_may_pass_the_highest_price() -> None:
    play("""
        a: ann sells 10 at 4294967290 in BBB | accepted
        b: ann sells 10 at 4294967295 in BBB | accepted
        c: bob buys 20 in BBB                | accepted; 10 at 4294967290 with a;
                                             | 10 at 4294967295 with b
    """)


# --- checks -------------------------------------------------------------------------------------


def test_checks_are_made_in_their_order() -> None:
    """From a submit that is wrong in every way, one mended at a time: each reason shows in turn."""
    story = Story()
    story.send([SetAccount(1, 0, True), SetAccount(2, 1), SetTradingState(2, 1)])
    story.send([SubmitOrder(2, 1, 0, 0, 0, 50, 1)])  # bob, limited to 1, has his order
    command = SubmitOrder(9, 7, 9, 9, 9, 101, 2**32 - 1, b"white space")
    for mended, reason in (
        ({}, Reason.UNKNOWN_INSTRUMENT),
        ({"instrument": 2}, Reason.UNKNOWN_ACCOUNT),
        ({"account": 1}, Reason.INVALID_CLIENT_ORDER_ID),
        ({"client_order_id": b""}, Reason.ACCOUNT_KILLED),
        ({"account": 2}, Reason.INSTRUMENT_HALTED),
    ):
        command = replace(command, **mended)
        assert reason_of(story, command) == reason
    story.send([SetTradingState(2, 0)])
    for mended, reason in (
        ({}, Reason.INVALID_SIDE),
        ({"side": 1}, Reason.INVALID_ORDER_TYPE),
        ({"order_type": 1}, Reason.INVALID_TIME_IN_FORCE),
        ({"time_in_force": 0}, Reason.MARKET_MUST_BE_IOC_OR_FOK),
        ({"time_in_force": 2}, Reason.PRICE_NOT_ALLOWED),
        ({"order_type": 0, "time_in_force": 0, "price_ticks": 0}, Reason.PRICE_REQUIRED),
        ({"price_ticks": 101}, Reason.PRICE_NOT_ON_TICK),
        ({"price_ticks": 100, "quantity": 0}, Reason.QUANTITY_REQUIRED),
        ({"quantity": 10**9 + 5}, Reason.QUANTITY_TOO_LARGE),
        ({"quantity": 15}, Reason.QUANTITY_NOT_ON_LOT),
        ({"quantity": 20}, Reason.OPEN_ORDERS_LIMIT),
    ):
        command = replace(command, **mended)
        assert reason_of(story, command) == reason
    assert isinstance(story.send([replace(command, account=3)])[0], OrderAccepted)


def reason_of(story: Story, command: SubmitOrder) -> Reason:
    """Why a submit is refused; everything else of the refusal is as it was sent."""
    (event,) = story.send([command])
    assert isinstance(event, OrderRejected)
    assert event.order_id == 3 << 55 | story.pair.position << 16
    assert (event.account, event.instrument) == (command.account, command.instrument)
    assert (event.price_ticks, event.quantity) == (command.price_ticks, command.quantity)
    assert event.client_order_id == command.client_order_id
    return Reason(event.reason)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (1, Reason.INSTRUMENT_HALTED),
        (2, Reason.INSTRUMENT_CANCEL_ONLY),
        (3, Reason.INSTRUMENT_CLOSED),
    ],
)
def test_only_an_open_instrument_takes_orders(state: int, reason: Reason) -> None:
    story = Story()
    story.send([SetTradingState(1, state)])
    assert reason_of(story, SubmitOrder(1, 1, 0, 0, 0, 100, 1)) == reason


@pytest.mark.parametrize("quantity", [1, 10**9])
def test_a_quantity_may_be_1_to_a_thousand_million(quantity: int) -> None:
    story = Story()
    assert isinstance(story.send([SubmitOrder(1, 1, 0, 0, 0, 100, quantity)])[0], OrderAccepted)


def test_a_level_s_quantity_may_pass_32_bits() -> None:
    story = Story()
    story.send([SubmitOrder(1, 1, 0, 0, 0, 100, 10**9)] * 10)
    assert story.pair.engine.levels(1, 0) == [(100, 10**10, 10)]


def test_the_highest_instrument_and_account_numbers_trade() -> None:
    story = Story()
    story.send([ListInstrument(INSTRUMENT_MAX, b"LAST", 1, 1), SetAccount(ACCOUNT_MAX)])
    order = SubmitOrder(ACCOUNT_MAX, INSTRUMENT_MAX, 0, 0, 0, 100, 5)
    events = story.send([order, replace(order, side=1)])
    trade = next(event for event in events if isinstance(event, OrderExecuted))
    assert (trade.aggressor_account, trade.resting_account) == (ACCOUNT_MAX, ACCOUNT_MAX)
    assert trade.instrument == INSTRUMENT_MAX


def test_open_orders_are_limited_by_account_and_only_where_they_would_rest() -> None:
    play("""
        ann is limited to 2          | done
        a: ann buys 1 at 100         | accepted
        b: ann buys 1 at 100 in CCC  | accepted
        c: ann buys 1 at 100         | refused open_orders_limit
        d: ann buys 1 at 100 ioc     | accepted; d cancelled 1 ioc_remainder
        e: bob buys 1 at 99          | accepted
        ann replaces a 1 at 98       | replaced 1 at 98
        ann cancels a                | a cancelled 1 by_request
        f: ann buys 1 at 100         | accepted
        ann is limited to 0          | done
        g: ann buys 1 at 100         | accepted
    """)


def test_an_order_that_would_trade_at_once_is_counted_all_the_same() -> None:
    play("""
        a: bob sells 1 at 100        | accepted
        ann is limited to 1          | done
        b: ann buys 1 at 50          | accepted
        c: ann buys 1 at 100         | refused open_orders_limit
    """)


# --- client order ids ---------------------------------------------------------------------------


def test_the_same_client_order_id_and_body_names_the_first_order() -> None:
    play("""
        a: ann buys 5 at 100 id=x    | accepted
        b: ann buys 5 at 100 id=x    | repeats a
        levels                       | -
        bob sells 5 at 100           | accepted; 5 at 100 with a
        c: ann buys 5 at 100 id=x    | repeats a
        bids                         | -
    """)


def test_the_same_client_order_id_with_any_other_body_is_refused() -> None:
    play("""
        a: ann buys 5 at 100 id=x     | accepted
        ann buys 6 at 100 id=x        | refused duplicate_client_order_id
        ann buys 5 at 101 id=x        | refused duplicate_client_order_id
        ann sells 5 at 100 id=x       | refused duplicate_client_order_id
        ann buys 5 at 100 gtc id=x    | refused duplicate_client_order_id
        ann buys 5 id=x               | refused duplicate_client_order_id
        bids                          | 100: a 5
    """)


def test_client_order_ids_belong_to_an_account_and_an_instrument() -> None:
    play("""
        a: ann buys 5 at 100 id=x        | accepted
        b: bob buys 5 at 100 id=x        | accepted
        c: ann buys 5 at 100 id=x in CCC | accepted
        d: ann buys 5 at 100 id=X        | accepted
    """)


def test_a_refused_order_uses_its_client_order_id_up() -> None:
    play("""
        a: ann buys 5 at 101 id=x in BBB | refused price_not_on_tick
        b: ann buys 5 at 101 id=x in BBB | repeats a
        c: ann buys 5 at 100 id=x in BBB | refused duplicate_client_order_id
    """)


def test_an_order_refused_at_the_door_does_not() -> None:
    play("""
        stranger buys 5 at 100 id=x        | refused unknown_account
        ann buys 5 at 100 id=x in UNLISTED | refused unknown_instrument
        a: ann buys 5 at 100 id=x          | accepted
    """)


@pytest.mark.parametrize(
    "text", [b"!", b"~" * 36, bytes(range(0x21, 0x45)), bytes(range(0x5B, 0x7F))]
)
def test_printable_client_order_ids_are_good(text: bytes) -> None:
    story = Story()
    accepted = story.send([SubmitOrder(1, 1, 0, 0, 0, 100, 1, text)])[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.client_order_id == text


@pytest.mark.parametrize("byte", [0x00, 0x0A, 0x1F, 0x20, 0x7F, 0x80, 0xA1, 0xFF])
@pytest.mark.parametrize("length", [1, 4, 5, 8, 9, 36])
def test_other_bytes_anywhere_are_not(byte: int, length: int) -> None:
    story = Story()
    for at in {0, length // 2, length - 1}:
        text = bytearray(b"a" * length)
        text[at] = byte
        command = SubmitOrder(1, 1, 0, 0, 0, 100, 1, bytes(text))
        assert reason_of(story, command) == Reason.INVALID_CLIENT_ORDER_ID


def test_ids_that_differ_anywhere_are_different() -> None:
    story = Story()
    texts = [
        b"a" * at + b"b" + b"a" * (length - at - 1)
        for length in range(1, 37)
        for at in range(length)
    ]
    events = story.send([SubmitOrder(1, 1, 0, 0, 2, 100, 1, text) for text in texts])
    assert sum(isinstance(event, OrderAccepted) for event in events) == len(texts) == 666


# --- bounds -----------------------------------------------------------------------------------


def test_a_shard_remembers_no_more_client_order_ids_than_it_may_until_a_close() -> None:
    """The engine is told that it remembers nearly as many as it may: 16 million take a while."""
    exchange = Story().pair.engine
    batches = Batches(exchange)
    batches.apply(SubmitOrder(1, 1, 0, 0, 0, 100, 1, b"before"))
    ids = exchange.books.client_ids
    ids.live = CLIENT_ORDER_IDS_MAX - 1
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 0, 100, 1, b"last")) == Reason.NONE
    refused = batches.apply(SubmitOrder(1, 1, 0, 0, 0, 100, 1, b"more"))
    assert refused == Reason.CLIENT_ORDER_IDS_EXHAUSTED
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 0, 100, 1)) == Reason.NONE
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 0, 100, 1, b"last")) == Reason.NONE
    batches.apply(SetTradingState(1, 3))
    assert ids.live == CLIENT_ORDER_IDS_MAX - 2
    assert batches.apply(SubmitOrder(1, 3, 0, 0, 0, 100, 1, b"more")) == Reason.NONE


def test_a_shard_holds_no_more_orders_than_it_may() -> None:
    exchange = Story().pair.engine
    batches = Batches(exchange)
    batches.apply(SubmitOrder(1, 1, 1, 0, 0, 100, 1))
    exchange.books.order_count += ORDERS_MAX - 1
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 1, 99, 1)) == Reason.ORDERS_EXHAUSTED
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 2, 100, 1)) == Reason.NONE
    assert batches.apply(SubmitOrder(1, 1, 0, 0, 1, 99, 1)) == Reason.NONE


class Batches:
    """One command a batch, to an engine alone."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def apply(self, command: Command) -> Reason:
        """Why the command was refused; NONE where it was not."""
        position = self.exchange.position + 1
        batch = batch_of([record_of(command)], session=bytes(16), batch_number=position)
        event = decode_events(self.exchange.apply(position, batch))[0]
        return Reason(event.reason) if isinstance(event, OrderRejected) else Reason.NONE
