"""The directory's aggregates: accounts with their keys, instruments, and the registers that number
both.

Every event has a topic that stays when a class moves, carries JSON values only, and names in `by`
who asked for it: the directory's event store is its own audit trail. Prices are price ticks
(1/10,000 dollar), quantities shares, and 0 means "no limit" throughout, as in the engine.
"""

from __future__ import annotations

from typing import Final, TypedDict
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate, event

from domain.codes import TradingState

# Identifies this directory's names among all UUIDs of version 5. Changing it would orphan every
# aggregate.
NAMESPACE: Final = UUID("5a0c6b0e-57d1-5c2b-9d0f-7f6a4be3c1d2")

ACCOUNTS: Final = "accounts"
INSTRUMENTS: Final = "instruments"

# The events that matter to the shards (`streams.directory_follower`).
ACCOUNT_CREATED: Final = "crossbook.account.created"
LIMITS_SET: Final = "crossbook.account.limits-set"
KILL_SWITCH_SET: Final = "crossbook.account.kill-switch-set"
INSTRUMENT_LISTED: Final = "crossbook.instrument.listed"
TRADING_STATE_SET: Final = "crossbook.instrument.trading-state-set"
CLOSED_FOR_DAY: Final = "crossbook.instrument.closed-for-day"
OPENED_FOR_DAY: Final = "crossbook.instrument.opened-for-day"
# The one that matters to clocks (`streams.clock`).
CLOCK_RESUMED: Final = "crossbook.clock.resumed"
KEY_CREATED: Final = "crossbook.account.key-created"
KEY_REVOKED: Final = "crossbook.account.key-revoked"
REFERENCE_PRICE_SET: Final = "crossbook.instrument.reference-price-set"
# The changes that somebody asked for: each names in `by` who.
AUDITED: Final = (
    ACCOUNT_CREATED,
    LIMITS_SET,
    KILL_SWITCH_SET,
    KEY_CREATED,
    KEY_REVOKED,
    INSTRUMENT_LISTED,
    TRADING_STATE_SET,
    CLOSED_FOR_DAY,
    OPENED_FOR_DAY,
    REFERENCE_PRICE_SET,
    CLOCK_RESUMED,
)


class KeyState(TypedDict):
    """What an account remembers of one of its keys."""

    sha256: str
    scopes: list[str]
    revoked: bool


class Register(Aggregate):
    """Hands out the numbers of one kind, from 1, and the shard of each: the one with the fewest so
    far.

    So a shard that is added takes the new listings until it has as many as the others.
    """

    TOPIC = "crossbook.register"

    @staticmethod
    def create_id(kind: str) -> UUID:
        """One register a kind, found by its name."""
        return uuid5(NAMESPACE, f"register:{kind}")

    @event("Created", topic="crossbook.register.created")
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last_number = 0
        self.shard_counts: dict[int, int] = {}

    @event("NumberTaken", topic="crossbook.register.number-taken")
    def take(self, *, number: int, shard: int) -> None:
        """Number `number` is taken, on `shard`."""
        self.last_number = number
        self.shard_counts[shard] = self.shard_counts.get(shard, 0) + 1

    def emptiest_shard(self, shards: int) -> int:
        """The shard, of 0 to `shards - 1`, with the fewest numbers; of several, the lowest."""
        return min(range(shards), key=lambda shard: (self.shard_counts.get(shard, 0), shard))


class AccountName(Aggregate):
    """Keeps account names unique: its id is the name's, so a second one cannot be saved."""

    TOPIC = "crossbook.account-name"

    @staticmethod
    def create_id(name: str) -> UUID:
        """The id that this name always has."""
        return uuid5(NAMESPACE, f"account-name:{name}")

    @event("Created", topic="crossbook.account-name.created")
    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number


