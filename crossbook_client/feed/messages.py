"""Nasdaq TotalView-ITCH 5.0 messages as frozen structs: what `crossbook_client.feed.itch` decodes
to.

Prices are `price_ticks`, 1/10,000 of a dollar; quantities are shares; `time_ns` counts from
midnight UTC of trading time. An order reference is the exchange's order id as a number. Source:
Nasdaq TotalView-ITCH 5.0 specification, section 4.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

BUY = "B"
SELL = "S"


class SystemEvent(Struct, frozen=True, gc=False):
    """'S'. `event`: O, S, Q, M, E or C: start of messages, of system hours, of market hours;
    ends."""

    locate: int
    time_ns: int
    event: str


class StockDirectory(Struct, frozen=True, gc=False):
    """'R': what `locate` stands for. `round_lot` in shares."""

    locate: int
    time_ns: int
    symbol: str
    round_lot: int


class TradingAction(Struct, frozen=True, gc=False):
    """'H'. `state`: T trading, H halted, P paused, Q quotation only; `reason` is the four letters
    that came with it."""

    locate: int
    time_ns: int
    symbol: str
    state: str
    reason: str


class AddOrder(Struct, frozen=True, gc=False):
    """'A' or 'F': an order rests at the back of its price's queue. `side`: B or S."""

    locate: int
    time_ns: int
    order_reference: int
    side: str
    quantity: int
    symbol: str
    price_ticks: int


class OrderExecuted(Struct, frozen=True, gc=False):
    """'E': a resting order traded at its own price."""

    locate: int
    time_ns: int
    order_reference: int
    quantity: int
    match_number: int


class OrderExecutedWithPrice(Struct, frozen=True, gc=False):
    """'C': a resting order traded at another price. Counts as volume only where `printable`."""

    locate: int
    time_ns: int
    order_reference: int
    quantity: int
    match_number: int
    printable: bool
    price_ticks: int


class OrderReduced(Struct, frozen=True, gc=False):
    """'X': `quantity` shares of an order were cancelled; it keeps its place."""

    locate: int
    time_ns: int
    order_reference: int
    quantity: int


class OrderDeleted(Struct, frozen=True, gc=False):
    """'D': an order is gone."""

    locate: int
    time_ns: int
    order_reference: int


class OrderReplaced(Struct, frozen=True, gc=False):
    """'U': an order gave up its place; `new_reference` is at the back of its price's queue."""

    locate: int
    time_ns: int
    order_reference: int
    new_reference: int
    quantity: int
    price_ticks: int


class HiddenTrade(Struct, frozen=True, gc=False):
    """'P': a trade with an order that was not displayed."""

    locate: int
    time_ns: int
    side: str
    quantity: int
    symbol: str
    price_ticks: int
    match_number: int


class CrossTrade(Struct, frozen=True, gc=False):
    """'Q': an auction's trade. `cross`: O opening, C closing, H halted or new, I intraday."""

    locate: int
    time_ns: int
    quantity: int
    symbol: str
    price_ticks: int
    match_number: int
    cross: str


class OtherMessage(Struct, frozen=True, gc=False):
    """A type of ITCH 5.0 that changes no book and is no trade; `body` begins with its type."""

    locate: int
    time_ns: int
    kind: str
    body: bytes


Message: TypeAlias = (
    SystemEvent
    | StockDirectory
    | TradingAction
    | AddOrder
    | OrderExecuted
    | OrderExecutedWithPrice
    | OrderReduced
    | OrderDeleted
    | OrderReplaced
    | HiddenTrade
    | CrossTrade
    | OtherMessage
)
