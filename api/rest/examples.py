"""Examples of what each endpoint takes and answers: those of the OpenAPI document."""

from __future__ import annotations

from typing import Final

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
ANALYTICS: Final = {
    "metric": "vwap",
    "symbol": "AAPL",
    "from": "1795770000000000000",
    "to": "1795770060000000000",
    "interval": "1m",
    "rows": [
        {
            "begins_ns": "1795770000000000000",
            "vwap_ticks": 1_870_250.5,
            "volume": 1_200,
            "value": "2244300600",
        }
    ],
}
FEED: Final = {
    "shards": [
        {
            "shard": 0,
            "session": "K5QWG2DBMN",
            "position": "128",
            "first_sequence": "1",
            "next_sequence": "5120",
            "lines": [
                {"name": "A", "group": "239.255.26.1", "port": 26_400},
                {"name": "B", "group": "239.255.26.2", "port": 26_500},
            ],
            "rerequest": {"host": "127.0.0.1", "port": 41_234},
            "snapshot": {"host": "127.0.0.1", "port": 41_235},
            "messages_url": "/v1/feed/0/messages",
        }
    ]
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
INSTRUMENTS: Final = {"instruments": [INFO], "next_cursor": None}
ADMIN_INSTRUMENTS: Final = {"instruments": [LISTED], "next_cursor": None}
ACCOUNTS: Final = {"accounts": [ACCOUNT], "next_cursor": None}
MASS_CANCELLED: Final = {
    "status": 200,
    "outcome": "mass_cancelled",
    "position": "1-140",
    "cancelled_count": 7,
}
MASS_PENDING: Final = {"status": 202, "outcome": "pending", "position": "1-140"}
REPEATED: Final = ACCEPTED | {"status": 200, "outcome": "repeated", "order": ORDER}
BATCH_PENDING: Final = {
    "position": "1-129",
    "results": [
        {
            "status": 202,
            "outcome": "pending",
            "order_id": ORDER_ID,
            "status_url": f"/v1/orders/{ORDER_ID}?min_position=1-129",
        }
    ],
}
REPLACE_PENDING: Final = PENDING | {"client_order_id": None}
AUDIT: Final = {
    "changes": [
        {
            "notification_id": "120",
            "time": "2026-01-05T14:30:00.000125Z",
            "event": "instrument.trading-state-set",
            "subject": "AAPL",
            "by": "key:0f1e2d3c4b5a",
            "changes": {"state": "halted"},
        }
    ],
    "next_cursor": "120",
}
