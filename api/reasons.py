"""The engine's reasons in words and HTTP statuses. The codes themselves are `domain.codes.Reason`,
in lower case."""

from __future__ import annotations

from typing import Final

from domain.codes import Reason

REASON_CODES: Final = {int(reason): reason.name.lower() for reason in Reason}

STATUS_OF_REASON: Final = {
    int(Reason.UNKNOWN_INSTRUMENT): 404,
    int(Reason.UNKNOWN_ORDER): 404,
    int(Reason.DUPLICATE_CLIENT_ORDER_ID): 409,
}

DETAILS: Final = {
    Reason.UNKNOWN_INSTRUMENT: "the instrument is not listed in its shard",
    Reason.UNKNOWN_ACCOUNT: "the account is not registered in this shard",
    Reason.ACCOUNT_KILLED: "the account's kill switch is on",
    Reason.INSTRUMENT_HALTED: "trading in this instrument is halted",
    Reason.INSTRUMENT_CANCEL_ONLY: "this instrument takes cancels only",
    Reason.INSTRUMENT_CLOSED: "this instrument is closed",
    Reason.INVALID_SIDE: "the side is neither buy nor sell",
    Reason.INVALID_ORDER_TYPE: "the type is neither limit nor market",
    Reason.INVALID_TIME_IN_FORCE: "the time in force is none of day, gtc, ioc, fok",
    Reason.MARKET_MUST_BE_IOC_OR_FOK: "a market order is ioc or fok",
    Reason.PRICE_REQUIRED: "a limit order has a price",
    Reason.PRICE_NOT_ALLOWED: "a market order has no price",
    Reason.PRICE_NOT_ON_TICK: "the price is no multiple of the tick size",
    Reason.QUANTITY_REQUIRED: "a quantity is at least 1",
    Reason.QUANTITY_TOO_LARGE: "the quantity is above 1,000,000,000",
    Reason.QUANTITY_NOT_ON_LOT: "the quantity is no multiple of the lot size",
    Reason.UNKNOWN_ORDER: "no open order of this account has this id",
    Reason.DUPLICATE_CLIENT_ORDER_ID: "the client_order_id was used for another order",
    Reason.INVALID_CLIENT_ORDER_ID: "the client_order_id is not 1 to 36 printable ASCII characters",
    Reason.OPEN_ORDERS_LIMIT: "the account has as many open orders as it may",
    Reason.CLIENT_ORDER_IDS_EXHAUSTED: "the shard remembers as many client order ids as it can",
    Reason.ORDERS_EXHAUSTED: "the shard has as many open orders as it can",
    Reason.INVALID_FLAGS: "the flags of the replace are unknown",
    Reason.NOTHING_TO_REPLACE: "give a price, a quantity, or both",
}


# In a sentence each; a reason that needs none says its code.
DETAIL_OF: Final = {
    int(reason): DETAILS.get(reason, reason.name.lower().replace("_", " ")) for reason in Reason
}


def reason_code(reason: int) -> str:
    """The public code of an engine's reason."""
    return REASON_CODES.get(reason, f"reason_{reason}")


def reason_status(reason: int) -> int:
    """The HTTP status of a command that was refused for this reason."""
    return STATUS_OF_REASON.get(reason, 422)


def reason_detail(reason: int) -> str:
    """The reason in a sentence."""
    return DETAIL_OF.get(reason, "refused")
