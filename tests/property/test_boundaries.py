"""Every number at, just below and just above each of its limits, in every combination that could
matter: the engine answers as the reference does, on every event.

What must be accepted is asserted too, so that a limit which both read wrongly in one direction does
not pass unseen. The highest instrument and account numbers, whose tables are large, are tried in
`tests/unit/test_matching_submit.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import pytest

from domain import codes
from domain.codes import BUY, DAY, FOK, GTC, IOC, LIMIT, MARKET, SELL, Reason
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.events import Event, OrderAccepted, OrderExecuted, OrderRejected, OrderReplaced
from tests.property.pair import SHARD, Pair
from tests.reference.records import batch_of
from tests.reference.sessions import Heard

SESSION = b"at the boundary."
PRICE_MAX = codes.PRICE_TICKS_MAX
QUANTITY_MAX = codes.QUANTITY_MAX
U32_MAX = 2**32 - 1
BATCH = 40


def around(*limits: int) -> list[int]:
    """The limits and what lies beside them, as far as a u32 can tell it."""
    near = {limit + step for limit in limits for step in (-1, 0, 1)}
    return sorted(value for value in near if 0 <= value <= U32_MAX)


class Shop:
    """A pair with four instruments of unlike ticks and lots, and two accounts."""

    TICKS = {1: 1, 2: 5, 3: PRICE_MAX, 4: 2**31}
    LOTS = {1: 1, 2: 10, 3: QUANTITY_MAX, 4: 7}

    def __init__(self) -> None:
        self.pair = Pair()
        listed = [
            ListInstrument(number, b"S%d" % number, tick, self.LOTS[number])
            for number, tick in self.TICKS.items()
        ]
        self.send([*listed, SetAccount(1), SetAccount(2)])

    def send(self, commands: Iterable[Command]) -> list[Event]:
        """The commands in batches of BATCH; their events, on which engine and reference agree."""
        told: list[Event] = []
        waiting = list(commands)
        for at in range(0, max(1, len(waiting)), BATCH):
            self.pair.send(SESSION, self.pair.position + 1, waiting[at : at + BATCH])
            told += self.pair.reference.shard.events
        return told

    def last_id(self, index: int = 0) -> int:
        """The order id of the submit at `index` of the last batch."""
        return SHARD << 55 | self.pair.position << 16 | index


def accepted(events: Sequence[Event]) -> list[OrderAccepted]:
    return [event for event in events if isinstance(event, OrderAccepted)]


def reasons(events: Sequence[Event]) -> list[int]:
    return [event.reason for event in events if isinstance(event, OrderRejected)]


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", Shop.TICKS)
@pytest.mark.parametrize("side", [BUY, SELL])
def test_prices_at_their_limits(instrument: int, side: int) -> None:
    tick, lot = Shop.TICKS[instrument], Shop.LOTS[instrument]
    shop = Shop()
    prices = around(0, 1, tick, 2 * tick, 2**31, PRICE_MAX // tick * tick, PRICE_MAX)
    shapes = [(LIMIT, tif) for tif in (DAY, GTC, IOC, FOK)] + [(MARKET, IOC), (MARKET, DAY)]
    for price, (order_type, tif) in product(prices, shapes):
        terms = (order_type, tif, price, lot)
        told = shop.send(
            [
                SubmitOrder(1, instrument, side, *terms),
                SubmitOrder(2, instrument, 1 - side, *terms),
                SubmitOrder(2, instrument, side, LIMIT, IOC, price, lot),
                MassCancel(0, instrument, codes.BOTH_SIDES),
            ]
        )
        limit_is_sound = order_type == LIMIT and price > 0 and price % tick == 0
        market_is_sound = (order_type, tif, price) == (MARKET, IOC, 0)
        third_is_sound = price > 0 and price % tick == 0
        sound = 2 * (limit_is_sound or market_is_sound) + third_is_sound
        assert len(accepted(told)) == sound


def test_a_level_at_each_end_of_the_price_range_is_best_and_worst() -> None:
    shop = Shop()
    ends = (1, 2, 3, 2**31 - 1, 2**31, PRICE_MAX - 1, PRICE_MAX)
    shop.send(SubmitOrder(1, 1, BUY, LIMIT, GTC, price, 1) for price in ends)
    shop.send([SubmitOrder(2, 1, SELL, LIMIT, IOC, price, 1) for price in (PRICE_MAX, PRICE_MAX)])
    shop.send([SubmitOrder(2, 1, SELL, MARKET, IOC, 0, 5)])
    assert shop.pair.engine.levels(1, BUY) == [(1, 1, 1)]
    shop.send([SubmitOrder(2, 1, SELL, LIMIT, IOC, 1, 1)])
    shop.send(SubmitOrder(1, 1, SELL, LIMIT, GTC, price, 1) for price in reversed(ends))
    shop.send([SubmitOrder(2, 1, BUY, LIMIT, IOC, 1, 1), SubmitOrder(2, 1, BUY, MARKET, FOK, 0, 6)])
    assert shop.pair.engine.levels(1, SELL) == []


@pytest.mark.parametrize("collar", [1, 2**31, PRICE_MAX])
@pytest.mark.parametrize("best", [1, 2, 2**31, PRICE_MAX - 1, PRICE_MAX])
def test_a_collar_may_reach_past_either_end(collar: int, best: int) -> None:
    shop = Shop()
    shop.send([ListInstrument(9, b"COLLAR", 1, 1, collar)])
    near = [best + away for away in (0, collar - 1, collar, collar + 1)]
    for side in (BUY, SELL):
        prices = [best - (price - best) if side == SELL else price for price in near]
        sound = [price for price in prices if 1 <= price <= PRICE_MAX]
        shop.send(SubmitOrder(1, 9, 1 - side, LIMIT, GTC, price, 2) for price in sound)
        shop.send([SubmitOrder(2, 9, side, MARKET, IOC, 0, 9)])
        shop.send([MassCancel(0, 9, codes.BOTH_SIDES)])


# --- quantities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", Shop.LOTS)
def test_quantities_at_their_limits(instrument: int) -> None:
    tick, lot = Shop.TICKS[instrument], Shop.LOTS[instrument]
    shop = Shop()
    top = QUANTITY_MAX // lot * lot
    quantities = around(0, 1, lot, 2 * lot, top, QUANTITY_MAX, 2**31, U32_MAX)
    for quantity, tif in product(quantities, (DAY, GTC, IOC, FOK)):
        told = shop.send(
            [
                SubmitOrder(1, instrument, SELL, LIMIT, GTC, tick, lot),
                SubmitOrder(2, instrument, BUY, LIMIT, tif, tick, quantity),
                SubmitOrder(1, instrument, SELL, MARKET, FOK, 0, quantity),
                MassCancel(0, instrument, codes.BOTH_SIDES),
            ]
        )
        sound = 0 < quantity <= QUANTITY_MAX and quantity % lot == 0
        assert len(accepted(told)) == 1 + 2 * sound


@pytest.mark.parametrize("tif", [DAY, IOC, FOK])
@pytest.mark.parametrize("missing", [-1, 0, 1])
def test_a_level_s_total_passes_32_bits_and_is_met_exactly(tif: int, missing: int) -> None:
    shop = Shop()
    orders = 9  # 9 × 10**9 is past 2**33
    shop.send(SubmitOrder(1, 1, SELL, LIMIT, GTC, 100, QUANTITY_MAX) for _ in range(orders))
    assert shop.pair.engine.levels(1, SELL) == [(100, orders * QUANTITY_MAX, orders)]
    last = shop.last_id(orders - 1)
    shop.send([SubmitOrder(2, 1, BUY, LIMIT, tif, 100, QUANTITY_MAX) for _ in range(orders - 1)])
    shop.send([ReplaceOrder(1, 1, last, 0, QUANTITY_MAX - 1)])
    told = shop.send([SubmitOrder(2, 1, BUY, LIMIT, tif, 100, QUANTITY_MAX - 1 + missing)])
    traded = sum(event.quantity for event in told if isinstance(event, OrderExecuted))
    nothing = tif == FOK and missing > 0
    assert traded == (0 if nothing else QUANTITY_MAX - 1 + min(missing, 0))


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_fok_over_several_levels_is_filled_by_the_last_share(step: int) -> None:
    for side, prices in ((BUY, (100, 101, 102)), (SELL, (102, 101, 100))):
        shop = Shop()
        shop.send(SubmitOrder(1, 1, 1 - side, LIMIT, GTC, price, 10) for price in prices)
        told = shop.send([SubmitOrder(2, 1, side, LIMIT, FOK, prices[1], 20 + step)])
        assert bool([e for e in told if isinstance(e, OrderExecuted)]) == (step <= 0)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte", [0x00, 0x20, 0x21, 0x7E, 0x7F, 0x80, 0xFF])
def test_each_byte_of_a_client_order_id_counts(byte: int) -> None:
    """Lengths 1 to 36, the byte at every place; then the sound ones again, as cancels name them."""
    shop = Shop()
    texts = [
        b"a" * at + bytes([byte]) + b"z" * (length - at - 1)
        for length in (1, 2, 7, 8, 9, 15, 16, 17, 24, 35, 36)
        for at in range(length)
    ]
    told = shop.send(SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, 1, text) for text in texts)
    printable = 0x21 <= byte <= 0x7E
    assert len(accepted(told)) == (len(texts) if printable else 0)
    shop.send(SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, 1, text) for text in texts[::7])
    shop.send(SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, 2, text) for text in texts[::7])
    shop.send(CancelOrder(1, 1, 0, text) for text in texts[::5])


def test_numbers_of_accounts_and_instruments_at_their_limits() -> None:
    shop = Shop()
    accounts = [*around(0, 1, 2), *around(codes.ACCOUNT_MAX, 2**31, U32_MAX)]
    instruments = [*around(0, 1, 4), *around(codes.INSTRUMENT_MAX, 2**31, U32_MAX)]
    for account, instrument in product(accounts, instruments):
        shop.send(
            [
                SubmitOrder(account, instrument, BUY, LIMIT, DAY, 5, 10, b"id"),
                CancelOrder(account, instrument, 0, b"id"),
                CancelOrder(account, instrument, 1),
                ReplaceOrder(account, instrument, 0, 5, 10, 0, b"id"),
                MassCancel(account, instrument, codes.BOTH_SIDES),
                SetTradingState(instrument, codes.OPEN),
            ]
        )
    refused = [number for number in accounts if number > codes.ACCOUNT_MAX] + [0]
    told = shop.send(SetAccount(number) for number in refused)
    assert reasons(told) == [Reason.INVALID_ACCOUNT] * len(refused)
    numbers = [number for number in instruments if number > codes.INSTRUMENT_MAX] + [0]
    told = shop.send(ListInstrument(number, b"NEW", 1, 1) for number in numbers)
    assert reasons(told) == [Reason.INVALID_INSTRUMENT] * len(numbers)


@pytest.mark.parametrize("value", range(256))
def test_every_value_of_every_small_field(value: int) -> None:
    shop = Shop()
    shop.send([SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, 5), SubmitOrder(1, 2, SELL, 0, 1, 100, 50)])
    bid, ask = shop.last_id(0), shop.last_id(1)
    shop.send(
        [
            SubmitOrder(2, 1, value, LIMIT, DAY, 99, 1),
            SubmitOrder(2, 1, SELL, value, IOC, 0, 1),
            SubmitOrder(2, 1, SELL, value, IOC, 100, 1),
            SubmitOrder(2, 1, SELL, LIMIT, value, 100, 1),
            SubmitOrder(2, 1, SELL, MARKET, value, 0, 1),
            SubmitOrder(2, 1, value, value, value, 0, 1),
            ReplaceOrder(1, 1, bid, 0, 4, value),
            ReplaceOrder(1, 2, ask, 105, 0, value),
            MassCancel(0, 1, value),
            MassCancel(1, 0, value),
            SetTradingState(1, value),
            ListInstrument(9, b"NEW", 1, 1, 0, value),
            ListInstrument(10, bytes([value]) * 8, 1, 1),
        ]
    )


# --- replaces -------------------------------------------------------------------------------------


@pytest.mark.parametrize("executed", [1, 7, QUANTITY_MAX - 1])
@pytest.mark.parametrize("flags", range(4))
@pytest.mark.parametrize("as_aggressor", [False, True])
def test_a_replace_around_what_was_executed(executed: int, flags: int, as_aggressor: bool) -> None:
    """The new quantity as open or as total: just less, exactly, just more; and near its limit."""
    for quantity in around(1, executed, QUANTITY_MAX - executed, QUANTITY_MAX):
        shop = Shop()
        parties = [
            SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, QUANTITY_MAX),
            SubmitOrder(2, 1, SELL, LIMIT, GTC, 100, executed),
        ]
        shop.send(reversed(parties) if as_aggressor else parties)
        order_id = shop.last_id(int(as_aggressor))
        told = shop.send([ReplaceOrder(1, 1, order_id, 0, quantity, flags)])
        total = bool(flags & codes.REPLACE_TOTAL)
        open_then = quantity - executed if total else quantity
        fits = 0 < quantity <= QUANTITY_MAX and executed + open_then <= QUANTITY_MAX
        replaced = [event for event in told if isinstance(event, OrderReplaced)]
        assert [event.leaves_quantity for event in replaced] == [open_then] * (
            fits and open_then > 0
        )
        shop.send([ReplaceOrder(1, 1, order_id, 101, 0, flags), MassCancel(1, 0, 2)])


def test_a_replace_to_each_edge_of_the_price_range() -> None:
    shop = Shop()
    for price in around(1, 100, 2**31, PRICE_MAX):
        shop.send([SubmitOrder(1, 1, BUY, LIMIT, GTC, 100, 3), SetAccount(1)])
        first = shop.last_id()
        shop.send([ReplaceOrder(1, 1, first, price, 0), ReplaceOrder(1, 1, first, 100, 0)])
        shop.send([SubmitOrder(1, 2, BUY, LIMIT, GTC, 100, 30), SetAccount(1)])
        shop.send([ReplaceOrder(1, 2, shop.last_id(), price, 0), MassCancel(1, 0, 2)])


# --- limits on orders and sessions ----------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 2, 5, U32_MAX])
def test_the_open_orders_limit_at_its_edge(limit: int) -> None:
    shop = Shop()
    shop.send([SetAccount(1, limit)])
    told = shop.send(SubmitOrder(1, 1, BUY, LIMIT, DAY, 90 + each, 5) for each in range(7))
    rested = min(7, limit or 7)
    assert len(accepted(told)) == rested
    told = shop.send(
        [
            SubmitOrder(1, 1, SELL, LIMIT, GTC, 200, 1),
            SubmitOrder(1, 1, SELL, LIMIT, IOC, 90, 5),
            SubmitOrder(1, 1, SELL, LIMIT, DAY, 200, 1),
            SubmitOrder(1, 1, SELL, LIMIT, DAY, 201, 1),
            SetAccount(1, max(0, limit - 1)),
            SubmitOrder(1, 2, SELL, LIMIT, DAY, 205, 10),
            MassCancel(1, 1, SELL),
            SubmitOrder(1, 2, SELL, LIMIT, GTC, 205, 10),
            SetAccount(1, limit, True),
            SetAccount(1, limit),
            *(SubmitOrder(1, 2, SELL, LIMIT, GTC, 205, 10) for _ in range(6)),
        ]
    )
    assert (Reason.OPEN_ORDERS_LIMIT in reasons(told)) == (limit in (1, 2, 5))


@pytest.mark.parametrize("step_ns", [-1, 0, 1])
@pytest.mark.parametrize("gap", [0, 1])
def test_a_session_is_remembered_for_24_hours_less_a_nanosecond(step_ns: int, gap: int) -> None:
    pair = Pair()
    clock = bytes(15) + b"\x01"
    pair.send(clock, 1, [ClockTick(1)])
    pair.send(SESSION, 1, [])
    pair.send(clock, 2, [ClockTick(5)])
    pair.send(clock, 3, [ClockTick(5 + gap)])
    pair.send(clock, 4, [ClockTick(5 + codes.SESSION_MEMORY_NS + step_ns)])
    pair.restore_twin()
    pair.send(SESSION, 2, [SetAccount(1)])
    assert pair.reference.status == (codes.APPLIED if step_ns < 0 else codes.REPEAT)
    pair.send(SESSION, 1, [SetAccount(2)])
    pair.send(SESSION, 2, [SetAccount(3)])


@pytest.mark.parametrize("number", [-(2**63), -1, 0, 1, 2, 2**31, 2**32, 2**63 - 1])
def test_a_batch_number_at_its_limits(number: int) -> None:
    for session in (SESSION, bytes(15) + b"\x07", bytes(16), bytes(7) + b"\x01" + bytes(8)):
        pair = Pair()
        for each in (number, number, 1, 2, number):
            if each > 0:
                pair.send(session, each, [SetAccount(1)])
            else:
                pair.send_unsound(batch_of([], session=session, batch_number=each))


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_the_memory_for_sessions_at_its_edge(beyond: int) -> None:
    """As many sessions as are remembered, and one or two fewer or more; permanent ones beside."""
    pair = Pair()
    names = [b"%016d" % number for number in range(codes.SESSIONS_MAX + beyond)]
    for name in names[:-4]:
        position = pair.position + 1
        batch = batch_of([], session=name, batch_number=1)
        pair.engine.apply(position, batch)
        pair.twin.apply(position, batch)
        # What `hear` would do of so few, without its walk over all of them.
        pair.reference.shard.sessions.heard[name] = Heard(1, position)
        pair.reference.shard.position = position
    for name in (*names[-4:-2], bytes(16), bytes(15) + b"\x05", *names[-2:]):
        pair.send(name, 1, [])
    pair.restore_twin()
    for name in (names[0], names[1], names[2], names[-1], bytes(16)):
        pair.send(name, 2, [])
