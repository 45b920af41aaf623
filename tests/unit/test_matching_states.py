"""Trading states, the close, listings, accounts and the clock."""

from __future__ import annotations

import pytest

from domain.codes import CommandType, Reason
from domain.commands import ClockTick, Command, ListInstrument, SetAccount, SetTradingState
from domain.events import AccountUpdated, ClockTicked, InstrumentListed, OrderRejected
from tests.reference.tables import Story, play


def refusal_of(story: Story, command: Command, kind: CommandType, *, of: tuple[int, int]) -> Reason:
    """Why a command that names no order is refused; `of` is the account and instrument told."""
    (event,) = story.send([command])
    assert isinstance(event, OrderRejected)
    assert event == OrderRejected(0, kind, event.reason, *of, 0, 0, 0, 0, 0, 0, b"")
    return Reason(event.reason)


# --- trading states -----------------------------------------------------------------------------


def test_each_state_tells_which_it_follows() -> None:
    play("""
        market is halted             | open to halted
        market is cancel-only        | halted to cancel_only
        market is cancel-only        | cancel_only to cancel_only
        market is closed             | cancel_only to closed
        market is open               | closed to open
    """)


def test_states_belong_to_one_instrument() -> None:
    play("""
        market in AAA is halted      | open to halted
        ann buys 1 at 100            | refused instrument_halted
        a: ann buys 1 at 100 in CCC  | accepted
    """)


