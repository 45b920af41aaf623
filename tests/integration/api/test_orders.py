"""Orders over HTTP against the real exchange: every answer of docs/rest.md."""

from __future__ import annotations

import asyncio

import pytest

from commands.directory.entries import Limits
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


async def test_a_submit_is_accepted_and_readable_at_its_position(exchange: Exchange) -> None:
    answer = await exchange.submit("AAPL", "buy", 100, price="10.01", client_order_id="first")
    assert answer.status_code == 201
    body = answer.json()
    assert body["outcome"] == "accepted"
    assert (body["state"], body["leaves_quantity"]) == ("open", 100)
    assert body["average_price"] is None

    found = await exchange.call("GET", answer.headers["Location"])
    assert found.status_code == 200
    order = found.json()
    assert order["order_id"] == body["order_id"]
    assert (order["price"], order["state"], order["symbol"]) == ("10.0100", "open", "AAPL")
    assert order["position"] == body["position"]


async def test_orders_trade_and_say_so(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    resting = await exchange.submit(symbol, "sell", 30, price="10.00", key="bob")
    answer = await exchange.submit(symbol, "buy", 100, price=10.02)
    body = answer.json()
    assert (body["state"], body["executed_quantity"]) == ("partially_filled", 30)
    assert (body["leaves_quantity"], body["average_price"]) == (70, "10.0000")

    query = {"min_position": body["position"]}
    path = f"/v1/orders/{resting.json()['order_id']}"
    order = (await exchange.call("GET", path, key="bob", params=query)).json()
    assert (order["state"], order["leaves_quantity"]) == ("filled", 0)


async def test_a_market_order_takes_what_is_there(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    await exchange.submit(symbol, "sell", 10, price="1.00", key="bob")
    await exchange.submit(symbol, "sell", 10, price="1.01", key="bob")
    body = (await exchange.submit(symbol, "buy", 25, type="market")).json()
    assert (body["state"], body["executed_quantity"]) == ("cancelled", 20)
    assert (body["average_price"], body["cancel_reason"]) == ("1.0050", "no_liquidity")


async def test_the_same_again_is_a_repeat_with_the_present_order(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = {"price": "10.00", "client_order_id": "again"}
    first = await exchange.submit(symbol, "buy", 10, **order)
    await exchange.submit(symbol, "sell", 4, price="10.00", key="bob")

    again = await exchange.submit(symbol, "buy", 10, **order)
    assert again.status_code == 200
    body = again.json()
    assert body["outcome"] == "repeated"
    assert body["order_id"] == first.json()["order_id"]
    assert (body["state"], body["executed_quantity"]) == ("partially_filled", 4)
    assert body["order"]["leaves_quantity"] == 6

    other = await exchange.submit(symbol, "buy", 11, **order)
    assert other.status_code == 409
    assert other.json()["reason"] == "duplicate_client_order_id"
    assert other.json()["refused_by"] == "engine"


async def test_a_repeat_of_a_refused_order_tells_its_refusal(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = {"price": "10.001", "client_order_id": "bad"}
    assert (await exchange.submit(symbol, "buy", 10, **order)).status_code == 422
    body = (await exchange.submit(symbol, "buy", 10, **order)).json()
    assert (body["outcome"], body["order"]["state"]) == ("repeated", "rejected")
    assert body["order"]["reason"] == "price_not_on_tick"


async def test_the_engines_refusal_has_its_reason_and_place(exchange: Exchange) -> None:
    answer = await exchange.submit("AAPL", "buy", 10, price="10.001")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert (problem["reason"], problem["refused_by"]) == ("price_not_on_tick", "engine")
    query = {"min_position": problem["position"]}
    found = await exchange.call("GET", f"/v1/orders/{problem['order_id']}", params=query)
    assert (found.json()["state"], found.json()["reason"]) == ("rejected", "price_not_on_tick")


async def test_respond_async_is_not_waited_for(exchange: Exchange) -> None:
    headers = {"Prefer": "respond-async"}
    body = {"symbol": "AAPL", "side": "buy", "quantity": 1, "price": "1.00"}
    answer = await exchange.call("POST", "/v1/orders", body, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["outcome"] == "pending"
    found = await exchange.call("GET", answer.headers["Location"])
    assert found.json()["order_id"] == answer.json()["order_id"]


async def test_cancel_by_either_id(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    first = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    answer = await exchange.call("DELETE", f"/v1/orders/{first['order_id']}")
    assert answer.status_code == 200
    assert (answer.json()["outcome"], answer.json()["state"]) == ("cancelled", "cancelled")
    again = await exchange.call("DELETE", f"/v1/orders/{first['order_id']}")
    assert again.status_code == 200, "a cancel that is sent again is as good as the first"
    assert again.json() | {"position": ""} == answer.json() | {"position": "", "symbol": None}

    await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="to/cancel?")
    path = "/v1/orders/client:to%2Fcancel%3F"
    answer = await exchange.call("DELETE", path, params={"symbol": symbol})
    assert answer.status_code == 200


async def test_without_the_symbol_a_client_order_id_is_looked_up(exchange: Exchange) -> None:
    one, other = await exchange.new_symbol(), await exchange.new_symbol()
    await exchange.submit(one, "buy", 1, price="1.00", client_order_id="lookup")
    answer = await exchange.call("DELETE", "/v1/orders/client:lookup")
    assert (answer.status_code, answer.json()["symbol"]) == (200, one)

    for symbol in (one, other):
        answer = await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="twice")
        query = {"min_position": answer.json()["position"]}
        await exchange.call("GET", "/v1/orders", params=query)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"quantity": 2})):
        answer = await exchange.call(method, "/v1/orders/client:twice", body)
        assert (answer.status_code, answer.json()["reason"]) == (409, "ambiguous_order")
    answer = await exchange.call("GET", "/v1/orders/client:twice", params={"symbol": other})
    assert (answer.status_code, answer.json()["symbol"]) == (200, other)
    answer = await exchange.call("DELETE", "/v1/orders/client:nosuch")
    assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_order")


async def test_replace_changes_price_and_total(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 10, price="10.00")).json()
    await exchange.submit(symbol, "sell", 4, price="10.00", key="bob")
    path = f"/v1/orders/{order['order_id']}"

    answer = await exchange.call("PATCH", path, {"quantity": 8})
    assert answer.status_code == 200
    assert (answer.json()["outcome"], answer.json()["leaves_quantity"]) == ("replaced", 4)

    answer = await exchange.call("PATCH", path, {"price": "10.01"})
    assert answer.status_code == 200  # the symbol was looked up
    query = {"min_position": answer.json()["position"]}
    found = (await exchange.call("GET", path, params=query)).json()
    assert (found["price"], found["quantity"], found["leaves_quantity"]) == ("10.0100", 8, 4)

    answer = await exchange.call("PATCH", path, {"quantity": 4})
    assert (answer.json()["outcome"], answer.json()["cancel_reason"]) == (
        "cancelled",
        "replaced_to_nothing",
    )
    answer = await exchange.call("PATCH", path, {"quantity": 5})
    assert (answer.status_code, answer.json()["reason"]) == (422, "too_late")
    assert answer.json()["state"] == "cancelled"


