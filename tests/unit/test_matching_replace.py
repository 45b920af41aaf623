"""Replacing an order: what keeps its place, what trades, what is refused and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.codes import CommandType, Reason
from domain.commands import ReplaceOrder, SetTradingState, SubmitOrder
from domain.events import OrderCancelled, OrderRejected, OrderReplaced
from tests.reference.tables import Story, play

ORDER = 3 << 55 | 2 << 16  # the first order of a story


def test_less_quantity_at_the_same_price_keeps_its_place() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 100         | accepted
        ann replaces a 3             | replaced 3 at 100 in place
        levels                       | bid 100: 8 in 2
        ann replaces a 2 at 100      | replaced 2 at 100 in place
        bids                         | 100: a 2, b 5
    """)


def test_more_quantity_loses_it() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 100         | accepted
        ann replaces a 6             | replaced 6 at 100
        levels                       | bid 100: 11 in 2
        bids                         | 100: b 5, a 6
    """)


def test_another_price_loses_it_and_touches_the_old_level_first() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 99          | accepted
        ann replaces a at 99         | replaced 5 at 99
        levels                       | bid 100: 0 in 0; bid 99: 10 in 2
        bids                         | 99: b 5, a 5
    """)


def test_nothing_new_keeps_the_place_and_is_told_all_the_same() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 100         | accepted
        ann replaces a 5 at 100      | replaced 5 at 100 in place
        levels                       | bid 100: 10 in 2
        bids                         | 100: a 5, b 5
    """)


def test_requeue_gives_the_place_up() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        b: bob buys 5 at 100         | accepted
        ann replaces a 5 requeue     | replaced 5 at 100
        bids                         | 100: b 5, a 5
        bob replaces b 2 requeue     | replaced 2 at 100
        bids                         | 100: a 5, b 2
    """)


def test_a_replace_that_crosses_trades() -> None:
    play("""
        a: ann sells 5 at 101        | accepted
        b: bob sells 5 at 102        | accepted
        c: cat buys 12 at 100        | accepted
        cat replaces c at 102        | replaced 12 at 102; 5 at 101 with a; 5 at 102 with b
        levels                       | bid 100: 0 in 0; ask 101: 0 in 0; ask 102: 0 in 0;
                                     | bid 102: 2 in 1
        bids                         | 102: c 2
        asks                         | -
    """)


def test_a_replace_that_trades_in_full_leaves_nothing() -> None:
    play("""
        a: ann sells 5 at 101        | accepted
        c: cat buys 3 at 100         | accepted
        cat replaces c 5 at 101      | replaced 5 at 101; 5 at 101 with a
        levels                       | bid 100: 0 in 0; ask 101: 0 in 0
        cat replaces c 5             | refused unknown_order
    """)


def test_an_order_may_meet_its_own_account_s_when_replaced() -> None:
    play("""
        a: ann sells 5 at 101        | accepted
        b: ann buys 3 at 100         | accepted
        ann replaces b at 101        | replaced 3 at 101; 3 at 101 with a
    """)


def test_a_replaced_order_keeps_its_id_its_client_order_id_and_its_time_in_force() -> None:
    play("""
        a: ann buys 5 at 100 gtc id=x | accepted
        b: ann buys 5 at 100 day      | accepted
        ann replaces id=x 6 at 99     | replaced 6 at 99
        ann replaces b 6 at 98        | replaced 6 at 98
        ann replaces id=x 5           | replaced 5 at 99 in place
        market is closed              | open to closed; b expired 6 at_close
        bids                          | 99: a 5
    """)


# --- total --------------------------------------------------------------------------------------


def test_a_total_counts_what_was_executed() -> None:
    play("""
        a: ann buys 10 at 100        | accepted
        bob sells 4 at 100           | accepted; 4 at 100 with a
        ann replaces a 8 total       | replaced 4 at 100 in place
        ann replaces a 8             | replaced 8 at 100
        bids                         | 100: a 8
    """)


def test_a_total_counts_executions_as_aggressor_and_across_replaces() -> None:
    play("""
        a: bob sells 2 at 100              | accepted
        b: ann buys 5 at 100               | accepted; 2 at 100 with a
        bob sells 1 at 100                 | accepted; 1 at 100 with b
        ann replaces b 9 at 99             | replaced 9 at 99
        c: bob sells 3 at 98               | accepted; 3 at 99 with b
        ann replaces b 10 total            | replaced 4 at 99 in place
        ann replaces b 11 total requeue    | replaced 5 at 99
    """)


