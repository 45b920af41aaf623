"""Books order by order, kept from ITCH messages.

Guarantees: orders of one price are in priority order; the objects that a program holds stay the
books of their symbols, whatever is recovered. `crossbook_client.feed.books` changes them.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from crossbook_client.models import Level

CHECKSUM_LEVELS: Final = 10
TRADES_KEPT: Final = 100
STATES: Final = {"T": "trading", "H": "halted", "P": "paused", "Q": "quotation_only"}


class ContradictionError(Exception):
    """A sound message that does not fit the books."""


class FeedOrder(msgspec.Struct, frozen=True):
    """One resting order. `order_id` as REST has it, `side` buy or sell."""

    order_id: str
    side: str
    price: Decimal
    quantity: int


class FeedTrade(msgspec.Struct, frozen=True, gc=False):
    """One trade. `aggressor_side` is buy, sell, or empty for an auction's."""

    match_number: int
    price_ticks: int
    quantity: int
    aggressor_side: str
    time_ns: int

    @property
    def price(self) -> Decimal:
        """Dollars with 4 decimals."""
        return price_of(self.price_ticks)


class PriceLevel:
    """The orders of one price, oldest first: a dict keeps the order in which they came."""

    __slots__ = ("orders", "price_ticks", "quantity")

    def __init__(self, price_ticks: int) -> None:
        self.price_ticks = price_ticks
        self.quantity = 0
        self.orders: dict[int, RestingOrder] = {}


class BookSide:
    """The levels of one side; `keys` are their prices in order, a bid's negated, best first."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}

    def level(self, price_ticks: int) -> PriceLevel:
        """The level of a price, made where there is none."""
        found = self.levels.get(price_ticks)
        if found is None:
            found = self.levels[price_ticks] = PriceLevel(price_ticks)
            insort(self.keys, self.sign * price_ticks)
        return found

    def drop(self, level: PriceLevel) -> None:
        """Forget a level without orders."""
        del self.levels[level.price_ticks]
        del self.keys[bisect_left(self.keys, self.sign * level.price_ticks)]

    def best_first(self, depth: int | None = None) -> Iterator[PriceLevel]:
        """Levels, best first."""
        return (self.levels[self.sign * key] for key in self.keys[:depth])


class RestingOrder:
    """An order's place: its book, side and level."""

    __slots__ = ("book", "level", "order_reference", "quantity", "side")

    def __init__(
        self, order_reference: int, quantity: int, book: FeedBook, side: BookSide, level: PriceLevel
    ) -> None:
        self.order_reference = order_reference
        self.quantity = quantity
        self.book = book
        self.side = side
        self.level = level


class FeedBook:
    """One symbol's book, order by order, as of the last message that was applied."""

    def __init__(self, symbol: str, locate: int) -> None:
        self.symbol = symbol
        self.locate = locate
        self.trades: deque[FeedTrade] = deque(maxlen=TRADES_KEPT)
        self.clear()

    def clear(self) -> None:
        """Forget orders, trades and state."""
        self.round_lot = 0
        self.state_code = ""
        self.reason = ""
        self.trade_count = 0
        self.trades.clear()
        self.bid_side = BookSide(-1)
        self.ask_side = BookSide(1)

    @property
    def trading_state(self) -> str:
        """trading, halted, paused or quotation_only; empty before the first 'H'."""
        return STATES.get(self.state_code, "")

    @property
    def bids(self) -> list[Level]:
        """All bids, best first."""
        return _levels(self.bid_side)

    @property
    def asks(self) -> list[Level]:
        """All asks, best first."""
        return _levels(self.ask_side)

    @property
    def best_bid(self) -> Level | None:
        """The best bid."""
        return next(iter(_levels(self.bid_side, 1)), None)

    @property
    def best_ask(self) -> Level | None:
        """The best ask."""
        return next(iter(_levels(self.ask_side, 1)), None)

    @property
    def last_trade(self) -> FeedTrade | None:
        """The newest trade seen."""
        return self.trades[-1] if self.trades else None

    @property
    def order_count(self) -> int:
        """How many orders rest."""
        sides = (self.bid_side, self.ask_side)
        return sum(len(level.orders) for side in sides for level in side.levels.values())

    @property
    def orders(self) -> list[FeedOrder]:
        """Every resting order: bids from the best on, then asks; oldest first within a price."""
        return [*_orders(self.bid_side, "buy"), *_orders(self.ask_side, "sell")]

    @property
    def checksum(self) -> int:
        """CRC-32 of the top ten levels, as docs/stream.md defines it."""
        text = "|".join(
            ";".join(
                f"{_price_text(level.price_ticks)}:{level.quantity}"
                for level in side.best_first(CHECKSUM_LEVELS)
            )
            for side in (self.bid_side, self.ask_side)
        )
        return zlib.crc32(text.encode("ascii"))

    def add_trade(self, trade: FeedTrade) -> None:
        """Count a trade and keep it."""
        self.trade_count += 1
        self.trades.append(trade)


def price_of(price_ticks: int) -> Decimal:
    """Dollars with 4 decimals."""
    return Decimal(price_ticks).scaleb(-4)


def _price_text(price_ticks: int) -> str:
    return f"{price_ticks // 10_000}.{price_ticks % 10_000:04d}"


def _levels(side: BookSide, depth: int | None = None) -> list[Level]:
    return [
        Level(price_of(level.price_ticks), level.quantity, len(level.orders))
        for level in side.best_first(depth)
    ]


def _orders(side: BookSide, name: str) -> Iterator[FeedOrder]:
    for level in side.best_first():
        price = price_of(level.price_ticks)
        for order in level.orders.values():
            yield FeedOrder(str(order.order_reference), name, price, order.quantity)
