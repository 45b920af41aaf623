"""A random market and its ITCH messages, with books kept the plainest way: a list of orders in the
order in which they came."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.feed import standards as itch

START_NS = 34_200 * 10**9
ROW = tuple[int, str, int, int]  # order reference, side, price in ticks, quantity


@dataclass
class Order:
    """A resting order."""

    reference: int
    side: str
    price: int
    quantity: int


@dataclass
class PlainBook:
    """One symbol's orders in the order in which they came, and its trades."""

    locate: int
    symbol: str
    orders: list[Order] = field(default_factory=list)
    trades: list[tuple[int, int, int]] = field(default_factory=list)
    state: str = "T"

    def rows(self) -> list[ROW]:
        """Bids from the best on, then asks; oldest first within a price."""
        bids = sorted((one for one in self.orders if one.side == "B"), key=lambda one: -one.price)
        asks = sorted((one for one in self.orders if one.side == "S"), key=lambda one: one.price)
        return [(one.reference, one.side, one.price, one.quantity) for one in bids + asks]


class Market:
    """Makes messages; `books` are as of the last one made."""

    def __init__(self, seed: int, symbols: tuple[str, ...] = ("AAPL", "MSFT", "BRK/A")) -> None:
        self._random = random.Random(seed)
        self._time_ns = START_NS
        self._reference = self._match = 0
        self._symbols = symbols
        self.books: dict[str, PlainBook] = {}
        self.began = False

    def opening(self) -> list[bytes]:
        """What a log begins with."""
        messages = [itch.system_event(self._time_ns, "O")]
        for locate, symbol in enumerate(self._symbols, start=1):
            book = self.books[symbol] = PlainBook(locate, symbol)
            messages += self._listing(book)
        self.began = True
        return messages

    def messages(self, count: int) -> list[bytes]:
        """About as many messages as asked for."""
        made = [] if self.began else self.opening()
        while len(made) < count:
            self._time_ns += self._random.randrange(1_000_000)
            made += self._step(self._random.choice(list(self.books.values())))
        return made

    def snapshot(self) -> list[bytes]:
        """Messages that make the present books."""
        messages = [itch.system_event(self._time_ns, "O")]
        for book in self.books.values():
            messages += self._listing(book)
            messages += [
                itch.add_order(
                    book.locate, self._time_ns, reference, side, quantity, book.symbol, price
                )
                for reference, side, price, quantity in book.rows()
            ]
        return messages

    def _listing(self, book: PlainBook) -> list[bytes]:
        return [
            itch.stock_directory(book.locate, self._time_ns, book.symbol, 100),
            itch.trading_action(book.locate, self._time_ns, book.symbol, book.state),
        ]

    def _step(self, book: PlainBook) -> list[bytes]:
        draw = self._random.random()
        if draw < 0.4 or len(book.orders) < 5:
            return [self._add(book)]
        if draw < 0.41:
            book.state = "H" if book.state == "T" else "T"
            return [itch.trading_action(book.locate, self._time_ns, book.symbol, book.state)]
        if draw < 0.42:
            return [self._hidden(book)]
        order = self._random.choice(book.orders)
        if draw < 0.6 or len(book.orders) > 200:
            book.orders.remove(order)
            return [itch.deleted(book.locate, self._time_ns, order.reference)]
        if draw < 0.7:
            return [self._replace(book, order)]
        return [self._take(book, order, draw)]

    def _add(self, book: PlainBook) -> bytes:
        self._reference += self._random.randrange(1, 5)
        side = self._random.choice("BS")
        away = self._random.randrange(1, 40) * 100
        price = 2_000_000 + (-away if side == "B" else away)
        order = Order(self._reference, side, price, self._random.randrange(1, 500))
        book.orders.append(order)
        return itch.add_order(
            book.locate, self._time_ns, order.reference, side, order.quantity, book.symbol, price
        )

    def _replace(self, book: PlainBook, order: Order) -> bytes:
        book.orders.remove(order)
        self._reference += 1
        price = max(100, order.price + self._random.choice((-100, 0, 100)))
        new = Order(self._reference, order.side, price, self._random.randrange(1, 500))
        book.orders.append(new)
        return itch.replaced(
            book.locate, self._time_ns, order.reference, new.reference, new.quantity, price
        )

    def _take(self, book: PlainBook, order: Order, draw: float) -> bytes:
        """Cancel a part of an order, or execute some or all of it."""
        quantity = self._random.randrange(1, order.quantity + 1)
        if draw < 0.75 and quantity < order.quantity:
            order.quantity -= quantity
            return itch.reduced(book.locate, self._time_ns, order.reference, quantity)
        order.quantity -= quantity
        if not order.quantity:
            book.orders.remove(order)
        self._match += 1
        head = (book.locate, self._time_ns, order.reference, quantity, self._match)
        if draw < 0.95:
            book.trades.append((self._match, order.price, quantity))
            return itch.executed(*head)
        printable = self._random.choice("YN")
        if printable == "Y":
            book.trades.append((self._match, order.price + 50, quantity))
        return itch.executed_with_price(*head, printable, order.price + 50)

    def _hidden(self, book: PlainBook) -> bytes:
        self._match += 1
        book.trades.append((self._match, 2_000_000, 10))
        return itch.hidden_trade(
            book.locate, self._time_ns, 10, book.symbol, 2_000_000, self._match
        )
