"""What the directory says of an account, a key or an instrument: immutable, and safe to share
between threads.

A change makes a new entry; nobody sees half of one. Prices are price ticks (1/10,000 dollar),
quantities shares, and 0 means "none" or "no limit".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from commands.directory.aggregates import Account, Instrument

EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits; 0 is no limit. `order_notional_max` is in price ticks times shares."""

    order_quantity_max: int = 0
    order_notional_max: int = 0
    open_orders_max: int = 0


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One API key. `sha256` is of its secret, in hexadecimal."""

    key_id: str
    account: int
    sha256: str
    scopes: frozenset[str]
    revoked: bool


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One account, with its keys in order of creation."""

    number: int
    name: str
    limits: Limits
    killed: bool
    keys: tuple[KeyEntry, ...]


@dataclass(frozen=True, slots=True)
class InstrumentEntry:
    """One instrument. `state` is the trading state asked for (`domain.codes.TradingState`).

    `closed_for` is the last day (YYYY-MM-DD) for which the schedule closed it, empty for none, and
    `opens_later` tells whether the schedule is to open it.
    """

    number: int
    symbol: str
    shard: int
    tick_size: int
    lot_size: int
    price_collar: int
    reference_price: int
    state: int
    listed_at: datetime = EPOCH
    closed_for: str = ""
    opens_later: bool = False


@dataclass(frozen=True, slots=True)
class InstrumentTerms:
    """What is said of an instrument when it is listed."""

    symbol: str
    tick_size: int
    lot_size: int = 1
    price_collar: int = 0
    reference_price: int = 0
    state: int = 0


def account_entry(account: Account) -> AccountEntry:
    """The entry of an account as it is now."""
    limits = Limits(account.order_quantity_max, account.order_notional_max, account.open_orders_max)
    keys = tuple(
        KeyEntry(key_id, account.number, key["sha256"], frozenset(key["scopes"]), key["revoked"])
        for key_id, key in account.keys.items()
    )
    return AccountEntry(account.number, account.name, limits, account.killed, keys)


def instrument_entry(instrument: Instrument) -> InstrumentEntry:
    """The entry of an instrument as it is now."""
    return InstrumentEntry(
        number=instrument.number,
        symbol=instrument.symbol,
        shard=instrument.shard,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        price_collar=instrument.price_collar,
        reference_price=instrument.reference_price,
        state=instrument.state,
        listed_at=instrument.created_on,
        closed_for=instrument.closed_for,
        opens_later=instrument.opens_as is not None,
    )