def test_the_book_waits_through_a_halt() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        market is halted             | open to halted
        bob sells 5 at 100           | refused instrument_halted
        ann replaces a 3             | refused instrument_halted
        bids                         | 100: a 5
        market is open               | halted to open
        bob sells 5 at 100           | accepted; 5 at 100 with a
    """)


def test_a_close_ends_day_orders_in_priority_order_and_keeps_gtc() -> None:
    play("""
        a: ann sells 1 at 102        | accepted
        b: ann buys 2 at 99          | accepted
        c: bob buys 3 at 100 gtc     | accepted
        d: bob buys 4 at 100         | accepted
        e: cat sells 5 at 101        | accepted
        f: ann buys 6 at 100 in CCC  | accepted
        market is closed             | open to closed; d expired 4 at_close; b expired 2 at_close;
                                     | e expired 5 at_close; a expired 1 at_close
        levels                       | bid 100: 3 in 1; bid 99: 0 in 0; ask 101: 0 in 0;
                                     | ask 102: 0 in 0
        bids                         | 100: c 3
        bids of CCC                  | 100: f 6
        ann buys 1 at 100            | refused instrument_closed
        bob replaces c 1             | refused instrument_closed
        bob cancels c                | c cancelled 3 by_request
    """)


def test_client_order_ids_are_forgotten_when_their_instrument_closes() -> None:
    play("""
        a: ann buys 5 at 100 gtc id=x | accepted
        b: ann buys 5 at 100 id=x in CCC | accepted
        market is closed              | open to closed
        ann cancels id=x              | refused unknown_order
        market is open                | closed to open
        c: ann buys 7 at 100 id=x     | accepted
        d: ann buys 5 at 100 id=x in CCC | repeats b
        ann cancels id=x              | c cancelled 7 by_request
        ann cancels a                 | a cancelled 5 by_request
    """)


def test_closing_what_is_closed_forgets_nothing() -> None:
    play("""
        market is closed              | open to closed
        a: ann buys 5 at 100 id=x     | refused instrument_closed
        market is closed              | closed to closed
        b: ann buys 5 at 100 id=x     | repeats a
        market is open                | closed to open
        c: ann buys 5 at 100 id=x     | repeats a
    """)


@pytest.mark.parametrize("state", ["halted", "cancel-only"])
def test_no_other_state_ends_orders_or_forgets_ids(state: str) -> None:
    story = play("""
        a: ann buys 5 at 100 id=x     | accepted
    """)
    story.tell(f"market is {state}")
    assert story.tell("levels") == "-"
    story.tell("market is open")
    assert story.tell("ann buys 5 at 100 id=x") == "repeats a"


def test_an_unknown_instrument_or_state_is_refused() -> None:
    story = Story()
    kind = CommandType.SET_TRADING_STATE
    unknown = refusal_of(story, SetTradingState(7, 4), kind, of=(0, 7))
    assert unknown == Reason.UNKNOWN_INSTRUMENT
    for state in (4, 255):
        reason = refusal_of(story, SetTradingState(1, state), kind, of=(0, 1))
        assert reason == Reason.INVALID_TRADING_STATE


# --- listings -----------------------------------------------------------------------------------


def test_a_listing_tells_its_terms_and_begins_the_book() -> None:
    story = Story()
    events = story.send([ListInstrument(4, b"BRK/A^2Z", 2**32 - 1, 10**9, 2**32 - 1, 3)])
    assert events == [
        InstrumentListed(0, 4, b"BRK/A^2Z", 2**32 - 1, 10**9, 2**32 - 1, 3, 1),
    ]
    assert story.pair.engine.book_sequence(4) == 1


GOOD = (b"X", 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("number", "terms", "reason"),
    [
        (0, GOOD, Reason.INVALID_INSTRUMENT),
        (65_536, GOOD, Reason.INVALID_INSTRUMENT),
        (2**32 - 1, GOOD, Reason.INVALID_INSTRUMENT),
        (1, (b"", 0, 0, 0, 9), Reason.INSTRUMENT_EXISTS),
        (4, (b"", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"abc", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"ABz", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"A B", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"A\x00B", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"A\x7f", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"\xc3\x84", 1, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"X", 0, 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"X", 1, 0, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"X", 1, 10**9 + 1, 0, 0), Reason.INVALID_INSTRUMENT),
        (4, (b"X", 1, 1, 0, 4), Reason.INVALID_INSTRUMENT),
    ],
)
def test_a_listing_that_cannot_be_is_refused(
    number: int, terms: tuple[bytes, int, int, int, int], reason: Reason
) -> None:
    story = Story()
    command = ListInstrument(number, *terms)
    assert refusal_of(story, command, CommandType.LIST_INSTRUMENT, of=(0, number)) == reason


def test_an_instrument_listed_closed_opens_later() -> None:
    story = Story()
    story.send([ListInstrument(4, b"LATE", 1, 1, 0, 3)])
    reason = story.tell("ann buys 1 at 100 in UNLISTED")
    assert reason == "refused unknown_instrument"
    assert story.pair.engine.trading_state(4) == 3
    story.send([SetTradingState(4, 0)])
    assert story.pair.engine.trading_state(4) == 0


# --- accounts and clock -------------------------------------------------------------------------


def test_an_account_s_limits_are_told() -> None:
    story = Story()
    assert story.send([SetAccount(50, 2**32 - 1, True)]) == [AccountUpdated(0, 50, 2**32 - 1, True)]
    assert story.send([SetAccount(50)]) == [AccountUpdated(0, 50, 0, False)]


@pytest.mark.parametrize("number", [0, 1_048_576, 2**32 - 1])
def test_an_account_number_out_of_range_is_refused(number: int) -> None:
    story = Story()
    kind = CommandType.SET_ACCOUNT
    assert refusal_of(story, SetAccount(number), kind, of=(number, 0)) == Reason.INVALID_ACCOUNT


def test_trading_time_goes_forward_or_stands_still() -> None:
    story = Story()
    kind = CommandType.CLOCK_TICK
    for time_ns in (0, -1, -(2**63)):
        reason = refusal_of(story, ClockTick(time_ns), kind, of=(0, 0))
        assert reason == Reason.CLOCK_BACKWARDS
    assert story.send([ClockTick(10), ClockTick(10)]) == [ClockTicked(0, 10), ClockTicked(1, 10)]
    assert refusal_of(story, ClockTick(9), kind, of=(0, 0)) == Reason.CLOCK_BACKWARDS
    assert story.send([ClockTick(2**63 - 1)]) == [ClockTicked(0, 2**63 - 1)]
    assert story.pair.engine.trading_time_ns == 2**63 - 1
