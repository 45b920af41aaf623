"""What the exchange answers, as frozen structs. docs/rest.md is the source of every field.

Prices are `Decimal` dollars, quantities whole shares, sequences and match numbers `int`, order ids
opaque strings, times aware `datetime`s in UTC. A field that an answer left out has its default.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct


class Order(Struct, frozen=True):
    """An order as it is now. `state`: open, filled, cancelled, expired, rejected."""

    order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: int
    executed_quantity: int
    leaves_quantity: int
    state: str
    client_order_id: str | None = None
    price: Decimal | None = None
    average_price: Decimal | None = None
    reason: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    position: str | None = None


class OrderResult(Struct, frozen=True):
    """What one command came to.

    `outcome`: accepted, repeated, replaced, cancelled, rejected, or pending (durable, not matched
    yet). Executions and average price are this command's own. `order` is the present order of a
    repeat; `reason`, `refused_by` and `detail` are of a refused item of a batch.
    """

    status: int = 200
    outcome: str = ""
    order_id: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    state: str | None = None
    executed_quantity: int = 0
    leaves_quantity: int = 0
    average_price: Decimal | None = None
    cancel_reason: str | None = None
    reason: str | None = None
    refused_by: str | None = None
    detail: str | None = None
    position: str | None = None
    order: Order | None = None

    @property
    def refused(self) -> bool:
        """Whether this item of a batch was refused."""
        return self.status >= 400


class BatchResult(Struct, frozen=True):
    """One result a command, in order. `position` is of all of them; None where none was written."""

    results: list[OrderResult]
    position: str | None = None


class MassCancelResult(Struct, frozen=True):
    """How many orders a mass cancel took."""

    outcome: str = ""
    cancelled_count: int = 0
    position: str | None = None


class OrderPage(Struct, frozen=True):
    """A page of the account's orders, newest first; `next_cursor` asks for the next."""

    orders: list[Order]
    next_cursor: str | None = None


class Level(Struct, frozen=True):
    """One price level."""

    price: Decimal
    quantity: int
    order_count: int


class Book(Struct, frozen=True):
    """Levels of both sides, best first, as of `sequence`."""

    symbol: str
    sequence: int
    bids: list[Level]
    asks: list[Level]
    position: str | None = None
    state: str | None = None


class Delta(Struct, frozen=True):
    """The new absolute quantity of one level; 0 removes it. `side`: buy, sell."""

    sequence: int
    side: str
    price: Decimal
    quantity: int
    order_count: int


class Deltas(Struct, frozen=True, tag_field="kind", tag="deltas"):
    """Every change after `since`, in order, up to `sequence`. `more`: ask again at once."""

    symbol: str
    since: int
    sequence: int
    deltas: list[Delta]
    position: str | None = None
    more: bool = False


class BookSnapshot(Struct, frozen=True, tag_field="kind", tag="snapshot"):
    """The whole book instead of deltas. `fallback`: too_old, ahead."""

    symbol: str
    fallback: str
    sequence: int
    bids: list[Level]
    asks: list[Level]
    position: str | None = None
    state: str | None = None


class Trade(Struct, frozen=True):
    """One execution, without who traded."""

    match_number: int
    price: Decimal
    quantity: int
    aggressor_side: str
    time: datetime
    position: str | None = None


class TradePage(Struct, frozen=True):
    """A page of trades, newest first; `next_before` asks for the next."""

    symbol: str
    trades: list[Trade]
    next_before: int | None = None


class Instrument(Struct, frozen=True):
    """What can be traded. `state`: open, halted, cancel_only, closed."""

    symbol: str
    tick_size: Decimal
    lot_size: int
    state: str
    price_collar: Decimal | None = None
    reference_price: Decimal | None = None


class InstrumentList(Struct, frozen=True):
    """A page of instruments; `next_cursor` asks for the next."""

    instruments: list[Instrument]
    next_cursor: str | None = None


class AdminInstrument(Struct, frozen=True):
    """An instrument as the directory has it."""

    symbol: str
    number: int
    shard: int
    tick_size: Decimal
    lot_size: int
    state: str
    price_collar: Decimal | None = None
    reference_price: Decimal | None = None
    position: str | None = None


class AdminInstrumentList(Struct, frozen=True):
    """A page of instruments, as the directory has them."""

    instruments: list[AdminInstrument]
    next_cursor: str | None = None


class Limits(Struct, frozen=True, omit_defaults=False):
    """An account's limits; None is no limit. Notional in dollars."""

    order_quantity_max: int | None = None
    order_notional_max: Decimal | None = None
    open_orders_max: int | None = None


class AccountKey(Struct, frozen=True):
    """A key, without its secret."""

    key_id: str
    scopes: list[str]
    revoked: bool = False


class Account(Struct, frozen=True):
    """An account. `state`: active, killed."""

    account: int
    name: str
    state: str
    limits: Limits
    keys: list[AccountKey] = []
    position: str | None = None


class AccountList(Struct, frozen=True):
    """A page of accounts."""

    accounts: list[Account]
    next_cursor: str | None = None


class AuditedChange(Struct, frozen=True):
    """One change of the directory: `event` of `subject` (an account's number, a symbol) by `by`."""

    notification_id: int
    time: datetime
    event: str
    subject: str
    by: str
    changes: dict[str, Any]


class AuditPage(Struct, frozen=True):
    """A page of changes, newest first."""

    changes: list[AuditedChange]
    next_cursor: str | None = None


class NewKey(Struct, frozen=True):
    """A key as its owner sees it, this once."""

    key_id: str
    key: str
    scopes: list[str]
