"""Who may do what, walked: every route of the app, with keys of every scope, of another account,
revoked, wrong and none.

A route that is added is walked too, or the test of the table fails.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route, WebSocketRoute

from api.keys import IMPLIED_BY
from api.rest.openapi import scope_of
from api.rest.operations import OPERATIONS
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio
HOLDERS = {"read": "reader", "trade": "bob", "admin": "admin"}
# What needs no key: market data and health.
OPEN = {
    "/livez",
    "/readyz",
    "/v1/instruments",
    "/v1/instruments/{symbol}",
    "/v1/books/{symbol}",
    "/v1/books/{symbol}/deltas",
    "/v1/trades/{symbol}",
    "/v1/feed",
    "/v1/feed/{shard}/messages",
    "/v1/analytics/{metric}",
}
# Documents and metrics, and the two that check keys themselves, with tests of their own.
NO_ENDPOINT = {
    "/openapi.json",
    "/docs",
    "/docs/assets",
    "/metrics",
    "/v1/stream",
    "/v1/asyncapi.json",
    "/graphql",
    "/graphql/assets",
    "/graphql/console",
    "/graphql/schema.graphql",
    "/v1/orders/batch",  # 405
}
PLACES = {
    "symbol": "AAPL",
    "order": "65536",
    "account": "1",
    "key_id": "000000000000",
    "shard": "0",
    "metric": "vwap",
}


def app_of(exchange: Exchange) -> Any:
    return exchange.contract._app


def walked(exchange: Exchange) -> list[tuple[str, str, str | None]]:
    """(method, path, scope) of every documented endpoint."""
    return [
        (method, re.sub(r"\{(\w+)\}", lambda found: PLACES[found[1]], route.path_format), scope)
        for route in app_of(exchange).routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
        for scope in [scope_of(route)]
    ]


def body_of(method: str, path: str) -> Any:
    """An example body of an endpoint, so that a key is refused for itself."""
    for (known, template), operation in OPERATIONS.items():
        pattern = re.sub(r"\{\w+\}", ".+", template)
        if known == method and re.fullmatch(pattern, path) and operation.examples:
            return next(iter(operation.examples.values()))
    return None


async def test_every_route_is_in_the_table(exchange: Exchange) -> None:
    for route in app_of(exchange).routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            needs_none = scope_of(route) is None
            assert needs_none == (route.path_format in OPEN), route.path_format
        else:
            assert isinstance(route, Mount | Route | WebSocketRoute)
            assert route.path in NO_ENDPOINT, f"{route.path}: who may do this?"
    admins = {path for method, path, scope in walked(exchange) if scope == "admin"}
    assert admins and all(path.startswith("/v1/admin/") for path in admins)


async def test_a_key_does_what_its_scopes_allow_and_nothing_else(exchange: Exchange) -> None:
    for method, path, scope in walked(exchange):
        if scope is None:
            continue
        for held, name in HOLDERS.items():
            allowed = held in IMPLIED_BY[scope]
            if allowed and method != "GET":
                continue  # what it does is what the other tests are about
            answer = await exchange.call(method, path, body_of(method, path), key=name)
            where = f"{method} {path} with {held}: {answer.text}"
            if allowed:
                assert answer.status_code in (200, 404), where
            else:
                found = (answer.status_code, answer.json()["reason"])
                assert found == (403, "missing_scope"), where


async def test_no_key_a_wrong_and_a_revoked_one_open_nothing(exchange: Exchange) -> None:
    name = f"gone-{exchange.settings.shards}"
    await exchange.open_account(name, "read", "trade", "admin")
    key_id = exchange.keys[name].split("_")[1]
    services = exchange.services
    services.directory.revoke_key(exchange.numbers[name], key_id, by="test")
    services.directory_view.refresh()
    good = exchange.keys["admin"]
    keys = {
        "revoked": exchange.keys[name],
        "another secret": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "another id": "cbk_" + "0" * 12 + good[16:],
        "no key at all": "x",
    }
    for method, path, scope in walked(exchange):
        if scope is None:
            continue
        body = body_of(method, path)
        answer = await exchange.call(method, path, body, key=None)
        assert (answer.status_code, answer.json()["reason"]) == (401, "no_key"), path
        for what, key in keys.items():
            headers = {"X-API-Key": key}
            answer = await exchange.call(method, path, body, key=None, headers=headers)
            found = (answer.status_code, answer.json()["reason"])
            assert found == (401, "invalid_key"), f"{method} {path}: {what}"
            assert key not in answer.text


async def test_what_belongs_to_another_is_as_unknown_as_what_never_was(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    mine = await exchange.submit(symbol, "buy", 5, price="1.00", client_order_id="of-alice")
    order_id, position = mine.json()["order_id"], mine.json()["position"]
    await exchange.call("GET", "/v1/orders", params={"min_position": position})
    for key in ("bob", "reader"):
        for method, path, scope in walked(exchange):
            if "65536" not in path or (key == "reader" and scope == "trade"):
                continue
            for named in (order_id, f"client:of-alice?symbol={symbol}"):
                place = path.replace("65536", named)
                body = {"quantity": 1} if method == "PATCH" else None
                answer = await exchange.call(method, place, body, key=key)
                assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_order")
        listed = await exchange.call("GET", "/v1/orders", key=key, params={"symbol": symbol})
        assert listed.json()["orders"] == []
    items = [
        {"op": "cancel", "order_id": order_id},
        {"op": "replace", "order_id": order_id, "quantity": 1},
    ]
    answer = await exchange.call("POST", "/v1/orders/batch", {"commands": items}, key="bob")
    assert [each["reason"] for each in answer.json()["results"]] == ["unknown_order"] * 2
    await exchange.call("DELETE", "/v1/orders", key="bob", params={"symbol": symbol})
    found = await exchange.call("GET", f"/v1/orders/{order_id}")
    assert found.json()["state"] == "open"


async def test_accounts_are_in_no_public_answer(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    name = f"hidden-owner-{exchange.settings.shards}"
    await exchange.open_account(name, "trade")
    await exchange.submit(symbol, "buy", 5, price="1.00", key=name, client_order_id="hid-client")
    last = await exchange.submit(symbol, "sell", 3, price="1.00")
    secret = exchange.keys[name]
    texts = []
    for method, path, scope in walked(exchange):
        if scope is None and method == "GET" and not path.startswith("/v1/feed"):
            place = path.replace("AAPL", symbol)
            query = {"min_position": last.json()["position"], "since": "0"}
            if path.startswith("/v1/analytics"):
                query = {"symbol": symbol}
            more = (
                query
                if "/v1/analytics" in path or "/v1/books" in path or "/v1/trades" in path
                else {}
            )
            answer = await exchange.call("GET", place, key=None, params=more)
            assert answer.status_code == 200, place
            texts.append(answer.text)
    for path in ("/metrics", "/openapi.json", "/v1/asyncapi.json", "/docs"):
        texts.append((await exchange.call("GET", path, key=None)).text)
    assert any('"aggressor_side"' in text for text in texts)
    for text in texts:
        for hidden in (name, "hid-client", secret.split("_")[1], secret.split("_")[2]):
            assert hidden not in text
    for text in texts[:-4]:
        assert not re.search(r'"(account|owner|client_order_id|key_id)"', text)
