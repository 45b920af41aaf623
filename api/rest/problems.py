"""Every reason of an error answer: its HTTP status, a sentence, and which endpoints may give it.

Guarantees: what is not listed here for an endpoint is not answered by it (the tests hold every
answer that they see against it); the OpenAPI document and docs/rest.md tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from api.reasons import DETAIL_OF, REASON_CODES, reason_status
from domain.codes import Reason

# Of a request, whoever sends it and wherever to.
EVERYWHERE: Final = (
    "uri_too_long",
    "headers_too_large",
    "body_too_large",
    "rate_limited",
    "internal_error",
    "stopping",
)
UNLIMITED: Final = ("uri_too_long", "headers_too_large", "body_too_large", "internal_error")
WITH_KEY: Final = ("no_key", "invalid_key", "missing_scope", "directory_stale")
WITH_BODY: Final = ("malformed_json", "missing_field", "unknown_field", "invalid_body")

DETAILS: Final[dict[str, tuple[int, str]]] = {
    "no_key": (401, "send a key: Authorization: Bearer cbk_…, or X-API-Key"),
    "invalid_key": (401, "this key is not valid"),
    "missing_scope": (403, "this key has not the scope 'trade'"),
    "no_such_path": (404, "Not Found"),
    "method_not_allowed": (405, "Method Not Allowed"),
    "uri_too_long": (414, "a path has at most 2,048 bytes, a query 4,096"),
    "headers_too_large": (431, "a head has at most 100 fields of 16,384 bytes"),
    "body_too_large": (413, "a body has at most 1,048,576 bytes"),
    "rate_limited": (429, "at most 1,000 requests a second with one key: come again later"),
    "internal_error": (500, "something unexpected went wrong; it is logged under this request id"),
    "stopping": (503, "the exchange is stopping; a write may be in the log: send it again"),
    "directory_stale": (503, "keys cannot be checked now"),
    "malformed_json": (400, "the body is not sound JSON in UTF-8"),
    "missing_field": (400, "Object missing required field `symbol`"),
    "unknown_field": (400, "Object contains unknown field `colour`"),
    "invalid_body": (400, "Expected `object`, got `array`"),
    "invalid_parameter": (400, "limit: Input should be less than or equal to 1000"),
    "invalid_position": (400, 'a position is such as "0-123", as a write answered it'),
    "invalid_symbol": (400, "Expected `str`, got `int` - at `$.symbol`"),
    "invalid_side": (400, "Invalid enum value 'hold' - at `$.side`"),
    "invalid_order_type": (400, "Invalid enum value 'stop' - at `$.type`"),
    "invalid_time_in_force": (400, "Invalid enum value 'gtd' - at `$.time_in_force`"),
    "invalid_quantity": (400, "Expected `int`, got `str` - at `$.quantity`"),
    "invalid_price": (400, 'a price is a plain decimal, such as "187.2500"'),
    "invalid_client_order_id": (400, "a client_order_id has 1 to 36 printable ASCII characters"),
    "invalid_order_id": (400, "an order_id is a decimal string, as it was answered"),
    "invalid_order_reference": (400, "name the order by order_id, or by client_order_id"),
    "invalid_order_notional_max": (400, "a order_notional_max is a plain decimal"),
    "symbol_required": (422, "a new price needs the symbol, for its price collar"),
    "price_too_fine": (422, "a price has at most 4 decimals"),
    "price_out_of_range": (422, "a price is above 0, at most 429496.7295"),
    "order_notional_max_too_fine": (422, "a order_notional_max has at most 4 decimals"),
    "order_quantity_limit": (422, "the account's orders are of at most 10000 shares"),
    "order_notional_limit": (422, "the account's orders are of at most $2500000.0000"),
    "price_and_quantity_required": (422, "give both price and total quantity"),
    "price_collar": (422, "the price is more than 10.0000 from the reference price 187.0000"),
    "too_late": (422, "the order is filled: there is nothing left to cancel or replace"),
    "ambiguous_order": (409, "orders of several instruments have this client_order_id"),
    "invalid_terms": (422, "lot_size is from 1 to 1000000000"),
    "instrument_exists": (409, "AAPL is listed already"),
    "account_exists": (409, "an account is named 'desk' already"),
    "unknown_key": (404, "account 1 has no key '0f1e2d3c4b5a'"),
    "directory_full": (422, "all 65535 instrument numbers are taken"),
    "keys_exhausted": (422, "an account has at most 256 keys"),
    "contended": (503, "others changed the same 32 times; try again"),
    "directory_unavailable": (503, "the directory's store cannot be used now"),
    "not_written": (503, "nothing was written: the log cannot be written now"),
    "outcome_unknown": (503, "the log did not say whether it took this; send it again"),
    "partly_written": (503, "some shards took this and some did not: send it again"),
    "behind": (503, "the history has not come to position 0-123 yet; try again"),
    "books_unavailable": (503, "the books cannot be read now; try again"),
    "history_unavailable": (503, "the history cannot be read now; try again"),
    "invalid_range": (422, "a range is of at most 31 days"),
    "busy": (503, "too many questions wait: ask again later"),
    "unknown_shard": (404, "this shard is not published now"),
    "too_old": (410, "this sequence is no longer kept: begin with a snapshot"),
    "beyond_the_end": (416, "this sequence is beyond the next one"),
    "no_feed": (503, "this exchange publishes no multicast feed"),
    "feed_unavailable": (503, "the feed's publisher cannot be asked now; try again"),
} | {
    "unknown_account": (404, "no account 7"),
    "unknown_instrument": (404, "no instrument 'APPL'"),
}

_ENGINE: Final = {code: number for number, code in REASON_CODES.items()}


def of_reason(reason: str) -> tuple[int, str]:
    """The status and a sentence of a reason. Raises KeyError for one that is not known."""
    found = DETAILS.get(reason)
    if found is not None:
        return found
    number = _ENGINE[reason]
    return reason_status(number), DETAIL_OF[number]


def _codes(*reasons: Reason) -> tuple[str, ...]:
    return tuple(REASON_CODES[int(reason)] for reason in reasons)


WRITE: Final = ("not_written", "outcome_unknown", "behind")
PRICE: Final = ("invalid_price", "price_too_fine", "price_out_of_range")
HISTORY_READ: Final = ("invalid_parameter", "invalid_position", "behind", "history_unavailable")
NAMED: Final = ("unknown_instrument",)
BOOK_READ: Final = (
    *NAMED,
    "invalid_parameter",
    "invalid_position",
    "behind",
    "books_unavailable",
)
TRADES_READ: Final = (*NAMED, *HISTORY_READ)
ANALYTICS: Final = (
    *NAMED,
    "invalid_parameter",
    "symbol_required",
    "invalid_range",
    "busy",
    "history_unavailable",
)
FEED: Final = ("no_feed", "feed_unavailable")
FEED_MESSAGES: Final = (*FEED, "invalid_parameter", "unknown_shard", "too_old", "beyond_the_end")
ORDER_READ: Final = (
    *TRADES_READ,
    "invalid_order_id",
    "invalid_client_order_id",
    "unknown_order",
    "ambiguous_order",
)
SUBMIT: Final = (
    *WRITE,
    *PRICE,
    "behind",
    "history_unavailable",
    "invalid_symbol",
    "invalid_side",
    "invalid_order_type",
    "invalid_time_in_force",
    "invalid_quantity",
    "invalid_client_order_id",
    "order_quantity_limit",
    "order_notional_limit",
    "price_collar",
    *_codes(
        Reason.UNKNOWN_INSTRUMENT,
        Reason.UNKNOWN_ACCOUNT,
        Reason.ACCOUNT_KILLED,
        Reason.INSTRUMENT_HALTED,
        Reason.INSTRUMENT_CANCEL_ONLY,
        Reason.INSTRUMENT_CLOSED,
        Reason.MARKET_MUST_BE_IOC_OR_FOK,
        Reason.PRICE_REQUIRED,
        Reason.PRICE_NOT_ALLOWED,
        Reason.PRICE_NOT_ON_TICK,
        Reason.QUANTITY_REQUIRED,
        Reason.QUANTITY_TOO_LARGE,
        Reason.QUANTITY_NOT_ON_LOT,
        Reason.DUPLICATE_CLIENT_ORDER_ID,
        Reason.OPEN_ORDERS_LIMIT,
        Reason.CLIENT_ORDER_IDS_EXHAUSTED,
        Reason.ORDERS_EXHAUSTED,
    ),
)
CANCEL: Final = (*WRITE, *ORDER_READ, "too_late", *_codes(Reason.UNKNOWN_ACCOUNT))
REPLACE: Final = (
    *CANCEL,
    *PRICE,
    "invalid_quantity",
    "symbol_required",
    "nothing_to_replace",
    "price_and_quantity_required",
    "order_quantity_limit",
    "order_notional_limit",
    "price_collar",
    *_codes(
        Reason.ACCOUNT_KILLED,
        Reason.INSTRUMENT_HALTED,
        Reason.INSTRUMENT_CANCEL_ONLY,
        Reason.INSTRUMENT_CLOSED,
        Reason.PRICE_NOT_ON_TICK,
        Reason.QUANTITY_REQUIRED,
        Reason.QUANTITY_TOO_LARGE,
        Reason.QUANTITY_NOT_ON_LOT,
        Reason.NOTHING_TO_REPLACE,
        Reason.ORDERS_EXHAUSTED,
    ),
)
DIRECTORY_CHANGE: Final = ("invalid_terms", "contended", "directory_unavailable")
INSTRUMENT_CHANGE: Final = (*DIRECTORY_CHANGE, *NAMED)
ACCOUNT_CHANGE: Final = (*DIRECTORY_CHANGE, "invalid_parameter", "unknown_account")


def by_status(reasons: Iterable[str]) -> dict[int, list[str]]:
    """The reasons in order of their statuses, each once."""
    found: dict[int, list[str]] = {}
    for reason in dict.fromkeys(reasons):
        found.setdefault(of_reason(reason)[0], []).append(reason)
    return dict(sorted(found.items()))
