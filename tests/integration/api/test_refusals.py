"""What the replaced simulator choked on, and more: clear 4xx, nothing lost, and trading goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.integration.api.exchange import Exchange

pytestmark = pytest.mark.anyio


def order_json(price: str) -> bytes:
    return b'{"symbol":"AAPL","side":"buy","quantity":1,"price":' + price.encode() + b"}"


BODIES = [
    (order_json("1e1000000"), 400, "invalid_price"),
    (order_json('"1e1000000"'), 400, "invalid_price"),
    (order_json("NaN"), 400, "malformed_json"),
    (order_json('"NaN"'), 400, "invalid_price"),
    (order_json('"Infinity"'), 400, "invalid_price"),
    (order_json("-187.25"), 422, "price_out_of_range"),
    (order_json('"0"'), 422, "price_out_of_range"),
    (order_json("1" + "0" * 30), 422, "price_out_of_range"),
    (order_json("1e30"), 400, "invalid_price"),
    (order_json("429496.7296"), 422, "price_out_of_range"),
    (order_json("0.00001"), 422, "price_too_fine"),
    (order_json("187.255"), 422, "price_not_on_tick"),
    (order_json("null"), 422, "price_required"),
    (b"[]", 400, "invalid_body"),
    (b"{}", 400, "missing_field"),
    (b"null", 400, "invalid_body"),
    (b"", 400, "malformed_json"),
    (b"\xff\xfe\x00", 400, "malformed_json"),
    (b'{"symbol":"\xc3\x28","side":"buy","quantity":1}', 400, "malformed_json"),
    (b"[" * 100_000, 400, "invalid_body"),
    (b'{"symbol":' * 100_000, 400, "invalid_symbol"),
    (b'{"symbol":"aapl","side":"buy","quantity":1,"price":1}', 404, "unknown_instrument"),
    (b'{"symbol":"NOPE","side":"buy","quantity":1,"price":1}', 404, "unknown_instrument"),
    (b'{"symbol":"AAPL","side":"buy","quantity":0,"price":1}', 422, "quantity_required"),
    (b'{"symbol":"AAPL","side":"buy","quantity":-1,"price":1}', 422, "quantity_required"),
    (
        b'{"symbol":"AAPL","side":"buy","quantity":1000000001,"price":1}',
        422,
        "quantity_too_large",
    ),
    (b'{"symbol":"AAPL","side":"buy","quantity":1.5,"price":1}', 400, "invalid_quantity"),
    (
        b'{"symbol":"AAPL","side":"buy","quantity":1,"price":1,"client_order_id":"a b"}',
        400,
        "invalid_client_order_id",
    ),
    (
        b'{"symbol":"AAPL","side":"buy","quantity":1,"price":1,"type":"market"}',
        422,
        "price_not_allowed",
    ),
    (
        b'{"symbol":"AAPL","side":"buy","quantity":1,"type":"market","time_in_force":"day"}',
        422,
        "market_must_be_ioc_or_fok",
    ),
]


@pytest.mark.parametrize(("body", "status", "reason"), BODIES)
async def test_bodies_that_are_refused(
    exchange: Exchange, body: bytes, status: int, reason: str
) -> None:
    answer = await exchange.call("POST", "/v1/orders", content=body)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (status, reason)
    assert problem["status"] == status
    assert problem["type"].endswith(reason)
    assert problem["title"] and problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


async def test_none_of_it_harms_the_engine(exchange: Exchange) -> None:
    for body, *_ in BODIES:
        await exchange.call("POST", "/v1/orders", content=body)
        await exchange.call("POST", "/v1/orders/batch", content=b'{"commands":[' + body + b"]}")
        await exchange.call("POST", "/v1/orders/batch", content=body)
    answer = await exchange.submit("AAPL", "buy", 1, price="187.25")
    assert answer.status_code == 201


async def test_the_wrong_case_gets_a_hint(exchange: Exchange) -> None:
    answer = await exchange.submit("aapl", "buy", 1, price="1.00")
    assert "AAPL" in answer.json()["detail"]
    answer = await exchange.call("GET", "/v1/books/brk/a")
    assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_instrument")
    assert "BRK/A" in answer.json()["detail"]


async def test_ten_megabytes_are_too_large(exchange: Exchange) -> None:
    body = b'{"commands":[' + b" " * 10_000_000 + b"]}"
    for path in ("/v1/orders", "/v1/orders/batch"):
        answer = await exchange.call("POST", path, content=body)
        assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")


async def test_so_are_they_without_a_length(exchange: Exchange) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 1
            yield b" " * 65_536

    answer = await exchange.call("POST", "/v1/orders/batch", content=chunks())
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_body_within_the_limit_is_read(exchange: Exchange) -> None:
    body = json.dumps({"commands": [{"op": "cancel", "order_id": "65536"}]}).encode()
    answer = await exchange.call("POST", "/v1/orders/batch", content=body.ljust(1_048_576))
    assert answer.status_code == 200
    answer = await exchange.call("POST", "/v1/orders/batch", content=body.ljust(1_048_577))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/orders?limit=-1", 400, "invalid_parameter"),
        ("/v1/orders?limit=0", 400, "invalid_parameter"),
        ("/v1/orders?limit=1001", 400, "invalid_parameter"),
        ("/v1/orders?limit=ten", 400, "invalid_parameter"),
        (f"/v1/orders?limit={'9' * 500}", 400, "invalid_parameter"),
        ("/v1/orders?cursor=x", 400, "invalid_order_id"),
        ("/v1/orders?state=odd", 400, "invalid_parameter"),
        ("/v1/orders?symbol=nope", 404, "unknown_instrument"),
        ("/v1/orders?min_position=x", 400, "invalid_position"),
        ("/v1/orders?min_position=0-", 400, "invalid_position"),
        ("/v1/orders?min_position=0--1", 400, "invalid_position"),
        ("/v1/orders?min_position=99-1", 400, "invalid_position"),
        (f"/v1/orders?min_position=0-{2**39}", 400, "invalid_position"),
        (f"/v1/orders?min_position={'0-1,' * 1_000}", 400, "invalid_position"),
        (f"/v1/orders?min_position={'0-1,' * 10_000}", 414, "uri_too_long"),
        (f"/v1/books/{'A' * 2_048}", 414, "uri_too_long"),
        ("/v1/orders?limit=+1", 400, "invalid_parameter"),
        ("/v1/orders?limit=1_0", 400, "invalid_parameter"),
        ("/v1/orders?limit=1.0", 400, "invalid_parameter"),
        ("/v1/orders?limit=%201", 400, "invalid_parameter"),
        ("/v1/instruments?cursor=x", 400, "invalid_parameter"),
        ("/v1/orders/x", 400, "invalid_order_id"),
        ("/v1/orders/-1", 400, "invalid_order_id"),
        (f"/v1/orders/{2**63 - 1}", 404, "unknown_order"),
        (f"/v1/orders/{2**64}", 400, "invalid_order_id"),
        ("/v1/orders/client:", 400, "invalid_client_order_id"),
        ("/v1/orders/client:%00", 400, "invalid_client_order_id"),
        ("/v1/orders/client:nosuch", 404, "unknown_order"),
        ("/v1/books/AAPL?depth=-1", 400, "invalid_parameter"),
        ("/v1/books/AAPL?depth=0", 400, "invalid_parameter"),
        ("/v1/books/AAPL?depth=1e9", 400, "invalid_parameter"),
        ("/v1/books/AAPL?min_position=0-x", 400, "invalid_position"),
        ("/v1/books/AAPL/deltas", 400, "invalid_parameter"),
        ("/v1/books/AAPL/deltas?since=-1", 400, "invalid_parameter"),
        (f"/v1/books/AAPL/deltas?since={2**63}", 400, "invalid_parameter"),
        ("/v1/books/NOPE/deltas?since=0", 404, "unknown_instrument"),
        ("/v1/books/", 404, "unknown_instrument"),
        ("/v1/trades/AAPL?limit=-1", 400, "invalid_parameter"),
        (f"/v1/trades/AAPL?before={2**63}", 400, "invalid_parameter"),
        ("/v1/trades/%ff%fe", 404, "unknown_instrument"),
        ("/v1/trades/%00", 404, "unknown_instrument"),
        ("/v1/instruments/aapl", 404, "unknown_instrument"),
    ],
)
async def test_parameters_that_are_refused(
    exchange: Exchange, path: str, status: int, reason: str
) -> None:
    answer = await exchange.call("GET", path)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_position_that_is_never_reached_is_behind(exchange: Exchange) -> None:
    object.__setattr__(exchange.services.settings, "read_wait_ms", 50)
    try:
        for path in ("/v1/orders", "/v1/books/AAPL", "/v1/trades/AAPL"):
            answer = await exchange.call("GET", path, params={"min_position": "0-99999999"})
            if path != "/v1/orders" and exchange.settings.shards > 1:
                continue  # the instrument may live in another shard
            assert (answer.status_code, answer.json()["reason"]) == (503, "behind")
            assert int(answer.headers["retry-after"]) >= 1
    finally:
        object.__setattr__(exchange.services.settings, "read_wait_ms", 2_000)
