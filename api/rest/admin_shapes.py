"""What the administration endpoints take and answer. Prices are decimal strings; null is none, or
no limit."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from commands.directory.entries import AccountEntry, InstrumentEntry
from commands.directory.terms import NAME, SYMBOL
from commands.validation import Amount, Price, no_price, price_text
from domain.codes import TradingState

State = Literal["open", "halted", "cancel_only", "closed"]
ListedSymbol = Annotated[str, Meta(extra_json_schema={"pattern": f"^{SYMBOL.pattern}$"})]
AccountName = Annotated[str, Meta(extra_json_schema={"pattern": f"^{NAME.pattern}$"})]
Limit = Annotated[int, Meta(ge=0, description="0 or null: no limit.")]


class ListingBody(Struct, forbid_unknown_fields=True):
    """An instrument to list."""

    symbol: ListedSymbol
    tick_size: Price
    lot_size: int = 1
    price_collar: Price = msgspec.field(default_factory=no_price)
    reference_price: Price = msgspec.field(default_factory=no_price)
    state: State = "open"


class InstrumentPatch(Struct, forbid_unknown_fields=True):
    """A new reference price; null for none."""

    reference_price: Price


class InstrumentStateBody(Struct, forbid_unknown_fields=True):
    """The trading state wanted."""

    state: State


class LimitsBody(Struct, forbid_unknown_fields=True):
    """Limits to change; those left out stay."""

    order_quantity_max: Limit | UnsetType | None = UNSET
    order_notional_max: Amount | UnsetType = UNSET
    open_orders_max: Limit | UnsetType | None = UNSET


class AccountBody(Struct, forbid_unknown_fields=True):
    """An account to open."""

    name: AccountName
    limits: LimitsBody = msgspec.field(default_factory=LimitsBody)


class AccountPatch(Struct, forbid_unknown_fields=True):
    """New limits."""

    limits: LimitsBody


class AccountStateBody(Struct, forbid_unknown_fields=True):
    """The kill switch: `killed` cancels every open order and refuses new ones."""

    state: Literal["active", "killed"]


class KeyBody(Struct, forbid_unknown_fields=True):
    """The scopes of a key to create."""

    scopes: list[Literal["read", "trade", "admin"]]


class InstrumentAnswer(Struct, kw_only=True):
    """An instrument as the directory has it."""

    symbol: str
    number: int
    shard: int
    tick_size: str
    lot_size: int
    price_collar: str | None
    reference_price: str | None
    state: str
    position: str | UnsetType = UNSET


class LimitsAnswer(Struct):
    """An account's limits; null is no limit. Notional in dollars."""

    order_quantity_max: int | None
    order_notional_max: str | None
    open_orders_max: int | None


class KeyAnswer(Struct):
    """A key, without its secret."""

    key_id: str
    scopes: list[str]
    revoked: bool


class AccountAnswer(Struct, kw_only=True):
    """An account as the directory has it."""

    account: int
    name: str
    state: str
    limits: LimitsAnswer
    keys: list[KeyAnswer]
    position: str | UnsetType = UNSET


class NewKeyAnswer(Struct):
    """A key as its owner sees it, this once."""

    key_id: str
    key: str
    scopes: list[str]


class InstrumentsAnswer(Struct):
    """A page of instruments, by number; `next_cursor` asks for the next."""

    instruments: list[InstrumentAnswer]
    next_cursor: str | None


class AccountsAnswer(Struct):
    """A page of accounts, by number; `next_cursor` asks for the next."""

    accounts: list[AccountAnswer]
    next_cursor: str | None


def _price_or_none(ticks: int) -> str | None:
    return price_text(ticks) if ticks else None


def instrument_answer(entry: InstrumentEntry) -> InstrumentAnswer:
    """An entry as an answer; a write adds its position."""
    return InstrumentAnswer(
        symbol=entry.symbol,
        number=entry.number,
        shard=entry.shard,
        tick_size=price_text(entry.tick_size),
        lot_size=entry.lot_size,
        price_collar=_price_or_none(entry.price_collar),
        reference_price=_price_or_none(entry.reference_price),
        state=TradingState(entry.state).name.lower(),
    )


def account_answer(entry: AccountEntry) -> AccountAnswer:
    """An entry as an answer; a write adds its position."""
    limits = entry.limits
    return AccountAnswer(
        account=entry.number,
        name=entry.name,
        state="killed" if entry.killed else "active",
        limits=LimitsAnswer(
            limits.order_quantity_max or None,
            _price_or_none(limits.order_notional_max),
            limits.open_orders_max or None,
        ),
        keys=[KeyAnswer(key.key_id, sorted(key.scopes), key.revoked) for key in entry.keys],
    )
