"""What each endpoint takes and answers, as one visible table: the source of OpenAPI's bodies,
examples and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

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
from api.rest.answers import BatchAnswer, CommandAnswer, MassCancelAnswer, OrderAnswer
from api.rest.batch import Batch
from api.rest.health import Live, Ready
from api.rest.market import BookInfo, DeltasAnswer, InstrumentInfo, InstrumentsInfo, TradesInfo
from api.rest.orders import ReplaceBody
from api.rest.orders_read import OrdersAnswer
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


@dataclass(frozen=True)
class Operation:
    """One endpoint. `answers` are (type, example) by status; `errors` beside those that all
    have."""

    tag: str
    answers: Mapping[int, tuple[Any, Any]]
    body: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    prefer: bool = False

    def types(self) -> list[Any]:
        """The Structs that it needs a schema of."""
        bodies = [] if self.body is None else [self.body]
        return bodies + [answer for answer, _ in self.answers.values() if answer is not None]


ORDER_ID: Final = "36028797027352576"
SUBMIT: Final = {
    "symbol": "AAPL",
    "side": "buy",
    "type": "limit",
    "quantity": 100,
    "price": "187.2500",
    "time_in_force": "day",
    "client_order_id": "my-order-1",
}
MARKET: Final = {"symbol": "AAPL", "side": "sell", "type": "market", "quantity": 50}
ACCEPTED: Final = {
    "status": 201,
    "outcome": "accepted",
    "order_id": ORDER_ID,
    "client_order_id": "my-order-1",
    "symbol": "AAPL",
    "state": "partially_filled",
    "executed_quantity": 40,
    "leaves_quantity": 60,
    "average_price": "187.2400",
    "cancel_reason": None,
    "position": "1-128",
}
PENDING: Final = ACCEPTED | {
    "status": 202,
    "outcome": "pending",
    "state": None,
    "executed_quantity": 0,
    "leaves_quantity": 0,
    "average_price": None,
    "status_url": f"/v1/orders/{ORDER_ID}?min_position=1-128",
}
REPLACED: Final = ACCEPTED | {
    "status": 200,
    "outcome": "replaced",
    "client_order_id": None,
    "state": "open",
    "executed_quantity": 0,
    "leaves_quantity": 40,
    "average_price": None,
    "position": "1-131",
}
CANCELLED: Final = REPLACED | {
    "outcome": "cancelled",
    "state": "cancelled",
    "leaves_quantity": 0,
    "cancel_reason": "by_request",
    "position": "1-132",
}
ORDER: Final = {
    "order_id": ORDER_ID,
    "client_order_id": "my-order-1",
    "symbol": "AAPL",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "price": "187.2500",
    "quantity": 100,
    "executed_quantity": 40,
    "leaves_quantity": 60,
    "average_price": "187.2400",
    "state": "partially_filled",
    "reason": None,
    "created_at": "2026-01-05T14:30:00.000125Z",
    "updated_at": "2026-01-05T14:30:00.000125Z",
    "position": "1-128",
}
COMMANDS: Final = {
    "commands": [
        {"op": "submit", **SUBMIT},
        {"op": "replace", "order_id": ORDER_ID, "symbol": "AAPL", "price": "187.3000"},
        {"op": "cancel", "client_order_id": "my-order-0", "symbol": "AAPL"},
    ]
}
RESULTS: Final = {
    "position": "1-129",
    "results": [
        {"status": 201, "outcome": "accepted", "order_id": ORDER_ID, "leaves_quantity": 100},
        {"status": 200, "outcome": "replaced", "order_id": ORDER_ID, "leaves_quantity": 60},
        {
            "status": 404,
            "outcome": "rejected",
            "reason": "unknown_order",
            "refused_by": "engine",
            "detail": "no open order of this account has this id",
            "client_order_id": "my-order-0",
        },
    ],
}
INFO: Final = {
    "symbol": "AAPL",
    "tick_size": "0.0100",
    "lot_size": 1,
    "price_collar": "10.0000",
    "reference_price": "187.0000",
    "state": "open",
}
BOOK: Final = {
    "symbol": "AAPL",
    "sequence": "512",
    "position": "1-128",
    "state": "open",
    "bids": [{"price": "187.2500", "quantity": 60, "order_count": 1}],
    "asks": [{"price": "187.2700", "quantity": 300, "order_count": 2}],
}
DELTAS: Final = {
    "kind": "deltas",
    "symbol": "AAPL",
    "since": "510",
    "sequence": "512",
    "position": "1-128",
    "deltas": [
        {
            "sequence": "512",
            "side": "buy",
            "price": "187.2500",
            "quantity": 60,
            "order_count": 1,
        }
    ],
    "more": False,
}
TRADES: Final = {
    "symbol": "AAPL",
    "trades": [
        {
            "match_number": "77",
            "price": "187.2400",
            "quantity": 40,
            "aggressor_side": "buy",
            "time": "2026-01-05T14:30:00.000125Z",
            "position": "1-128",
        }
    ],
    "next_before": None,
}
LISTED: Final = INFO | {"number": 1, "shard": 1, "position": "1-1"}
ACCOUNT: Final = {
    "account": 1,
    "name": "desk",
    "state": "active",
    "limits": {
        "order_quantity_max": 10_000,
        "order_notional_max": "2500000.0000",
        "open_orders_max": None,
    },
    "keys": [{"key_id": "0f1e2d3c4b5a", "scopes": ["read", "trade"], "revoked": False}],
    "position": "0-2,1-2",
}
NEW_KEY: Final = {
    "key_id": "0f1e2d3c4b5a",
    "key": "cbk_0f1e2d3c4b5a_…",
    "scopes": ["read", "trade"],
}
HEALTH: Final = {
    "status": "ready",
    "directory": 120,
    "shards": [{"shard": 0, "written": 128, "matched": 128, "redis": 128, "postgres": 128}],
}

ORDERS, MARKET_DATA, ADMIN, HEALTH_TAG = "orders", "market data", "administration", "health"
ADMIN_ONE: Final = "/v1/admin/instruments/{symbol}"
ADMIN_ACCOUNT: Final = "/v1/admin/accounts/{account}"

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/v1/orders"): Operation(
        ORDERS,
        {
            200: (CommandAnswer, ACCEPTED | {"status": 200, "outcome": "repeated", "order": ORDER}),
            201: (CommandAnswer, ACCEPTED),
            202: (CommandAnswer, PENDING),
        },
        SubmitBody,
        {"limit": SUBMIT, "market": MARKET},
        (404, 409, 422),
        prefer=True,
    ),
    ("GET", "/v1/orders"): Operation(
        ORDERS, {200: (OrdersAnswer, {"orders": [ORDER], "next_cursor": None})}, errors=(404,)
    ),
    ("DELETE", "/v1/orders"): Operation(
        ORDERS,
        {
            200: (
                MassCancelAnswer,
                {
                    "status": 200,
                    "outcome": "mass_cancelled",
                    "position": "1-140",
                    "cancelled_count": 7,
                },
            ),
            202: (MassCancelAnswer, {"status": 202, "outcome": "pending", "position": "1-140"}),
        },
        errors=(404,),
        prefer=True,
    ),
    ("POST", "/v1/orders/batch"): Operation(
        ORDERS,
        {200: (BatchAnswer, RESULTS), 202: (BatchAnswer, None)},
        Batch,
        {"three commands": COMMANDS},
        prefer=True,
    ),
    ("GET", "/v1/orders/{order}"): Operation(
        ORDERS, {200: (OrderAnswer, ORDER)}, errors=(404, 409)
    ),
    ("PATCH", "/v1/orders/{order}"): Operation(
        ORDERS,
        {200: (CommandAnswer, REPLACED), 202: (CommandAnswer, None)},
        ReplaceBody,
        {"price and total quantity": {"price": "187.3000", "quantity": 80}},
        (404, 409, 422),
        prefer=True,
    ),
    ("DELETE", "/v1/orders/{order}"): Operation(
        ORDERS,
        {200: (CommandAnswer, CANCELLED), 202: (CommandAnswer, None)},
        errors=(404, 409, 422),
        prefer=True,
    ),
    ("GET", "/v1/books/{symbol}"): Operation(
        MARKET_DATA, {200: (BookInfo, BOOK)}, errors=(404, 503)
    ),
    ("GET", "/v1/books/{symbol}/deltas"): Operation(
        MARKET_DATA, {200: (DeltasAnswer, DELTAS)}, errors=(404, 503)
    ),
    ("GET", "/v1/trades/{symbol}"): Operation(
        MARKET_DATA, {200: (TradesInfo, TRADES)}, errors=(404, 503)
    ),
    ("GET", "/v1/instruments"): Operation(
        MARKET_DATA, {200: (InstrumentsInfo, {"instruments": [INFO]})}
    ),
    ("GET", "/v1/instruments/{symbol}"): Operation(
        MARKET_DATA, {200: (InstrumentInfo, INFO)}, errors=(404,)
    ),
    ("POST", "/v1/admin/instruments"): Operation(
        ADMIN,
        {201: (InstrumentAnswer, LISTED), 202: (InstrumentAnswer, None)},
        ListingBody,
        {"a share": {"symbol": "AAPL", "tick_size": "0.01", "price_collar": "10"}},
        (409, 422),
    ),
    ("GET", "/v1/admin/instruments"): Operation(
        ADMIN, {200: (InstrumentsAnswer, {"instruments": [LISTED]})}
    ),
    ("PATCH", ADMIN_ONE): Operation(
        ADMIN,
        {200: (InstrumentAnswer, LISTED)},
        InstrumentPatch,
        {"set": {"reference_price": "187.0000"}, "none": {"reference_price": None}},
        (404, 422),
    ),
    ("PUT", f"{ADMIN_ONE}/state"): Operation(
        ADMIN,
        {200: (InstrumentAnswer, LISTED), 202: (InstrumentAnswer, None)},
        InstrumentStateBody,
        {"halt": {"state": "halted"}},
        (404,),
    ),
    ("POST", "/v1/admin/accounts"): Operation(
        ADMIN,
        {201: (AccountAnswer, ACCOUNT), 202: (AccountAnswer, None)},
        AccountBody,
        {"with a limit": {"name": "desk", "limits": {"order_quantity_max": 10_000}}},
        (409, 422),
    ),
    ("GET", "/v1/admin/accounts"): Operation(
        ADMIN, {200: (AccountsAnswer, {"accounts": [ACCOUNT]})}
    ),
    ("GET", ADMIN_ACCOUNT): Operation(ADMIN, {200: (AccountAnswer, ACCOUNT)}, errors=(404,)),
    ("PATCH", ADMIN_ACCOUNT): Operation(
        ADMIN,
        {200: (AccountAnswer, ACCOUNT), 202: (AccountAnswer, None)},
        AccountPatch,
        {"one limit": {"limits": {"order_notional_max": "2500000"}}},
        (404, 422),
    ),
    ("PUT", f"{ADMIN_ACCOUNT}/state"): Operation(
        ADMIN,
        {200: (AccountAnswer, ACCOUNT), 202: (AccountAnswer, None)},
        AccountStateBody,
        {"kill": {"state": "killed"}},
        (404,),
    ),
    ("POST", f"{ADMIN_ACCOUNT}/keys"): Operation(
        ADMIN,
        {201: (NewKeyAnswer, NEW_KEY)},
        KeyBody,
        {"for trading": {"scopes": ["read", "trade"]}},
        (404, 422),
    ),
    ("DELETE", f"{ADMIN_ACCOUNT}/keys/{{key_id}}"): Operation(
        ADMIN, {204: (None, None)}, errors=(404,)
    ),
    ("GET", "/livez"): Operation(HEALTH_TAG, {200: (Live, {"status": "live"})}),
    ("GET", "/readyz"): Operation(HEALTH_TAG, {200: (Ready, HEALTH)}, errors=(503,)),
}
