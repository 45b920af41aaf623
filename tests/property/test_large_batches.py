"""One command may cause very many events; they are cut into records and joined again whole."""

from __future__ import annotations

from collections.abc import Sequence

from domain import is_compiled
from domain.commands import Command, ListInstrument, MassCancel, SetAccount, SubmitOrder
from domain.event_records import decode_events
from domain.events import LevelChanged, MassCancelled, OrderCancelled
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, join_events, seal_events

SESSION = bytes(8) + b"a system"
RECORD_BYTES_MAX = 900_000
ORDERS = 200_000 if is_compiled() else 10_000
PRICES = 500


def test_one_mass_cancel_takes_every_order_of_an_account() -> None:
    exchange = Exchange(0)
    exchange.apply(1, _batch(1, [SetAccount(1), ListInstrument(1, b"AAPL", 1, 1)]))
    for number in range(2, 2 + ORDERS // 5_000):
        orders = [SubmitOrder(1, 1, 0, 0, 1, 1 + each % PRICES, 10) for each in range(5_000)]
        exchange.apply(number, _batch(number, orders))
    assert exchange.order_count == ORDERS
    number = exchange.position + 1
    image = exchange.apply(number, _batch(number, [MassCancel(1, 0, 2)]))
    records, _ = seal_events(image, bytes(32), RECORD_BYTES_MAX)
    assert len(records) > 1 or ORDERS < 20_000
    assert max(map(len, records)) <= RECORD_BYTES_MAX
    events = decode_events(join_events(records))
    cancelled = [each.order_id for each in events if isinstance(each, OrderCancelled)]
    assert len(cancelled) == ORDERS
    assert cancelled == sorted(cancelled), "oldest first"
    assert sum(isinstance(each, LevelChanged) for each in events) == PRICES
    (told,) = [each for each in events if isinstance(each, MassCancelled)]
    assert told.cancelled_count == ORDERS
    assert exchange.order_count == 0


def _batch(number: int, commands: Sequence[Command]) -> bytes:
    return encode_batch(SESSION, number, number, [encode_command(each) for each in commands])