@pytest.mark.parametrize("total", [4, 3, 1])
def test_a_total_already_executed_ends_the_order(total: int) -> None:
    story = play("""
        a: ann buys 10 at 100        | accepted
        bob sells 4 at 100           | accepted; 4 at 100 with a
    """)
    told = story.tell(f"ann replaces a {total} total at 99 requeue")
    assert told == "a cancelled 6 replaced_to_nothing"
    cancelled = story.events[0]
    assert isinstance(cancelled, OrderCancelled)
    assert (cancelled.price_ticks, story.tell("levels")) == (100, "bid 100: 0 in 0")


def test_without_a_quantity_total_says_nothing() -> None:
    play("""
        a: ann buys 10 at 100        | accepted
        bob sells 4 at 100           | accepted; 4 at 100 with a
        ann replaces a at 99 total   | replaced 6 at 99
    """)


# --- events and refusals ------------------------------------------------------------------------


def test_the_event_tells_before_and_after() -> None:
    story = play("""
        a: ann buys 10 at 100        | accepted
        bob sells 4 at 100           | accepted; 4 at 100 with a
    """)
    replaced = story.send([ReplaceOrder(1, 0, ORDER, 99, 7)])[0]
    sequence = story.pair.reference.book_sequence(1) - 2  # two levels were told after it
    assert replaced == OrderReplaced(0, 1, 1, ORDER, 0, False, 99, 7, 100, 6, 4, sequence)


def test_checks_are_made_in_their_order_and_change_nothing() -> None:
    story = Story()
    story.send([SubmitOrder(2, 2, 0, 0, 1, 100, 30, b"mine")])
    story.send([SetTradingState(2, 1)])
    command = ReplaceOrder(9, 7, 0, 0, 0, 255, b"yours")
    for mended, reason in (
        ({}, Reason.UNKNOWN_ACCOUNT),
        ({"account": 1}, Reason.UNKNOWN_INSTRUMENT),
        ({"instrument": 2}, Reason.UNKNOWN_ORDER),
        ({"client_order_id": b"mine"}, Reason.UNKNOWN_ORDER),
        ({"account": 2}, Reason.INVALID_FLAGS),
        ({"flags": 7}, Reason.INVALID_FLAGS),
        ({"flags": 2}, Reason.NOTHING_TO_REPLACE),
        ({"price_ticks": 101, "quantity": 2**32 - 1}, Reason.INSTRUMENT_HALTED),
    ):
        command = replace(command, **mended)
        assert reason_of(story, command) == reason
    command = replace(command, order_id=ORDER)  # the close forgets client order ids
    story.send([SetTradingState(2, 3)])
    assert reason_of(story, command) == Reason.INSTRUMENT_CLOSED
    story.send([SetTradingState(2, 2)])
    for mended, reason in (
        ({}, Reason.PRICE_NOT_ON_TICK),
        ({"price_ticks": 105}, Reason.QUANTITY_TOO_LARGE),
        ({"quantity": 10**9 + 5}, Reason.QUANTITY_TOO_LARGE),
        ({"quantity": 15}, Reason.QUANTITY_NOT_ON_LOT),
        ({"quantity": 20}, Reason.INSTRUMENT_CANCEL_ONLY),
    ):
        command = replace(command, **mended)
        assert reason_of(story, command) == reason
    assert story.pair.engine.orders(2, 0) == [(ORDER, 2, 100, 30)]


def reason_of(story: Story, command: ReplaceOrder) -> Reason:
    """Why a replace is refused; the refusal says what was sent."""
    (event,) = story.send([command])
    assert isinstance(event, OrderRejected)
    assert event == OrderRejected(
        0,
        CommandType.REPLACE_ORDER,
        event.reason,
        command.account,
        command.instrument,
        command.order_id,
        0,
        0,
        0,
        command.price_ticks,
        command.quantity,
        command.client_order_id,
    )
    return Reason(event.reason)


def test_executed_and_open_together_stay_within_the_highest_quantity() -> None:
    play("""
        a: ann buys 5 at 100                | accepted
        bob sells 3 at 100                  | accepted; 3 at 100 with a
        ann replaces a 1000000000           | refused quantity_too_large
        ann replaces a 1000000000 total     | replaced 999999997 at 100
        ann replaces a 999999998            | refused quantity_too_large
    """)


def test_in_cancel_only_a_replace_keeps_its_place_or_ends_the_order() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        bob sells 1 at 100           | accepted; 1 at 100 with a
        market is cancel-only        | open to cancel_only
        ann replaces a 5             | refused instrument_cancel_only
        ann replaces a at 99         | refused instrument_cancel_only
        ann replaces a 4 requeue     | refused instrument_cancel_only
        ann replaces a 3             | replaced 3 at 100 in place
        ann replaces a 1 total       | a cancelled 3 replaced_to_nothing
    """)
