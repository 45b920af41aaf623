"""The market data messages of `/v1/stream` as types: what docs/stream.md and the AsyncAPI document
describe. The hub writes the same by hand, because it writes each message once and fast.

Levels are `[price, quantity, order count]`, prices decimal strings with 4 decimals, sequences and
ids strings of digits, times RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Sequence: TypeAlias = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]*)$")]
Price: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]{4}$")]
Quantity: TypeAlias = Annotated[int, Meta(ge=0)]
Level: TypeAlias = tuple[Price, Quantity, Quantity]
QueuedOrder: TypeAlias = tuple[str, Price, Quantity]
Side: TypeAlias = Literal["buy", "sell"]
State: TypeAlias = Literal["open", "halted", "cancel_only", "closed"]
Resync: TypeAlias = Literal["too_old", "ahead"]
Crc: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class _Message(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    symbol: str
    sequence: Sequence


class _Snapshot(_Message, kw_only=True):
    type: Literal["snapshot"]
    conflated: bool = False
    resync: Resync | None = None


class _Next(_Message, kw_only=True):
    previous_sequence: Sequence


class Level2Snapshot(_Snapshot, kw_only=True):
    """Every level of both sides, best first."""

    channel: Literal["level2"]
    state: State
    bids: list[Level]
    asks: list[Level]
    checksum: Crc


class Level2Delta(_Next, kw_only=True):
    """New absolute quantities of levels; a quantity of 0 removes one."""

    type: Literal["delta"]
    channel: Literal["level2"]
    bids: list[Level]
    asks: list[Level]
    checksum: Crc | None = None


class Level1Snapshot(_Snapshot, kw_only=True):
    """The best level of each side; null where there is none."""

    channel: Literal["level1"]
    bid: Level | None
    ask: Level | None


class Level1Top(_Next, kw_only=True):
    """One of the best levels changed: both, as they are now."""

    type: Literal["top"]
    channel: Literal["level1"]
    bid: Level | None
    ask: Level | None


class Match(Struct, forbid_unknown_fields=True):
    """One execution, without who traded. `time` is as in `/v1/trades`."""

    match_number: Sequence
    price: Price
    quantity: Quantity
    aggressor_side: Side
    time: str


class TradesSnapshot(_Snapshot, kw_only=True):
    """The last trade; null where none is known."""

    channel: Literal["trades"]
    last_trade: Match | None


class TradeMessage(_Next, kw_only=True):
    """One execution, without who traded."""

    type: Literal["trade"]
    channel: Literal["trades"]
    match_number: Sequence
    price: Price
    quantity: Quantity
    aggressor_side: Side
    time: str


class OrdersSnapshot(_Snapshot, kw_only=True):
    """Every resting order, each side in priority order: `[order id, price, leaves quantity]`."""

    channel: Literal["orders"]
    bids: list[QueuedOrder]
    asks: list[QueuedOrder]


class OrderChange(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What happened to one order. `quantity` is what is open of it afterwards.

    added: to the back of its price's queue; executed: `executed` shares in match `match_number`;
    reduced: keeps its place; removed: is gone, perhaps to be added again elsewhere."""

    event: Literal["added", "executed", "reduced", "removed"]
    order_id: Sequence
    side: Side
    price: Price
    quantity: Quantity
    executed: Quantity = 0
    match_number: Sequence | None = None


class OrdersMessage(_Next, kw_only=True):
    """What happened to resting orders, in order."""

    type: Literal["orders"]
    channel: Literal["orders"]
    changes: list[OrderChange]


class StatusSnapshot(_Snapshot, kw_only=True):
    """The trading state."""

    channel: Literal["status"]
    state: State


class StatusMessage(_Next, kw_only=True):
    """The trading state changed."""

    type: Literal["status"]
    channel: Literal["status"]
    state: State


class ExecutionsSnapshot(_Snapshot, kw_only=True):
    """Where the chain begins."""

    channel: Literal["executions"]


class ExecutionMessage(_Next, kw_only=True):
    """One of the account's orders was executed."""

    type: Literal["execution"]
    channel: Literal["executions"]
    order_id: Sequence
    side: Side
    price: Price
    quantity: Quantity
    leaves_quantity: Quantity
    match_number: Sequence
    liquidity: Literal["taker", "maker"]
    time: str


MARKET_MESSAGES = (
    Level2Snapshot,
    Level2Delta,
    Level1Snapshot,
    Level1Top,
    TradesSnapshot,
    TradeMessage,
    OrdersSnapshot,
    OrdersMessage,
    StatusSnapshot,
    StatusMessage,
    ExecutionsSnapshot,
    ExecutionMessage,
)