class Account(Aggregate):
    """Who may trade: limits, the kill switch, and API keys (as hashes; a secret is never
    stored)."""

    TOPIC = "crossbook.account"

    @staticmethod
    def create_id(number: int) -> UUID:
        """The id that the account with this number always has."""
        return uuid5(NAMESPACE, f"account:{number}")

    @event("Created", topic=ACCOUNT_CREATED)
    def __init__(
        self,
        *,
        number: int,
        name: str,
        order_quantity_max: int,
        order_notional_max: int,
        open_orders_max: int,
        by: str,
    ) -> None:
        self.number = number
        self.name = name
        self.order_quantity_max = order_quantity_max
        self.order_notional_max = order_notional_max
        self.open_orders_max = open_orders_max
        self.killed = False
        self.keys: dict[str, KeyState] = {}

    @event("LimitsSet", topic=LIMITS_SET)
    def set_limits(
        self, *, order_quantity_max: int, order_notional_max: int, open_orders_max: int, by: str
    ) -> None:
        """All three limits at once; notional in price ticks times shares."""
        self.order_quantity_max = order_quantity_max
        self.order_notional_max = order_notional_max
        self.open_orders_max = open_orders_max

    @event("KillSwitchSet", topic=KILL_SWITCH_SET)
    def set_killed(self, killed: bool, by: str) -> None:
        """True cancels every open order and refuses new ones, from the command's position on."""
        self.killed = killed

    @event("KeyCreated", topic=KEY_CREATED)
    def add_key(self, *, key_id: str, sha256: str, scopes: list[str], by: str) -> None:
        """A key is valid from now on; `sha256` is the hash of its secret, in hexadecimal."""
        self.keys[key_id] = {"sha256": sha256, "scopes": scopes, "revoked": False}

    @event("KeyRevoked", topic=KEY_REVOKED)
    def revoke_key(self, *, key_id: str, by: str) -> None:
        """A key is refused from now on, for ever."""
        self.keys[key_id]["revoked"] = True


class Instrument(Aggregate):
    """What can be traded. Its shard is chosen when it is listed and never changes."""

    TOPIC = "crossbook.instrument"

    @staticmethod
    def create_id(symbol: str) -> UUID:
        """The id that this symbol always has; so a symbol is listed once."""
        return uuid5(NAMESPACE, f"instrument:{symbol}")

    @event("Created", topic=INSTRUMENT_LISTED)
    def __init__(
        self,
        *,
        symbol: str,
        number: int,
        shard: int,
        tick_size: int,
        lot_size: int,
        price_collar: int,
        reference_price: int,
        state: int,
        by: str,
    ) -> None:
        self.symbol = symbol
        self.number = number
        self.shard = shard
        self.tick_size = tick_size
        self.lot_size = lot_size
        self.price_collar = price_collar
        self.reference_price = reference_price
        self.state = state
        self.closed_for = ""
        self.opens_as: int | None = None

    @event("TradingStateSet", topic=TRADING_STATE_SET)
    def set_trading_state(self, state: int, by: str) -> None:
        """The state that trading shall be in (`domain.codes.TradingState`). The schedule opens
        nothing that somebody else closed or opened."""
        self.state = state
        self.opens_as = None

    @event("ClosedForDay", topic=CLOSED_FOR_DAY)
    def close_for_day(self, *, day: str, by: str) -> None:
        """The schedule closes the instrument, once a day (YYYY-MM-DD); what it was, it becomes
        again."""
        self.closed_for = day
        if self.state != TradingState.CLOSED:
            self.opens_as = self.state
            self.state = int(TradingState.CLOSED)

    @event("OpenedForDay", topic=OPENED_FOR_DAY)
    def open_for_day(self, *, by: str) -> None:
        """The schedule opens what it closed."""
        if self.opens_as is not None:
            self.state, self.opens_as = self.opens_as, None

    @event("ReferencePriceSet", topic=REFERENCE_PRICE_SET)
    def set_reference_price(self, reference_price: int, by: str) -> None:
        """The price that the collar of limit orders and the notional of market orders are measured
        from; 0 none."""
        self.reference_price = reference_price


class TradingClock(Aggregate):
    """What admins said about the clocks of the exchange, all of them at once."""

    TOPIC = "crossbook.clock"

    @staticmethod
    def create_id() -> UUID:
        """There is one."""
        return uuid5(NAMESPACE, "clock")

    @event("Created", topic="crossbook.clock.created")
    def __init__(self) -> None:
        self.resumed = 0

    @event("Resumed", topic=CLOCK_RESUMED)
    def resume(self, by: str) -> None:
        """Clocks that saw their wall time jump, and refuse to tick, may believe it from now on."""
        self.resumed += 1
