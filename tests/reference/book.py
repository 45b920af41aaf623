"""One instrument's book, written to be read: a dict of prices, a list of orders at each, oldest
first.

With `tests.reference.exchange` this is a second, independent reading of docs/matching.md. It
guarantees nothing about speed: a best price is the `min` or `max` of a dict, and an order is found
by looking everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.codes import BUY, SELL


@dataclass(eq=False)
class Order:
    """An accepted order. `leaves` is what is open, `executed` what traded over its whole life."""

    order_id: int
    account: int
    side: int
    time_in_force: int
    price_ticks: int
    leaves: int
    executed: int = 0


def within(side: int, price_ticks: int, limit: int | None) -> bool:
    """Whether an order that may go as far as `limit` (None: anywhere) trades at this price."""
    if limit is None:
        return True
    return price_ticks <= limit if side == BUY else price_ticks >= limit


@dataclass(eq=False)
class Book:
    """An instrument, its resting orders, and the client order ids used since it last closed."""

    instrument: int
    tick_size: int
    lot_size: int
    price_collar: int
    state: int
    sequence: int = 0
    bids: dict[int, list[Order]] = field(default_factory=dict)
    asks: dict[int, list[Order]] = field(default_factory=dict)
    client_order_ids: dict[tuple[int, bytes], tuple[int, tuple[int, ...]]] = field(
        default_factory=dict
    )

    def next_sequence(self) -> int:
        """The book sequence of the next event of this book."""
        self.sequence += 1
        return self.sequence

    def levels(self, side: int) -> dict[int, list[Order]]:
        """The price levels of a side, in no order."""
        return self.bids if side == BUY else self.asks

    def prices(self, side: int) -> list[int]:
        """The occupied prices of a side, best first."""
        return sorted(self.levels(side), reverse=side == BUY)

    def best(self, side: int) -> int | None:
        """The best price of a side; None where it is empty."""
        return next(iter(self.prices(side)), None)

    def orders(self, *sides: int) -> Iterator[Order]:
        """The resting orders side by side, best price first, oldest first."""
        for side in sides:
            for price_ticks in self.prices(side):
                yield from list(self.levels(side)[price_ticks])

    def rest(self, order: Order) -> None:
        """Put an order at the end of its price level's queue."""
        self.levels(order.side).setdefault(order.price_ticks, []).append(order)

    def take_off(self, order: Order) -> None:
        """Take a resting order off its price level, and the level with its last order."""
        queue = self.levels(order.side)[order.price_ticks]
        queue.remove(order)
        if not queue:
            del self.levels(order.side)[order.price_ticks]

    def level(self, side: int, price_ticks: int) -> tuple[int, int]:
        """Quantity and order count of one level; both 0 where it is empty."""
        queue = self.levels(side).get(price_ticks, [])
        return sum(order.leaves for order in queue), len(queue)

    def tradable(self, side: int, limit: int | None) -> int:
        """How much an order of `side` could trade within its limit."""
        other = SELL if side == BUY else BUY
        return sum(o.leaves for o in self.orders(other) if within(side, o.price_ticks, limit))
