"""What can be asked of the exchange. Commands are imperative, carry numbers only, and say nothing
about the outcome.

Prices are integers of 1/10,000 dollar, quantities integers of shares; `account` and `instrument`
are the directory's numbers, from 1. Times are nanoseconds since 1970 (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mypy_extensions import i64


@dataclass
class SubmitOrder:
    """Offer to buy or sell. `price_ticks` is 0 in a market order; `client_order_id` is `b""` where
    there is none.
    """

    account: i64
    instrument: i64
    side: i64
    order_type: i64
    time_in_force: i64
    price_ticks: i64
    quantity: i64
    client_order_id: bytes = b""


@dataclass
class CancelOrder:
    """Take an order of this account off the book, named by `order_id` or, where that is 0, by
    `client_order_id`.
    """

    account: i64
    instrument: i64
    order_id: i64 = 0
    client_order_id: bytes = b""


@dataclass
class ReplaceOrder:
    """Change an open order's price or quantity; 0 leaves that one as it is.

    `quantity` is the new open quantity, or with `REPLACE_TOTAL` the new total, executed part
    included. `REPLACE_REQUEUE` gives up time priority even where it could be kept."""

    account: i64
    instrument: i64
    order_id: i64 = 0
    price_ticks: i64 = 0
    quantity: i64 = 0
    flags: i64 = 0
    client_order_id: bytes = b""


@dataclass
class MassCancel:
    """Cancel every open order that matches. 0 means every account, or every instrument."""

    account: i64
    instrument: i64
    side: i64


@dataclass
class SetTradingState:
    """Open, halt, restrict to cancels, or close an instrument."""

    instrument: i64
    state: i64


@dataclass
class ClockTick:
    """Trading time is now `time_ns`. The only way in which it advances."""

    time_ns: i64


@dataclass
class ListInstrument:
    """Make an instrument tradable. Sizes in price ticks and shares; a `price_collar` of 0 means
    none.
    """

    instrument: i64
    symbol: bytes
    tick_size: i64
    lot_size: i64
    price_collar: i64 = 0
    state: i64 = 0


@dataclass
class SetAccount:
    """Register an account, or change its limits. `open_orders_max` 0 means no limit; killing
    cancels all its orders.
    """

    account: i64
    open_orders_max: i64 = 0
    killed: bool = False


Command: TypeAlias = (
    SubmitOrder
    | CancelOrder
    | ReplaceOrder
    | MassCancel
    | SetTradingState
    | ClockTick
    | ListInstrument
    | SetAccount
)
