"""Looking ahead changes no answer: what it found may be gone, or another's, when its command comes.

`tests.property.pair`'s twin looks ahead for all, its engine only for client order ids; both are
compared with the reference, which does not.
"""

from __future__ import annotations

import random

import pytest

from domain.book import WAITING_PAGES_MIN
from domain.codes import BUY, DAY, IOC, LIMIT, SELL
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
from domain.exchange import Exchange
from domain.hints import AHEAD
from domain.rows import PAGE_PRICES
from tests.property.pair import SHARD, Pair
from tests.property.pools import CommandSource, opening
from tests.reference.records import batch_of, record_of

SESSION = b"looking ahead..."


def opened(*commands: Command) -> Pair:
    pair = Pair()
    pair.send(
        SESSION, 1, [SetAccount(1), SetAccount(2), ListInstrument(1, b"AAPL", 1, 1), *commands]
    )
    return pair


def born(position: int, index: int) -> int:
    """The id of the order of a batch's command."""
    return (SHARD << 55) | (position << 16) | index


def bid(price: int, client_order_id: bytes = b"", instrument: int = 1) -> SubmitOrder:
    return SubmitOrder(1, instrument, BUY, LIMIT, DAY, price, 10, client_order_id)


@pytest.mark.parametrize("seed", range(6))
def test_batches_longer_than_the_look(seed: int) -> None:
    pair = Pair()
    source = CommandSource(seed, odd_one_in=20)
    pair.send(SESSION, 1, opening())
    for number in range(2, 8):
        orders = pair.reference.shard.open_orders()
        source.live = [(order.order_id, order.account, book.instrument) for book, order in orders]
        size = AHEAD * random.Random(seed * 10 + number).choice((1, 2, 3)) + number - 4
        commands = [source.command(pair.position + 1, SHARD, index) for index in range(size)]
        pair.send(SESSION, number, commands)
        if number == 4:
            pair.restore_twin()


def test_an_order_found_ahead_may_be_gone_when_its_command_comes() -> None:
    pair = opened(bid(100), bid(101))
    first, second = born(1, 3), born(1, 4)
    pair.send(
        SESSION,
        2,
        [
            CancelOrder(1, 1, first),
            CancelOrder(1, 1, first),
            bid(102),  # in the row of the first
            ReplaceOrder(1, 1, first, 103, 5),
            CancelOrder(1, 1, born(2, 2)),  # born after the look
            SubmitOrder(2, 1, SELL, LIMIT, IOC, 101, 10),
            ReplaceOrder(1, 1, second, 103, 5),
        ],
    )
    assert pair.engine.order_count == 0


def test_a_price_found_ahead_may_have_lost_its_orders_and_another_order_may_move_there() -> None:
    pair = opened(bid(100), bid(200))
    pair.send(
        SESSION,
        2,
        [
            MassCancel(1, 1, 2),
            bid(100),
            bid(5_000),
            ReplaceOrder(1, 1, born(2, 1), 5_001, 3),
            bid(100),
            ReplaceOrder(1, 1, born(2, 2), 100, 30),
        ],
    )
    assert pair.engine.levels(1, BUY) == [(5_001, 3, 1), (100, 40, 2)]


def test_an_order_found_ahead_is_no_page_for_the_price_it_moves_to() -> None:
    pair = opened(*[bid(100)] * 200)
    last = born(1, 202)
    pair.send(SESSION, 2, [ReplaceOrder(1, 1, last, 5_000, 10)])
    assert pair.engine.levels(1, BUY) == [(5_000, 10, 1), (100, 1_990, 199)]


def test_a_page_found_ahead_may_have_become_anothers_when_its_command_comes() -> None:
    """So many prices are slow in the reference: the engine without hints answers for it."""
    pages = [100 + PAGE_PRICES * page for page in range(WAITING_PAGES_MIN + 100)]
    commands: list[Command] = []
    for turn in range(8):  # of the oldest pages that wait, one or two are given up at each cancel
        commands.append(bid(500_004 + PAGE_PRICES * turn))
        commands.append(CancelOrder(1, 1, born(4, len(commands) - 1)))
        commands.append(bid(600_004 + PAGE_PRICES * turn))  # in the row of one of them
    commands += [bid(price) for price in pages[95:115]]
    batches: list[list[Command]] = [
        [SetAccount(1), ListInstrument(1, b"AAPL", 1, 1)],
        [bid(price) for price in pages],
        [MassCancel(1, 1, 2)],  # the first hundred pages are given up
        commands,
    ]
    plain, hinted = Exchange(SHARD), Exchange(SHARD)
    for number, batch in enumerate(batches, start=1):
        records = [record_of(command) for command in batch]
        record = batch_of(records, session=SESSION, batch_number=number)
        hinted.books.hints.orders_min = 0
        assert hinted.apply(number, record) == plain.apply(number, record)
    assert hinted.levels(1, BUY) == plain.levels(1, BUY)
    assert len(plain.levels(1, BUY)) == 28


def test_an_id_hashed_ahead_may_be_of_yesterday_when_its_command_comes() -> None:
    pair = opened(bid(100, b"one"))
    pair.send(
        SESSION,
        2,
        [
            bid(100, b"one"),  # a repeat
            SetTradingState(1, 3),
            SetTradingState(1, 0),
            bid(100, b"one"),  # of the next day
            bid(100, b"one"),  # its repeat
            bid(101, b"one"),  # another order
        ],
    )
    assert pair.engine.levels(1, BUY) == [(100, 10, 1)]


def test_an_instrument_may_be_listed_after_the_look() -> None:
    pair = opened()
    pair.send(
        SESSION,
        2,
        [
            bid(100, b"early", 7),
            ListInstrument(7, b"MSFT", 5, 1),
            bid(100, b"one", 7),
            bid(100, b"one", 7),
            bid(95, b"two", 7),
        ],
    )
    assert pair.engine.levels(7, BUY) == [(100, 10, 1), (95, 10, 1)]
