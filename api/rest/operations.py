"""What each endpoint takes and answers, as one visible table: the source of OpenAPI's bodies,
examples and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from msgspec import Struct

from api.readiness import ShardHealth
from api.rest import examples as example
from api.rest.admin_shapes import (
    AccountAnswer,
    AccountBody,
    AccountPatch,
    AccountsAnswer,
    AccountStateBody,
    InstrumentAnswer,
    InstrumentPatch,
    InstrumentsAnswer,
    InstrumentStateBody,
    KeyBody,
    ListingBody,
    NewKeyAnswer,
)
from api.rest.analytics import AnalyticsAnswer
from api.rest.answers import BatchAnswer, CommandAnswer, MassCancelAnswer, OrderAnswer
from api.rest.audit import AuditAnswer
from api.rest.batch import Batch
from api.rest.feed import FeedAnswer
from api.rest.health import Live, Ready
from api.rest.market import (
    BookInfo,
    DeltasAnswer,
    InstrumentInfo,
    InstrumentsInfo,
    SnapshotAnswer,
    TradesInfo,
)
from api.rest.orders import ReplaceBody
from api.rest.orders_read import OrdersAnswer
from api.rest.problems import (
    ACCOUNT_CHANGE,
    ANALYTICS,
    BOOK_READ,
    CANCEL,
    DIRECTORY_CHANGE,
    FEED,
    FEED_MESSAGES,
    HISTORY_READ,
    INSTRUMENT_CHANGE,
    NAMED,
    ORDER_READ,
    PRICE,
    REPLACE,
    SUBMIT,
    TRADES_READ,
    WRITE,
)
from commands.validation import SubmitBody


class ProblemAnswer(Struct, omit_defaults=True):
    """An error (RFC 9457, `application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    request_id: str
    refused_by: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    position: str | None = None
    state: str | None = None
    behind: list[str] | None = None
    shards: list[ShardHealth] | None = None


@dataclass(frozen=True)
class Operation:
    """One endpoint. `answers` are (type, example) by status, with type `bytes` for a binary one;
    `reasons` those of its errors beside what every endpoint may answer (`api.rest.problems`).
    `tagged`: it has an ETag."""

    tag: str
    answers: Mapping[int, tuple[Any, Any]]
    body: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    prefer: bool = False
    tagged: bool = False

    def types(self) -> list[Any]:
        """The Structs that it needs a schema of."""
        found = [] if self.body is None else [self.body]
        for answer, _ in self.answers.values():
            found += get_args(answer) or ([] if answer in (None, bytes) else [answer])
        return found


ORDERS, MARKET_DATA, ADMIN, HEALTH_TAG = "orders", "market data", "administration", "health"
ADMIN_ONE: Final = "/v1/admin/instruments/{symbol}"
ADMIN_ACCOUNT: Final = "/v1/admin/accounts/{account}"

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/v1/orders"): Operation(
        ORDERS,
        {
            200: (CommandAnswer, example.REPEATED),
            201: (CommandAnswer, example.ACCEPTED),
            202: (CommandAnswer, example.PENDING),
        },
        SubmitBody,
        {"limit": example.SUBMIT, "market": example.MARKET},
        SUBMIT,
        prefer=True,
    ),
    ("GET", "/v1/orders"): Operation(
        ORDERS,
        {200: (OrdersAnswer, {"orders": [example.ORDER], "next_cursor": None})},
        reasons=(*HISTORY_READ, "invalid_order_id", "unknown_order", "unknown_instrument"),
    ),
    ("DELETE", "/v1/orders"): Operation(
        ORDERS,
        {
            200: (MassCancelAnswer, example.MASS_CANCELLED),
            202: (MassCancelAnswer, example.MASS_PENDING),
        },
        reasons=(*WRITE, "invalid_parameter", "unknown_instrument", "partly_written"),
        prefer=True,
    ),
    ("POST", "/v1/orders/batch"): Operation(
        ORDERS,
        {200: (BatchAnswer, example.RESULTS), 202: (BatchAnswer, example.BATCH_PENDING)},
        Batch,
        {"three commands": example.COMMANDS},
        WRITE,
        prefer=True,
    ),
    ("GET", "/v1/orders/{order}"): Operation(
        ORDERS, {200: (OrderAnswer, example.ORDER)}, reasons=ORDER_READ, tagged=True
    ),
    ("PATCH", "/v1/orders/{order}"): Operation(
        ORDERS,
        {200: (CommandAnswer, example.REPLACED), 202: (CommandAnswer, example.REPLACE_PENDING)},
        ReplaceBody,
        {"price and total quantity": {"price": "187.3000", "quantity": 80}},
        REPLACE,
        prefer=True,
    ),
    ("DELETE", "/v1/orders/{order}"): Operation(
        ORDERS,
        {200: (CommandAnswer, example.CANCELLED), 202: (CommandAnswer, example.REPLACE_PENDING)},
        reasons=CANCEL,
        prefer=True,
    ),
    ("GET", "/v1/books/{symbol}"): Operation(
        MARKET_DATA, {200: (BookInfo, example.BOOK)}, reasons=BOOK_READ, tagged=True
    ),
    ("GET", "/v1/books/{symbol}/deltas"): Operation(
        MARKET_DATA, {200: (DeltasAnswer | SnapshotAnswer, example.DELTAS)}, reasons=BOOK_READ
    ),
    ("GET", "/v1/trades/{symbol}"): Operation(
        MARKET_DATA, {200: (TradesInfo, example.TRADES)}, reasons=TRADES_READ
    ),
    ("GET", "/v1/analytics/{metric}"): Operation(
        MARKET_DATA, {200: (AnalyticsAnswer, example.ANALYTICS)}, reasons=ANALYTICS
    ),
    ("GET", "/v1/feed"): Operation(MARKET_DATA, {200: (FeedAnswer, example.FEED)}, reasons=FEED),
    ("GET", "/v1/feed/{shard}/messages"): Operation(
        MARKET_DATA, {200: (bytes, None)}, reasons=FEED_MESSAGES
    ),
    ("GET", "/v1/instruments"): Operation(
        MARKET_DATA,
        {200: (InstrumentsInfo, example.INSTRUMENTS)},
        reasons=("invalid_parameter",),
        tagged=True,
    ),
    ("GET", "/v1/instruments/{symbol}"): Operation(
        MARKET_DATA, {200: (InstrumentInfo, example.INFO)}, reasons=NAMED, tagged=True
    ),
    ("POST", "/v1/admin/instruments"): Operation(
        ADMIN,
        {201: (InstrumentAnswer, example.LISTED), 202: (InstrumentAnswer, example.LISTED)},
        ListingBody,
        {"a share": {"symbol": "AAPL", "tick_size": "0.01", "price_collar": "10"}},
        (*DIRECTORY_CHANGE, *PRICE, "invalid_symbol", "instrument_exists", "directory_full"),
    ),
    ("GET", "/v1/admin/instruments"): Operation(
        ADMIN,
        {200: (InstrumentsAnswer, example.ADMIN_INSTRUMENTS)},
        reasons=("invalid_parameter",),
    ),
    ("PATCH", ADMIN_ONE): Operation(
        ADMIN,
        {200: (InstrumentAnswer, example.LISTED)},
        InstrumentPatch,
        {"set": {"reference_price": "187.0000"}, "none": {"reference_price": None}},
        (*INSTRUMENT_CHANGE, *PRICE),
    ),
    ("PUT", f"{ADMIN_ONE}/state"): Operation(
        ADMIN,
        {200: (InstrumentAnswer, example.LISTED), 202: (InstrumentAnswer, example.LISTED)},
        InstrumentStateBody,
        {"halt": {"state": "halted"}},
        INSTRUMENT_CHANGE,
    ),
    ("POST", "/v1/admin/accounts"): Operation(
        ADMIN,
        {201: (AccountAnswer, example.ACCOUNT), 202: (AccountAnswer, example.ACCOUNT)},
        AccountBody,
        {"with a limit": {"name": "desk", "limits": {"order_quantity_max": 10_000}}},
        (
            *DIRECTORY_CHANGE,
            "invalid_order_notional_max",
            "order_notional_max_too_fine",
            "account_exists",
            "directory_full",
        ),
    ),
    ("GET", "/v1/admin/accounts"): Operation(
        ADMIN, {200: (AccountsAnswer, example.ACCOUNTS)}, reasons=("invalid_parameter",)
    ),
    ("GET", ADMIN_ACCOUNT): Operation(
        ADMIN,
        {200: (AccountAnswer, example.ACCOUNT)},
        reasons=("invalid_parameter", "unknown_account"),
    ),
    ("PATCH", ADMIN_ACCOUNT): Operation(
        ADMIN,
        {200: (AccountAnswer, example.ACCOUNT), 202: (AccountAnswer, example.ACCOUNT)},
        AccountPatch,
        {"one limit": {"limits": {"order_notional_max": "2500000"}}},
        (*ACCOUNT_CHANGE, "invalid_order_notional_max", "order_notional_max_too_fine"),
    ),
    ("PUT", f"{ADMIN_ACCOUNT}/state"): Operation(
        ADMIN,
        {200: (AccountAnswer, example.ACCOUNT), 202: (AccountAnswer, example.ACCOUNT)},
        AccountStateBody,
        {"kill": {"state": "killed"}},
        ACCOUNT_CHANGE,
    ),
    ("POST", f"{ADMIN_ACCOUNT}/keys"): Operation(
        ADMIN,
        {201: (NewKeyAnswer, example.NEW_KEY)},
        KeyBody,
        {"for trading": {"scopes": ["read", "trade"]}},
        (*ACCOUNT_CHANGE, "keys_exhausted"),
    ),
    ("DELETE", f"{ADMIN_ACCOUNT}/keys/{{key_id}}"): Operation(
        ADMIN, {204: (None, None)}, reasons=(*ACCOUNT_CHANGE, "unknown_key")
    ),
    ("GET", "/v1/admin/audit"): Operation(
        ADMIN,
        {200: (AuditAnswer, example.AUDIT)},
        reasons=("invalid_parameter", "directory_unavailable"),
    ),
    ("GET", "/livez"): Operation(HEALTH_TAG, {200: (Live, {"status": "live"})}),
    ("GET", "/readyz"): Operation(HEALTH_TAG, {200: (Ready, example.HEALTH)}, reasons=("behind",)),
}
