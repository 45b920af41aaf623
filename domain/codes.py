"""The engine's vocabulary as small integers, and the names that people read.

Every code is part of the wire format (see `domain.wire`): a number, once released, never changes
its meaning. The `Final` integers are for compiled code; the enums carry the same numbers, with
names, for the edges."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# Limits. Compiled `i64` arithmetic wraps and interpreted does not, so no value may come near 2**63.
PRICE_TICKS_MAX: Final = 2**32 - 1  # 1/10,000 dollar: $429,496.7295
QUANTITY_MAX: Final = 10**9
CLIENT_ORDER_ID_LENGTH_MAX: Final = 36
INSTRUMENT_MAX: Final = 65_535
ACCOUNT_MAX: Final = 1_048_575
COMMANDS_PER_BATCH_MAX: Final = 65_535
SESSIONS_MAX: Final = 4_096
SESSION_MEMORY_NS: Final = 24 * 3600 * 10**9
ORDERS_MAX: Final = 1 << 25
CLIENT_ORDER_IDS_MAX: Final = 1 << 24
SHARD_MAX: Final = 254
POSITION_MAX: Final = (1 << 39) - 1

BUY: Final = 0
SELL: Final = 1
BOTH_SIDES: Final = 2

LIMIT: Final = 0
MARKET: Final = 1

DAY: Final = 0
GTC: Final = 1
IOC: Final = 2
FOK: Final = 3

OPEN: Final = 0
HALTED: Final = 1
CANCEL_ONLY: Final = 2
CLOSED: Final = 3

REPLACE_REQUEUE: Final = 1
REPLACE_TOTAL: Final = 2

ACCOUNT_KILLED: Final = 1

APPLIED: Final = 0
REPEAT: Final = 1
UNDECODABLE: Final = 2


class Side(IntEnum):
    """Buy or sell; `BOTH` only in a mass cancel."""

    BUY = 0
    SELL = 1
    BOTH = 2


class OrderType(IntEnum):
    """A limit order has a price; a market order has none and never rests."""

    LIMIT = 0
    MARKET = 1


class TimeInForce(IntEnum):
    """How long an order stays: until the close, until cancelled, or only for the instant of its
    arrival.
    """

    DAY = 0
    GTC = 1
    IOC = 2
    FOK = 3


class TradingState(IntEnum):
    """What an instrument allows; docs/matching.md has the table."""

    OPEN = 0
    HALTED = 1
    CANCEL_ONLY = 2
    CLOSED = 3


class BatchStatus(IntEnum):
    """What became of a position of the command log."""

    APPLIED = 0
    REPEAT = 1
    UNDECODABLE = 2


class CommandType(IntEnum):
    """The first byte of a command record."""

    SUBMIT_ORDER = 1
    CANCEL_ORDER = 2
    REPLACE_ORDER = 3
    MASS_CANCEL = 4
    SET_TRADING_STATE = 5
    CLOCK_TICK = 6
    LIST_INSTRUMENT = 7
    SET_ACCOUNT = 8


class EventType(IntEnum):
    """The first byte of an event record."""

    ORDER_ACCEPTED = 1
    ORDER_REJECTED = 2
    ORDER_EXECUTED = 3
    ORDER_CANCELLED = 4
    ORDER_REPLACED = 5
    ORDER_EXPIRED = 6
    LEVEL_CHANGED = 7
    TRADING_STATE_CHANGED = 8
    INSTRUMENT_LISTED = 9
    ACCOUNT_UPDATED = 10
    CLOCK_TICKED = 11
    ORDER_REPEATED = 12
    MASS_CANCELLED = 13


class Reason(IntEnum):
    """Why a command was refused, or why an order was cancelled. `reason.name.lower()` is the public
    code.
    """

    NONE = 0
    UNKNOWN_INSTRUMENT = 1
    UNKNOWN_ACCOUNT = 2
    ACCOUNT_KILLED = 3
    INSTRUMENT_HALTED = 4
    INSTRUMENT_CANCEL_ONLY = 5
    INSTRUMENT_CLOSED = 6
    INVALID_SIDE = 7
    INVALID_ORDER_TYPE = 8
    INVALID_TIME_IN_FORCE = 9
    MARKET_MUST_BE_IOC_OR_FOK = 10
    PRICE_REQUIRED = 11
    PRICE_NOT_ALLOWED = 12
    PRICE_NOT_ON_TICK = 13
    QUANTITY_REQUIRED = 14
    QUANTITY_TOO_LARGE = 15
    QUANTITY_NOT_ON_LOT = 16
    UNKNOWN_ORDER = 17
    DUPLICATE_CLIENT_ORDER_ID = 18
    INVALID_CLIENT_ORDER_ID = 19
    OPEN_ORDERS_LIMIT = 20
    CLIENT_ORDER_IDS_EXHAUSTED = 21
    ORDERS_EXHAUSTED = 22
    INSTRUMENT_EXISTS = 23
    INVALID_INSTRUMENT = 24
    INVALID_ACCOUNT = 25
    INVALID_TRADING_STATE = 26
    INVALID_FLAGS = 27
    NOTHING_TO_REPLACE = 28
    CLOCK_BACKWARDS = 29
    # Why an order was cancelled
    BY_REQUEST = 64
    BY_MASS_CANCEL = 65
    BY_KILL_SWITCH = 66
    IOC_REMAINDER = 67
    FOK_NOT_FILLABLE = 68
    NO_LIQUIDITY = 69
    REPLACED_TO_NOTHING = 70
    AT_CLOSE = 71


# The reasons as plain integers, for compiled code.
UNKNOWN_INSTRUMENT: Final = 1
UNKNOWN_ACCOUNT: Final = 2
KILLED: Final = 3
INSTRUMENT_HALTED: Final = 4
INSTRUMENT_CANCEL_ONLY: Final = 5
INSTRUMENT_CLOSED: Final = 6
INVALID_SIDE: Final = 7
INVALID_ORDER_TYPE: Final = 8
INVALID_TIME_IN_FORCE: Final = 9
MARKET_MUST_BE_IOC_OR_FOK: Final = 10
PRICE_REQUIRED: Final = 11
PRICE_NOT_ALLOWED: Final = 12
PRICE_NOT_ON_TICK: Final = 13
QUANTITY_REQUIRED: Final = 14
QUANTITY_TOO_LARGE: Final = 15
QUANTITY_NOT_ON_LOT: Final = 16
UNKNOWN_ORDER: Final = 17
DUPLICATE_CLIENT_ORDER_ID: Final = 18
INVALID_CLIENT_ORDER_ID: Final = 19
OPEN_ORDERS_LIMIT: Final = 20
CLIENT_ORDER_IDS_EXHAUSTED: Final = 21
ORDERS_EXHAUSTED: Final = 22
INSTRUMENT_EXISTS: Final = 23
INVALID_INSTRUMENT: Final = 24
INVALID_ACCOUNT: Final = 25
INVALID_TRADING_STATE: Final = 26
INVALID_FLAGS: Final = 27
NOTHING_TO_REPLACE: Final = 28
CLOCK_BACKWARDS: Final = 29
BY_REQUEST: Final = 64
BY_MASS_CANCEL: Final = 65
BY_KILL_SWITCH: Final = 66
IOC_REMAINDER: Final = 67
FOK_NOT_FILLABLE: Final = 68
NO_LIQUIDITY: Final = 69
REPLACED_TO_NOTHING: Final = 70
AT_CLOSE: Final = 71
