"""Administration over HTTP, and what it does to trading."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


async def admin(
    exchange: Exchange, method: str, path: str, body: Any = None, status: int = 200
) -> Any:
    answer = await exchange.call(method, f"/v1/admin/{path}", body, key="admin")
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_a_listed_instrument_trades_at_once(exchange: Exchange) -> None:
    listed = await admin(
        exchange,
        "POST",
        "instruments",
        {"symbol": "LIST/1", "tick_size": "0.05", "lot_size": 10, "price_collar": 1.5},
        201,
    )
    assert listed["position"].startswith(f"{listed['shard']}-")
    assert (listed["tick_size"], listed["price_collar"]) == ("0.0500", "1.5000")
    assert (await exchange.submit("LIST/1", "buy", 10, price="1.05")).status_code == 201
    answer = await exchange.submit("LIST/1", "buy", 15, price="1.05")
    assert answer.json()["reason"] == "quantity_not_on_lot"

    again = {"symbol": "LIST/1", "tick_size": "0.01"}
    assert (await admin(exchange, "POST", "instruments", again, 409))["reason"] == (
        "instrument_exists"
    )
    found = await admin(exchange, "GET", "instruments")
    assert "LIST/1" in [instrument["symbol"] for instrument in found["instruments"]]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"symbol": "lower", "tick_size": 1}, 422, "invalid_terms"),
        ({"symbol": "TOOLONG89", "tick_size": 1}, 422, "invalid_terms"),
        ({"symbol": "X", "tick_size": None}, 422, "invalid_terms"),
        ({"symbol": "X", "tick_size": "-1"}, 422, "price_out_of_range"),
        ({"symbol": "X", "tick_size": 1, "lot_size": 0}, 422, "invalid_terms"),
        ({"symbol": "X", "tick_size": 1, "state": "asleep"}, 400, "invalid_body"),
        ({"symbol": "X"}, 400, "missing_field"),
        ([], 400, "invalid_body"),
    ],
)
async def test_listings_that_are_refused(
    exchange: Exchange, body: Any, status: int, reason: str
) -> None:
    assert (await admin(exchange, "POST", "instruments", body, status))["reason"] == reason


async def test_halt_and_resume(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    path = f"instruments/{symbol}/state"
    order = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    for state, reason in (
        ("halted", "instrument_halted"),
        ("cancel_only", "instrument_cancel_only"),
        ("closed", "instrument_closed"),
    ):
        assert (await admin(exchange, "PUT", path, {"state": state}))["state"] == state
        answer = await exchange.submit(symbol, "buy", 1, price="1.00")
        assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    changed = await admin(exchange, "PUT", path, {"state": "open"})
    query = {"min_position": changed["position"]}
    book = (await exchange.call("GET", f"/v1/books/{symbol}", params=query)).json()
    assert (book["state"], book["bids"]) == ("open", [])
    expired = await exchange.call("GET", f"/v1/orders/{order['order_id']}", params=query)
    assert (expired.json()["state"], expired.json()["reason"]) == ("expired", "at_close")
    assert (await exchange.submit(symbol, "buy", 1, price="1.00")).status_code == 201
    assert (await admin(exchange, "PUT", "instruments/NOPE/state", {"state": "open"}, 404))[
        "reason"
    ] == "unknown_instrument"


async def test_a_reference_price_puts_the_collar_in_force(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol(price_collar=10_000)
    body = {"reference_price": "10"}
    found = await admin(exchange, "PATCH", f"instruments/{symbol}", body)
    assert found["reference_price"] == "10.0000"
    answer = await exchange.submit(symbol, "buy", 1, price="11.01")
    assert answer.json()["reason"] == "price_collar"
    await admin(exchange, "PATCH", f"instruments/{symbol}", {"reference_price": None})
    assert (await exchange.submit(symbol, "buy", 1, price="11.01")).status_code == 201


async def test_an_accounts_life(exchange: Exchange) -> None:
    opened = await admin(
        exchange,
        "POST",
        "accounts",
        {"name": "life", "limits": {"order_notional_max": "2500000.5"}},
        201,
    )
    path = f"accounts/{opened['account']}"
    assert opened["position"].count("-") == exchange.settings.shards
    assert opened["limits"] == {
        "order_quantity_max": None,
        "order_notional_max": "2500000.5000",
        "open_orders_max": None,
    }
    assert (await admin(exchange, "POST", "accounts", {"name": "life"}, 409))["reason"] == (
        "account_exists"
    )
    changed = await admin(exchange, "PATCH", path, {"limits": {"order_quantity_max": 5}})
    assert changed["limits"]["order_quantity_max"] == 5
    assert changed["limits"]["order_notional_max"] == "2500000.5000"

    made = await admin(exchange, "POST", f"{path}/keys", {"scopes": ["trade"]}, 201)
    exchange.keys["life"] = made["key"]
    answer = await exchange.submit("AAPL", "buy", 5, price="1.00", key="life")
    assert answer.status_code == 201
    answer = await exchange.submit("AAPL", "buy", 6, price="1.00", key="life")
    assert answer.json()["reason"] == "order_quantity_limit"
    await admin(exchange, "PATCH", path, {"limits": {"order_quantity_max": None}})
    answer = await exchange.submit("AAPL", "buy", 6, price="1.00", key="life")
    assert answer.status_code == 201

    found = await admin(exchange, "GET", path)
    assert found["keys"] == [{"key_id": made["key_id"], "scopes": ["trade"], "revoked": False}]
    assert "position" not in found
    await admin(exchange, "DELETE", f"{path}/keys/{made['key_id']}", status=204)
    answer = await exchange.submit("AAPL", "buy", 1, price="1.00", key="life")
    assert (answer.status_code, answer.json()["reason"]) == (401, "invalid_key")
    assert (await admin(exchange, "GET", path))["keys"][0]["revoked"]
    listed = await admin(exchange, "GET", "accounts")
    assert "life" in [account["name"] for account in listed["accounts"]]
    assert made["key"] not in str(listed)


async def test_the_kill_switch_cancels_and_refuses(exchange: Exchange) -> None:
    await exchange.open_account("killed", "trade")
    path = f"accounts/{exchange.numbers['killed']}/state"
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00", key="killed")).json()
    killed = await admin(exchange, "PUT", path, {"state": "killed"})
    assert killed["state"] == "killed"
    query = {"min_position": killed["position"]}
    found = await exchange.call(
        "GET", f"/v1/orders/{order['order_id']}", key="killed", params=query
    )
    assert (found.json()["state"], found.json()["reason"]) == ("cancelled", "by_kill_switch")
    answer = await exchange.submit(symbol, "buy", 1, price="1.00", key="killed")
    assert (answer.status_code, answer.json()["reason"]) == (422, "account_killed")
    await admin(exchange, "PUT", path, {"state": "active"})
    answer = await exchange.submit(symbol, "buy", 1, price="1.00", key="killed")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "accounts/999", None, 404, "unknown_account"),
        ("GET", "accounts/0", None, 400, "invalid_parameter"),
        ("GET", "accounts/-1", None, 400, "invalid_parameter"),
        ("GET", f"accounts/{10**30}", None, 400, "invalid_parameter"),
        ("GET", "accounts/x", None, 400, "invalid_parameter"),
        ("PATCH", "accounts/999", {"limits": {}}, 404, "unknown_account"),
        ("PATCH", "accounts/1", {"limits": {"order_quantity_max": -1}}, 400, "invalid_body"),
        (
            "PATCH",
            "accounts/1",
            {"limits": {"order_quantity_max": 2_000_000_000}},
            422,
            "invalid_terms",
        ),
        (
            "PATCH",
            "accounts/1",
            {"limits": {"order_notional_max": "-1"}},
            422,
            "invalid_terms",
        ),
        (
            "PATCH",
            "accounts/1",
            {"limits": {"order_notional_max": "1e9"}},
            400,
            "invalid_order_notional_max",
        ),
        ("POST", "accounts", {"name": ""}, 422, "invalid_terms"),
        ("POST", "accounts", {"name": "é"}, 422, "invalid_terms"),
        ("POST", "accounts", {"name": "x" * 65}, 422, "invalid_terms"),
        ("POST", "accounts", {}, 400, "missing_field"),
        ("PUT", "accounts/1/state", {"state": "dead"}, 400, "invalid_body"),
        ("PUT", "accounts/999/state", {"state": "killed"}, 404, "unknown_account"),
        ("POST", "accounts/1/keys", {"scopes": []}, 422, "invalid_terms"),
        ("POST", "accounts/1/keys", {"scopes": ["root"]}, 400, "invalid_body"),
        ("POST", "accounts/999/keys", {"scopes": ["read"]}, 404, "unknown_account"),
        ("DELETE", "accounts/1/keys/000000000000", None, 404, "unknown_key"),
        ("PATCH", "instruments/NOPE", {"reference_price": 1}, 404, "unknown_instrument"),
    ],
)
async def test_changes_that_are_refused(
    exchange: Exchange, method: str, path: str, body: Any, status: int, reason: str
) -> None:
    assert (await admin(exchange, method, path, body, status))["reason"] == reason


async def test_who_asked_is_in_the_store(exchange: Exchange) -> None:
    await admin(exchange, "POST", "accounts", {"name": "audited"}, 201)
    recorder = exchange.services.directory.application.recorder
    state = recorder.select_notifications(recorder.max_notification_id(), 1)[0].state
    key_id = exchange.keys["admin"].split("_")[1]
    assert f'"by":"key:{key_id}"'.encode() in state
