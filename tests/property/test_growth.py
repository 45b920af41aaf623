"""Tables grow, shrink and are used again without anyone noticing: engine and reference agree step
after step across every size at which some table of the engine is made anew.

The sizes are those of powers of two from 1,024 slots on, however full a table may be: each test
walks through all counts from below the first to past the second or third, so that it need not know
where exactly the engine grows.
"""

from __future__ import annotations

import random

import pytest

from domain.codes import BOTH_SIDES, BUY, CLOSED, GTC, LIMIT, OPEN, SELL
from domain.commands import (
    CancelOrder,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.snapshot import restore, snapshot, state_hash
from tests.property.pair import SHARD, Pair

SESSION = b"a growing table."
STEP = 60


def shop() -> Pair:
    """Two instruments and two accounts."""
    pair = Pair()
    listed = [ListInstrument(1, b"AAA", 1, 1), ListInstrument(2, b"BBB", 5, 1)]
    pair.send(SESSION, 1, [*listed, SetAccount(1), SetAccount(2)])
    return pair


def send(pair: Pair, commands: list[Command]) -> None:
    """One batch."""
    pair.send(SESSION, pair.position + 1, commands)


def resting(price: int, side: int = BUY, text: bytes = b"", instrument: int = 1) -> SubmitOrder:
    """An order of one share."""
    return SubmitOrder(1, instrument, side, LIMIT, GTC, price, 1, text)


def test_orders_at_one_price_grow_and_shrink_through_every_count() -> None:
    """The table of order ids, and the pool of orders, whose rows are used again."""
    pair = shop()
    chance = random.Random(1)
    known: list[int] = []
    for _ in range(24):
        position = pair.position + 1
        send(pair, [resting(100) for _ in range(STEP)])
        known += [SHARD << 55 | position << 16 | index for index in range(STEP)]
    assert len(known) > 1_229, "past the second growth at 60 %"
    pair.restore_twin()
    chance.shuffle(known)
    while known:
        gone, known = known[:STEP], known[STEP:]
        strangers = [CancelOrder(1, 0, order_id) for order_id in gone[:3]]
        fresh = [resting(100)] * 5
        send(pair, [*(CancelOrder(1, 0, order_id) for order_id in gone), *strangers, *fresh])
    send(pair, [SubmitOrder(2, 1, SELL, LIMIT, GTC, 100, 50), MassCancel(0, 0, BOTH_SIDES)])


@pytest.mark.parametrize("spread", [1, 33, 1_025])
def test_levels_grow_and_shrink_through_every_count(spread: int) -> None:
    """The tables of levels and of prices: neighbours, and prices that share nothing."""
    pair = shop()
    chance = random.Random(spread)
    prices = list(range(5 * spread, 5 * spread * 1_331, 5 * spread))
    chance.shuffle(prices)
    for at in range(0, len(prices), STEP):
        for_bids, for_asks = prices[at : at + STEP : 2], prices[at + 1 : at + STEP : 2]
        send(
            pair,
            [resting(price, BUY, instrument=1) for price in for_bids]
            + [resting(price, SELL, instrument=2) for price in for_asks],
        )
    pair.restore_twin()
    for at in range(0, len(prices), 6 * STEP):
        position = SHARD << 55 | (2 + at // STEP) << 16
        moved = [ReplaceOrder(1, 0, position | index, 5 * spread + 5, 2) for index in range(STEP)]
        send(pair, moved)
    send(pair, [SubmitOrder(2, 1, SELL, LIMIT, GTC, 1, 400), MassCancel(1, 1, BUY)])
    send(pair, [SubmitOrder(2, 2, BUY, LIMIT, GTC, 2**32 - 1, 400), MassCancel(0, 2, SELL)])


@pytest.mark.parametrize("waiting", [1, 510, 511, 512, 513, 514, 1_024, 1_025])
def test_emptied_levels_fill_again_however_many_wait(waiting: int) -> None:
    """An emptied level's row is kept for a while: it comes back alone, among others, and late."""
    pair = shop()
    send(pair, [resting(10 * each + 10) for each in range(waiting)])
    send(pair, [MassCancel(1, 0, BOTH_SIDES)])
    for prices in (range(10, 60, 10), range(15, 65, 10), range(10 * waiting, 10, -70)):
        send(pair, [resting(price) for price in prices if price > 0])
        send(pair, [MassCancel(1, 0, BOTH_SIDES)])
    send(pair, [resting(10 * each + 10) for each in range(min(waiting, 600))])
    send(pair, [resting(10 * each + 15) for each in range(40)])
    send(pair, [SubmitOrder(2, 1, SELL, LIMIT, GTC, 1, 300), MassCancel(0, 0, BOTH_SIDES)])


@pytest.mark.parametrize("others", [511, 512, 513])
def test_a_level_filled_again_while_it_waits_keeps_its_orders(others: int) -> None:
    """Its turn to be given up comes while it has orders again."""
    pair = shop()
    born = SHARD << 55 | (pair.position + 1) << 16
    send(pair, [resting(100), CancelOrder(1, 0, born), resting(100)])
    for at in range(0, others, STEP):
        commands: list[Command] = []
        for each in range(at, min(others, at + STEP)):
            index = len(commands)
            born = SHARD << 55 | (pair.position + 1) << 16
            commands += [resting(200 + each), CancelOrder(1, 0, born | index)]
        send(pair, commands)
    send(pair, [resting(100), resting(99), resting(200)])
    send(pair, [SubmitOrder(2, 1, SELL, LIMIT, GTC, 1, 5)])


@pytest.mark.parametrize("flicker", [1, 511, 512, 513])
def test_a_level_that_flickers_while_others_wait(flicker: int) -> None:
    """One level that empties and fills again and again is on no list twice."""
    pair = shop()
    send(pair, [resting(100)])
    for at in range(0, flicker, STEP):
        commands: list[Command] = []
        for each in range(at, min(flicker, at + STEP)):
            index = len(commands)
            born = SHARD << 55 | (pair.position + 1) << 16
            commands += [resting(101), CancelOrder(1, 0, born | index)]
            commands += [resting(200 + each), CancelOrder(1, 0, born | index + 2)]
        send(pair, commands)
    send(pair, [resting(101), resting(99), SubmitOrder(2, 1, SELL, LIMIT, GTC, 1, 5)])
    assert pair.engine.levels(1, BUY) == []


@pytest.mark.parametrize("close_at", [None, 700, 1_600])
def test_client_order_ids_grow_through_every_count(close_at: int | None) -> None:
    """Every id is known until its instrument closes, and none after, across every growth."""
    pair = shop()
    texts = [b"id-%d" % number for number in range(3_240)]
    for at in range(0, len(texts), STEP):
        some = texts[at : at + STEP]
        send(pair, [resting(0, BUY, text, instrument=1 + at // STEP % 2) for text in some])
        if at % 600 == 0:
            send(pair, [resting(0, BUY, text) for text in texts[: at + 1 : 90]])
        if close_at is not None and at <= close_at < at + STEP:
            send(pair, [SetTradingState(1, CLOSED), SetTradingState(1, OPEN)])
    again = [resting(0, BUY, text, instrument=number) for text in texts[::37] for number in (1, 2)]
    pair.restore_twin()
    send(pair, again)
    send(pair, [resting(7, BUY, text) for text in texts[::37]])


def test_accounts_and_instruments_come_in_any_order_of_their_numbers() -> None:
    pair = shop()
    for number in (3, 1_200, 7, 1_023, 1_024, 1_025, 64, 63, 65, 2_049):
        send(pair, [SetAccount(number), ListInstrument(number, b"NEW", 1, 1)])
        text = b"%d" % number
        send(pair, [SubmitOrder(number, number, BUY, LIMIT, GTC, 50, 2, text), resting(0)])
        send(pair, [SubmitOrder(1, number, SELL, LIMIT, GTC, 50, 1, text)])
    again = restore(snapshot(pair.engine))
    assert state_hash(again) == state_hash(pair.engine)
    send(pair, [MassCancel(0, 0, BOTH_SIDES)])


def test_prices_that_are_met_once_leave_the_search_for_better_ones_right() -> None:
    """More pages of prices are emptied than may wait, some orders stay, and new ones come between
    them: each finds its place among what is left, on both sides.
    """
    pair = shop()
    pages = 8_192 + 400
    apart = 8  # prices of a page
    batch: list[Command] = []
    for page in range(pages):
        side = BUY if page & 1 else SELL
        price = (page if side == BUY else 2 * pages + page) * apart + 1
        batch.append(resting(price, side))
        born = SHARD << 55 | (pair.position + 1) << 16 | (len(batch) - 1)
        if page % 100 > 1:
            batch.append(CancelOrder(1, 1, born))
        if len(batch) >= 1_000:
            send(pair, batch)
            batch = []
    send(pair, [*batch, resting(1), resting(4 * pages * apart, SELL)])
    chance = random.Random(5)
    for _ in range(10):
        between = [chance.randrange(1, pages * apart) for _ in range(STEP)]
        far = 2 * pages * apart
        send(pair, [resting(price, BUY) for price in between])
        send(pair, [resting(far + price, SELL) for price in between])
    assert state_hash(pair.engine) == state_hash(restore(snapshot(pair.engine)))
