"""Batches over HTTP against the real exchange: one result an item, in order, whatever the others
are."""

from __future__ import annotations

from typing import Any

import pytest

from api.metrics import REJECTS
from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


def submit_item(symbol: str, price: Any, **more: Any) -> dict[str, Any]:
    return {"op": "submit", "symbol": symbol, "side": "buy", "quantity": 1, "price": price, **more}


async def send(exchange: Exchange, commands: list[Any], **more: Any) -> Any:
    answer = await exchange.call("POST", "/v1/orders/batch", {"commands": commands}, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_command_has_its_result_in_order(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    commands = [
        submit_item(symbol, "1.00", client_order_id="a"),
        submit_item(symbol, "1.01", client_order_id="b"),
        {"op": "replace", "client_order_id": "a", "symbol": symbol, "quantity": 3},
        {"op": "cancel", "client_order_id": "b", "symbol": symbol},
        {"op": "cancel", "client_order_id": "c", "symbol": symbol},
        submit_item(symbol, "1.001"),
    ]
    body = await send(exchange, commands)
    results = body["results"]
    assert [result["status"] for result in results] == [201, 201, 200, 200, 404, 422]
    assert [result["outcome"] for result in results] == [
        "accepted",
        "accepted",
        "replaced",
        "cancelled",
        "rejected",
        "rejected",
    ]
    assert results[2]["order_id"] == results[0]["order_id"]
    assert results[2]["leaves_quantity"] == 3
    assert results[4]["refused_by"] == results[5]["refused_by"] == "engine"
    assert "reason" not in results[0]


async def test_a_bad_item_stops_none_of_the_others(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    commands = [
        submit_item(symbol, "1.00"),
        submit_item(symbol, "1e1000000"),
        submit_item(symbol, -1),
        submit_item(symbol, "1.00", quantity="many"),
        submit_item("nope", "1.00"),
        submit_item(symbol.lower(), "1.00"),
        [],
        None,
        7,
        {"op": "explode"},
        {"symbol": symbol},
        {"op": "cancel"},
        {"op": "cancel", "order_id": "x"},
        {"op": "replace", "order_id": "1", "price": "1.00"},
        submit_item(symbol, "1.00", colour="red"),
        submit_item(symbol, "1.00"),
    ]
    results = (await send(exchange, commands))["results"]
    assert [(result["status"], result.get("reason")) for result in results] == [
        (201, None),
        (400, "invalid_price"),
        (422, "price_out_of_range"),
        (400, "invalid_quantity"),
        (404, "unknown_instrument"),
        (404, "unknown_instrument"),
        (400, "invalid_body"),
        (400, "invalid_body"),
        (400, "invalid_body"),
        (400, "invalid_body"),
        (400, "missing_field"),
        (400, "invalid_order_reference"),
        (400, "invalid_order_id"),
        (422, "symbol_required"),
        (400, "unknown_field"),
        (201, None),
    ]
    assert {result["refused_by"] for result in results[1:-1]} == {"gateway"}
    assert symbol in results[5]["detail"]


async def test_nothing_good_in_it_writes_nothing(exchange: Exchange) -> None:
    body = await send(exchange, [submit_item("nope", "1.00")])
    assert (body["position"], body["results"][0]["status"]) == ("", 404)


async def test_a_thousand_commands_lie_in_one_place_a_shard(exchange: Exchange) -> None:
    symbols = [await exchange.new_symbol() for _ in range(3)]
    commands = [submit_item(symbols[index % 3], "1.00") for index in range(1_000)]
    body = await send(exchange, commands)
    assert {result["status"] for result in body["results"]} == {201}
    assert len({result["order_id"] for result in body["results"]}) == 1_000
    places = {int(result["order_id"]) >> 16 for result in body["results"]}
    assert len(places) == exchange.settings.shards == body["position"].count("-")


@pytest.mark.parametrize("count", [0, 1_001])
async def test_too_few_or_too_many(exchange: Exchange, count: int) -> None:
    commands = [{"op": "cancel", "order_id": "1"}] * count
    answer = await exchange.call("POST", "/v1/orders/batch", {"commands": commands})
    assert (answer.status_code, answer.json()["reason"]) == (400, "invalid_body")


async def test_a_batch_sent_again_repeats(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    commands = [submit_item(symbol, "1.00", client_order_id=f"r{index}") for index in range(20)]
    first = await send(exchange, commands)
    again = await send(exchange, commands)
    assert {result["status"] for result in again["results"]} == {200}
    assert [result["order_id"] for result in again["results"]] == [
        result["order_id"] for result in first["results"]
    ]
    assert {result["order"]["state"] for result in again["results"]} == {"open"}
    other = [dict(command, price="1.01") for command in commands]
    assert {result["status"] for result in (await send(exchange, other))["results"]} == {409}


async def test_a_batch_that_is_not_waited_for(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    commands = [submit_item(symbol, "1.00"), submit_item("nope", "1.00")]
    answer = await exchange.call(
        "POST",
        "/v1/orders/batch",
        {"commands": commands},
        headers={"Prefer": "respond-async"},
    )
    assert answer.status_code == 202
    pending, refused = answer.json()["results"]
    assert (pending["status"], refused["status"]) == (202, 404)
    found = await exchange.call("GET", pending["status_url"])
    assert found.json()["order_id"] == pending["order_id"]


async def test_too_late_is_not_unknown_in_a_batch(exchange: Exchange) -> None:
    """Item by item what a single cancel or replace would have been answered."""
    symbol = await exchange.new_symbol()
    filled = (await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="f")).json()
    await exchange.submit(symbol, "sell", 1, price="1.00", key="bob")
    gone = (await exchange.submit(symbol, "buy", 1, price="1.00", client_order_id="g")).json()
    await exchange.call("DELETE", f"/v1/orders/{gone['order_id']}")
    named = {"symbol": symbol, "client_order_id": "f"}
    unborn = str(int(filled["order_id"]) + 60_000)
    commands = [
        {"op": "cancel", "order_id": filled["order_id"]},
        {"op": "cancel", **named},
        {"op": "replace", "order_id": gone["order_id"], "quantity": 5},
        {"op": "cancel", "order_id": gone["order_id"]},
        {"op": "cancel", "order_id": unborn},
        {"op": "cancel", "symbol": symbol, "client_order_id": "never"},
    ]
    own = (await send(exchange, commands))["results"]
    assert [(each["status"], each.get("reason"), each.get("state")) for each in own] == [
        (422, "too_late", "filled"),
        (422, "too_late", "filled"),
        (422, "too_late", "cancelled"),
        (200, None, "cancelled"),
        (404, "unknown_order", None),
        (404, "unknown_order", None),
    ]
    assert [each.get("order_id") for each in own[:4]] == [
        *[filled["order_id"]] * 2,
        *[gone["order_id"]] * 2,
    ]
    others = (await send(exchange, commands, key="bob"))["results"]
    told = {each.get("reason") for each in others}
    assert told == {"unknown_order"}, "nobody learns of another's"


async def test_an_order_born_after_a_cancel_is_none_of_its(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    cancel = {"op": "cancel", "symbol": symbol, "client_order_id": "late"}
    ioc = submit_item(symbol, "1.00", client_order_id="late", time_in_force="ioc")
    results = (await send(exchange, [cancel, ioc, cancel]))["results"]
    assert [(each["status"], each.get("reason")) for each in results] == [
        (404, "unknown_order"),
        (201, None),
        (422, "too_late"),
    ]
    assert results[2]["order_id"] == results[1]["order_id"]


async def test_each_refusal_is_counted_as_it_was_told(exchange: Exchange) -> None:
    symbol = await exchange.new_symbol()
    order = (await exchange.submit(symbol, "buy", 1, price="1.00")).json()
    await exchange.submit(symbol, "sell", 1, price="1.00", key="bob")
    path = f"/v1/orders/{order['order_id']}"

    def counted() -> list[float]:
        reasons = ("too_late", "unknown_order", "quantity_required")
        by = {"too_late": "engine", "unknown_order": "engine", "quantity_required": "gateway"}
        return [REJECTS.labels(by[each], each)._value.get() for each in reasons]

    before = counted()
    assert (await exchange.call("DELETE", path)).json()["reason"] == "too_late"
    cancel = {"op": "cancel", "order_id": order["order_id"]}
    never = {"op": "cancel", "symbol": symbol, "client_order_id": "never"}
    await send(exchange, [cancel, never, cancel, submit_item(symbol, "1.00", quantity=0)])
    moved = [now - then for now, then in zip(counted(), before, strict=True)]
    assert moved == [3, 1, 1]