async def test_too_late_is_not_unknown(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="late")).json()
    await exchange.submit(symbol, "sell", 1, price="1.00", key="bob")
    for path in (f"/v1/orders/{order['order_id']}", f"/v1/orders/client:late?symbol={symbol}"):
        answer = await exchange.call("DELETE", path)
        problem = answer.json()
        assert (answer.status_code, problem["reason"], problem["state"]) == (
            422,
            "too_late",
            "filled",
        )
        assert problem["order_id"] == order["order_id"]
        answer = await exchange.call("DELETE", path, key="bob")
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_order")
    mass = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    await exchange.call("DELETE", "/v1/orders", params={"symbol": symbol})
    answer = await exchange.call("DELETE", f"/v1/orders/{mass['order_id']}")
    assert (answer.json()["reason"], answer.json()["state"]) == ("too_late", "cancelled")


async def test_a_limit_of_value_wants_price_and_quantity_of_a_replace(exchange: Exchange) -> None:
    name = f"valued-{exchange.settings.shards}"
    limits = Limits(order_notional_max=1_000_000)
    await exchange.open_account(name, "trade", limits=limits)
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 10, price="10.00", key=name)).json()
    path = f"/v1/orders/{order['order_id']}"
    for body in ({"price": "11.00"}, {"quantity": 1}):
        answer = await exchange.call("PATCH", path, body, key=name)
        assert (answer.status_code, answer.json()["reason"]) == (
            422,
            "price_and_quantity_required",
        )
    answer = await exchange.call("PATCH", path, {"price": "11.00", "quantity": 10}, key=name)
    assert answer.json()["reason"] == "order_notional_limit"
    answer = await exchange.call("PATCH", path, {"price": "12.50", "quantity": 8}, key=name)
    assert answer.status_code == 200


async def test_a_replace_that_crosses_trades(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 10, price="10.00")).json()
    await exchange.submit(symbol, "sell", 4, price="10.05", key="bob")
    answer = await exchange.call(
        "PATCH",
        f"/v1/orders/{order['order_id']}",
        {"price": "10.05"},
        params={"symbol": symbol},
    )
    body = answer.json()
    assert (body["state"], body["executed_quantity"]) == ("partially_filled", 4)
    assert body["average_price"] == "10.0500"


