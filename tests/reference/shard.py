"""The state of one shard of the reference exchange, and how it tells what happens to it.

Guarantees: a book sequence is taken in the order in which events are told, and the levels that a
command touched are told after all its other events, once each, in the order of the first touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.codes import Reason
from domain.events import Event, LevelChanged, OrderCancelled, OrderExpired
from tests.reference.book import Book, Order
from tests.reference.sessions import Sessions


@dataclass
class Account:
    """What an account may do. `open_orders_max` 0 means no limit."""

    open_orders_max: int
    killed: bool


@dataclass
class Shard:
    """Everything that a shard knows, and the events of the present batch."""

    shard: int
    position: int = 0
    command_index: int = 0
    trading_time_ns: int = 0
    match_number: int = 0
    accounts: dict[int, Account] = field(default_factory=dict)
    books: dict[int, Book] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)
    events: list[Event] = field(default_factory=list)
    touched: list[tuple[int, int, int]] = field(default_factory=list)

    def resting(self, account: int | None = None) -> Iterator[tuple[Book, Order]]:
        """The resting orders of the shard, or of one account, in no order that means anything."""
        for book in self.books.values():
            for queue in (*book.bids.values(), *book.asks.values()):
                for order in queue:
                    if account is None or order.account == account:
                        yield book, order

    def open_orders(self, account: int | None = None) -> list[tuple[Book, Order]]:
        """The same in ascending order id."""
        return sorted(self.resting(account), key=lambda pair: pair[1].order_id)

    def open_count(self, account: int | None = None) -> int:
        """How many they are."""
        return sum(1 for _ in self.resting(account))

    def emit(self, event: Event) -> None:
        """Append an event to the batch's."""
        self.events.append(event)

    def touch(self, book: Book, side: int, price_ticks: int) -> None:
        """Remember that a level was touched."""
        level = (book.instrument, side, price_ticks)
        if level not in self.touched:
            self.touched.append(level)

    def tell_levels(self) -> None:
        """One LevelChanged for each level touched, as it is after the command."""
        for instrument, side, price_ticks in self.touched:
            book = self.books[instrument]
            quantity, count = book.level(side, price_ticks)
            self.emit(
                LevelChanged(
                    self.command_index,
                    instrument,
                    side,
                    price_ticks,
                    quantity,
                    count,
                    book.next_sequence(),
                )
            )
        self.touched = []

    def rest(self, book: Book, order: Order) -> None:
        """Put an order, or what is left of it, on the book."""
        book.rest(order)
        self.touch(book, order.side, order.price_ticks)

    def take_off(self, book: Book, order: Order, reason: Reason) -> None:
        """End a resting order."""
        self.touch(book, order.side, order.price_ticks)
        book.take_off(order)
        self.tell_ended(book, order, reason)

    def tell_ended(self, book: Book, order: Order, reason: Reason) -> None:
        """What is open of an order is cancelled, or has expired at the close."""
        event_type = OrderExpired if reason == Reason.AT_CLOSE else OrderCancelled
        self.emit(
            event_type(
                self.command_index,
                order.account,
                book.instrument,
                order.order_id,
                order.side,
                reason,
                order.price_ticks,
                order.leaves,
                book.next_sequence(),
            )
        )
