"""What any stream of events must obey, whatever the commands were: a ledger kept from the events
alone.

Guarantees of `Ledger.add`: book sequences are contiguous, match numbers too; every order's quantity
is accounted for (accepted and replaced = executed + taken off + open); a level is told after every
command that changed it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from domain.codes import BUY, SELL
from domain.events import (
    Event,
    InstrumentListed,
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderReplaced,
)


class Views(Protocol):
    """What the engine and the reference both show of themselves."""

    def levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]: ...
    def orders(self, instrument: int, side: int) -> list[tuple[int, int, int, int]]: ...
    def book_sequence(self, instrument: int) -> int: ...


@dataclass
class Account:
    """One order as the events tell it."""

    instrument: int
    side: int
    price_ticks: int
    open: int
    executed: int = 0


class Ledger:
    """Orders, levels and sequences, folded from events."""

    def __init__(self) -> None:
        self.instruments: list[int] = []
        self.orders: dict[int, Account] = {}
        self.levels: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.sequences: dict[int, int] = defaultdict(int)
        self.match_number = 0

    def add(self, events: list[Event]) -> None:
        """Fold the events of one batch; an AssertionError names the rule that they break."""
        for event in events:
            sequence = getattr(event, "book_sequence", None)
            if sequence is not None:
                self.sequences[event.instrument] += 1
                assert sequence == self.sequences[event.instrument], f"gap before {event}"
            self._fold(event)
        for order_id in [order_id for order_id, order in self.orders.items() if order.open == 0]:
            del self.orders[order_id]

    def _fold(self, event: Event) -> None:
        match event:
            case InstrumentListed():
                self.instruments.append(event.instrument)
            case OrderAccepted():
                assert event.order_id not in self.orders
                instrument, side, price = event.instrument, event.side, event.price_ticks
                self.orders[event.order_id] = Account(instrument, side, price, event.quantity)
            case OrderExecuted():
                self._execute(event)
            case OrderReplaced():
                order = self.orders[event.order_id]
                assert event.previous_leaves_quantity == order.open
                assert event.previous_price_ticks == order.price_ticks
                assert event.executed_quantity == order.executed
                order.open, order.price_ticks = event.leaves_quantity, event.price_ticks
            case OrderCancelled() | OrderExpired():
                order = self.orders[event.order_id]
                assert event.quantity == order.open > 0, f"not all that was open: {event}"
                order.open = 0
            case LevelChanged():
                level = (event.instrument, event.side, event.price_ticks)
                self.levels[level] = (event.quantity, event.order_count)

    def _execute(self, event: OrderExecuted) -> None:
        self.match_number += 1
        assert event.match_number == self.match_number
        assert event.quantity > 0
        aggressor = self.orders[event.aggressor_order_id]
        resting = self.orders[event.resting_order_id]
        assert (aggressor.side, resting.side) == (event.aggressor_side, 1 - event.aggressor_side)
        assert resting.price_ticks == event.price_ticks
        for order in (aggressor, resting):
            order.open -= event.quantity
            order.executed += event.quantity
        assert aggressor.open == event.aggressor_leaves >= 0
        assert resting.open == event.resting_leaves >= 0

    def agrees_with(self, exchange: Views) -> None:
        """The books, uncrossed, hold exactly the orders and levels that the events told of."""
        for instrument in self.instruments:
            assert exchange.book_sequence(instrument) == self.sequences[instrument]
            best = []
            for side in (BUY, SELL):
                levels = exchange.levels(instrument, side)
                assert levels == self._told_levels(instrument, side)
                assert levels == sums(exchange.orders(instrument, side))
                best.append(levels[0][0] if levels else None)
            bid, ask = best
            assert bid is None or ask is None or bid < ask, f"crossed: {bid} {ask}"
        shown = {
            order_id: (price, leaves)
            for instrument in self.instruments
            for side in (BUY, SELL)
            for order_id, _, price, leaves in exchange.orders(instrument, side)
        }
        assert shown == {i: (o.price_ticks, o.open) for i, o in self.orders.items()}

    def _told_levels(self, instrument: int, side: int) -> list[tuple[int, int, int]]:
        told = [
            (price, *level)
            for (of, at, price), level in self.levels.items()
            if (of, at) == (instrument, side) and level != (0, 0)
        ]
        return sorted(told, reverse=side == BUY)


def sums(orders: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int]]:
    """The levels that a side's orders, in priority order, add up to."""
    totals: dict[int, tuple[int, int]] = {}
    for _, _, price, leaves in orders:
        quantity, count = totals.get(price, (0, 0))
        totals[price] = (quantity + leaves, count + 1)
    return [(price, *level) for price, level in totals.items()]