async def test_mass_cancel(exchange: Exchange) -> None:
    await exchange.open_account("mass", "trade")
    one, other = await exchange.new_symbol(), await exchange.new_symbol()
    for symbol in (one, other):
        for side, price in (("buy", "1.00"), ("sell", "2.00")):
            await exchange.submit(symbol, side, 1, price=price, key="mass")
    answer = await exchange.call(
        "DELETE", "/v1/orders", key="mass", params={"symbol": one, "side": "buy"}
    )
    assert (answer.status_code, answer.json()["cancelled_count"]) == (200, 1)
    answer = await exchange.call("DELETE", "/v1/orders", key="mass", params={"side": "sell"})
    assert answer.json()["cancelled_count"] == 2
    answer = await exchange.call("DELETE", "/v1/orders", key="mass")
    assert (answer.json()["outcome"], answer.json()["cancelled_count"]) == ("mass_cancelled", 1)
    assert answer.json()["position"].count("-") == exchange.settings.shards


async def test_nobody_sees_or_touches_anothers_order(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="mine")).json()
    path = f"/v1/orders/{order['order_id']}"
    query = {"min_position": order["position"]}
    for method, place, body in (
        ("GET", path, None),
        ("DELETE", path, None),
        ("PATCH", path, {"quantity": 1}),
        ("PATCH", path, {"price": "1.01"}),
        ("GET", "/v1/orders/client:mine", None),
        ("DELETE", "/v1/orders/client:mine", None),
    ):
        more = {"params": query} if method == "GET" else {}
        answer = await exchange.call(method, place, body, key="bob", **more)
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_order")
    assert (await exchange.call("GET", path)).json()["state"] == "open"


async def test_an_accounts_orders_in_pages(exchange: Exchange) -> None:
    await exchange.open_account("pages", "trade")
    symbol = await exchange.new_symbol()
    ids = []
    for price in ("1.00", "1.01", "1.02"):
        answer = (await exchange.submit(symbol, "buy", 1, price=price, key="pages")).json()
        ids.append(answer["order_id"])
    gone = await exchange.call("DELETE", f"/v1/orders/{ids[1]}", key="pages")
    query = {"limit": "2", "min_position": gone.json()["position"]}
    first = (await exchange.call("GET", "/v1/orders", key="pages", params=query)).json()
    assert [order["order_id"] for order in first["orders"]] == [ids[2], ids[1]]
    query = {"limit": "2", "cursor": first["next_cursor"]}
    rest = (await exchange.call("GET", "/v1/orders", key="pages", params=query)).json()
    assert [order["order_id"] for order in rest["orders"]] == [ids[0]]
    assert rest["next_cursor"] is None

    query = {"state": "active", "symbol": symbol}
    active = (await exchange.call("GET", "/v1/orders", key="pages", params=query)).json()
    assert [order["order_id"] for order in active["orders"]] == [ids[2], ids[0]]
    query = {"state": "cancelled"}
    cancelled = (await exchange.call("GET", "/v1/orders", key="pages", params=query)).json()
    assert [order["reason"] for order in cancelled["orders"]] == ["by_request"]


async def test_limits_are_checked_before_the_log(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol(price_collar=5_000)
    await exchange.open_account("small", "trade", limits=Limits(100, 10_000_000, 2))
    change = exchange.services.directory.set_reference_price(symbol, 100_000, by="test")
    await exchange.settle(change.notification_id)
    written = [exchange.gateway.written(shard) for shard in range(exchange.settings.shards)]

    async def refused(quantity: int, **more: str) -> tuple[int, str, str]:
        answer = await exchange.submit(symbol, "buy", quantity, key="small", **more)
        problem = answer.json()
        return answer.status_code, problem["reason"], problem["refused_by"]

    assert await refused(101, price="0.10") == (422, "order_quantity_limit", "gateway")
    assert await refused(100, price="10.01") == (422, "order_notional_limit", "gateway")
    assert await refused(1, price="10.51") == (422, "price_collar", "gateway")
    assert written == [exchange.gateway.written(shard) for shard in range(exchange.settings.shards)]

    for _ in range(2):
        answer = await exchange.submit(symbol, "buy", 1, price="10.50", key="small")
        assert answer.status_code == 201
    assert await refused(1, price="10.50") == (422, "open_orders_limit", "engine")


async def test_many_at_once_are_each_answered(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    answers = await asyncio.gather(
        *(exchange.submit(symbol, "buy", 1, price="1.00") for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["order_id"] for answer in answers}) == 50
