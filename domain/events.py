"""What happened. Events are facts in the past tense; every projection is a function of them.

`command_index` names the command of the batch that caused the event. `book_sequence` counts up by
one with every event of one instrument's book; refusals, repeats and summaries change no book and
have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mypy_extensions import i64


@dataclass
class OrderAccepted:
    """An order passed every check. It comes before its own executions."""

    command_index: i64
    account: i64
    instrument: i64
    order_id: i64
    side: i64
    order_type: i64
    time_in_force: i64
    price_ticks: i64
    quantity: i64
    book_sequence: i64
    client_order_id: bytes


@dataclass
class OrderRejected:
    """A command was refused and changed nothing. `order_id` is the new order's, or the one that was
    aimed at.
    """

    command_index: i64
    command_type: i64
    reason: i64
    account: i64
    instrument: i64
    order_id: i64
    side: i64
    order_type: i64
    time_in_force: i64
    price_ticks: i64
    quantity: i64
    client_order_id: bytes


@dataclass
class OrderExecuted:
    """Two orders traded `quantity` at the resting order's price. `…_leaves` is what stays open of
    each afterwards.
    """

    command_index: i64
    instrument: i64
    aggressor_side: i64
    aggressor_order_id: i64
    aggressor_account: i64
    aggressor_leaves: i64
    resting_order_id: i64
    resting_account: i64
    resting_leaves: i64
    price_ticks: i64
    quantity: i64
    match_number: i64
    book_sequence: i64


@dataclass
class OrderCancelled:
    """`quantity` of an order was taken off, all that was open of it; `reason` says why."""

    command_index: i64
    account: i64
    instrument: i64
    order_id: i64
    side: i64
    reason: i64
    price_ticks: i64
    quantity: i64
    book_sequence: i64


@dataclass
class OrderExpired:
    """A DAY order ended when its instrument closed. `quantity` is what was open."""

    command_index: i64
    account: i64
    instrument: i64
    order_id: i64
    side: i64
    reason: i64
    price_ticks: i64
    quantity: i64
    book_sequence: i64


@dataclass
class OrderReplaced:
    """An order has a new price or open quantity. It comes before the executions that the new price
    causes.
    """

    command_index: i64
    account: i64
    instrument: i64
    order_id: i64
    side: i64
    kept_priority: bool
    price_ticks: i64
    leaves_quantity: i64
    previous_price_ticks: i64
    previous_leaves_quantity: i64
    executed_quantity: i64
    book_sequence: i64


@dataclass
class LevelChanged:
    """The new absolute state of one price level, once a level and command, after the command's
    other events.
    """

    command_index: i64
    instrument: i64
    side: i64
    price_ticks: i64
    quantity: i64
    order_count: i64
    book_sequence: i64


@dataclass
class TradingStateChanged:
    """An instrument's trading state is now `state`."""

    command_index: i64
    instrument: i64
    state: i64
    previous_state: i64
    book_sequence: i64


@dataclass
class InstrumentListed:
    """An instrument is tradable from here on."""

    command_index: i64
    instrument: i64
    symbol: bytes
    tick_size: i64
    lot_size: i64
    price_collar: i64
    state: i64
    book_sequence: i64


@dataclass
class AccountUpdated:
    """An account is known with these limits. The cancels that a kill causes follow."""

    command_index: i64
    account: i64
    open_orders_max: i64
    killed: bool


@dataclass
class ClockTicked:
    """Trading time advanced."""

    command_index: i64
    time_ns: i64


@dataclass
class OrderRepeated:
    """The same client order id with the same body was seen before; `order_id` is the first one's.
    Nothing changed.
    """

    command_index: i64
    account: i64
    instrument: i64
    order_id: i64


@dataclass
class MassCancelled:
    """How many orders a mass cancel took; their own events come before it."""

    command_index: i64
    account: i64
    instrument: i64
    side: i64
    cancelled_count: i64


Event: TypeAlias = (
    OrderAccepted
    | OrderRejected
    | OrderExecuted
    | OrderCancelled
    | OrderExpired
    | OrderReplaced
    | LevelChanged
    | TradingStateChanged
    | InstrumentListed
    | AccountUpdated
    | ClockTicked
    | OrderRepeated
    | MassCancelled
)
