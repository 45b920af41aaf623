"""What each channel says of a running exchange, in its order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from api.stream.shapes import MARKET_MESSAGES
from tests.integration.stream.serving import Client, Served

pytestmark = pytest.mark.anyio


def conforms(message: dict[str, Any]) -> bool:
    """Whether exactly one of the described messages is this one."""
    fitting = 0
    for kind in MARKET_MESSAGES:
        try:
            msgspec.convert(message, kind)
        except msgspec.ValidationError:
            continue
        fitting += 1
    return fitting == 1


async def trade_a_little(exchange: Served, symbol: str) -> list[str]:
    """Alice rests 100 at 10.00 and 50 at 10.10, bob takes 30; answers alice's order ids."""
    orders = exchange.exchange
    first = await orders.submit(symbol, "sell", 100, price="10.00")
    second = await orders.submit(symbol, "sell", 50, price="10.10", time_in_force="gtc")
    taken = await orders.submit(symbol, "buy", 30, price="10.00", key="bob", time_in_force="ioc")
    assert (first.status_code, second.status_code, taken.status_code) == (201, 201, 201)
    return [first.json()["order_id"], second.json()["order_id"]]


async def heard(client: Client, count: int) -> list[dict[str, Any]]:
    messages = [await client.hear() for _ in range(count)]
    assert all(map(conforms, messages)), messages
    return messages


async def test_level2_is_a_snapshot_and_then_deltas(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with exchange.client() as client:
        [snapshot] = await client.subscribe("level2", symbol)
        assert conforms(snapshot) and (snapshot["bids"], snapshot["asks"]) == ([], [])
        await trade_a_little(exchange, symbol)
        deltas = await heard(client, 3)
        assert [delta["asks"] for delta in deltas] == [
            [["10.0000", 100, 1]],
            [["10.1000", 50, 1]],
            [["10.0000", 70, 1]],
        ]
        chain = [message["sequence"] for message in (snapshot, *deltas)]
        assert [delta["previous_sequence"] for delta in deltas] == chain[:-1]
        [again] = await client.subscribe("level2", symbol)
        assert again["asks"] == [["10.0000", 70, 1], ["10.1000", 50, 1]]
        assert again["sequence"] == chain[-1]


async def test_level1_speaks_only_when_the_best_changes(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with exchange.client() as client:
        [snapshot] = await client.subscribe("level1", symbol)
        assert conforms(snapshot) and snapshot["ask"] is None
        await trade_a_little(exchange, symbol)
        first, second = await heard(client, 2)
        assert first["ask"] == ["10.0000", 100, 1] and second["ask"] == ["10.0000", 70, 1]
        assert second["previous_sequence"] == first["sequence"]


async def test_trades_and_the_last_one_first(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with exchange.client() as client:
        [snapshot] = await client.subscribe("trades", symbol)
        assert conforms(snapshot) and snapshot["last_trade"] is None
        await trade_a_little(exchange, symbol)
        [trade] = await heard(client, 1)
        assert (trade["price"], trade["quantity"], trade["aggressor_side"]) == (
            "10.0000",
            30,
            "buy",
        )
        [again] = await client.subscribe("trades", symbol)
        assert again["last_trade"]["match_number"] == trade["match_number"]
        rest = await exchange.exchange.call("GET", f"/v1/trades/{symbol}", key=None)
        known = rest.json()["trades"]
        if known:  # history may come a little later than the stream
            assert again["last_trade"].items() <= known[0].items()


async def test_orders_tells_what_happens_to_resting_orders(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    orders = exchange.exchange
    async with exchange.client() as client:
        await client.subscribe("orders", symbol)
        first, second = await trade_a_little(exchange, symbol)
        await orders.call("PATCH", f"/v1/orders/{first}", {"quantity": 90})
        await orders.call("PATCH", f"/v1/orders/{first}", {"price": "10.10"})
        await orders.call("DELETE", f"/v1/orders/{second}")
        steps = [step for message in await heard(client, 6) for step in message["changes"]]
        assert [(step["event"], step["order_id"], step["quantity"]) for step in steps] == [
            ("added", first, 100),
            ("added", second, 50),
            ("executed", first, 70),
            ("reduced", first, 60),
            ("removed", first, 0),
            ("added", first, 60),
            ("removed", second, 0),
        ]
        [again] = await client.subscribe("orders", symbol)
        assert conforms(again) and again["asks"] == [[first, "10.1000", 60]]


async def test_status_follows_the_trading_state(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with exchange.client() as client:
        [snapshot] = await client.subscribe("status", symbol)
        assert conforms(snapshot) and snapshot["state"] == "open"
        path = f"/v1/admin/instruments/{symbol}/state"
        await exchange.exchange.call("PUT", path, {"state": "halted"}, key="admin")
        [changed] = await heard(client, 1)
        assert changed["state"] == "halted"


async def test_executions_are_the_accounts_own(exchange: Served) -> None:
    symbol = await exchange.exchange.new_symbol()
    async with exchange.client("alice") as alice, exchange.client("bob") as bob:
        for client in (alice, bob):
            [snapshot] = await client.subscribe("executions", symbol)
            assert conforms(snapshot)
        first, _ = await trade_a_little(exchange, symbol)
        [made], [took] = await heard(alice, 1), await heard(bob, 1)
        assert (made["order_id"], made["liquidity"], made["leaves_quantity"]) == (
            first,
            "maker",
            70,
        )
        assert (took["liquidity"], took["side"], took["leaves_quantity"]) == ("taker", "buy", 0)
        assert made["match_number"] == took["match_number"]
        for client in (alice, bob):  # and nothing of the other's
            assert (await client.ask("ping"))["type"] == "pong"


async def test_many_symbols_and_channels_share_a_connection(exchange: Served) -> None:
    one, two = [await exchange.exchange.new_symbol() for _ in range(2)]
    async with exchange.client() as client:
        await client.subscribe("level2", one, two)
        await client.subscribe("trades", two)
        await exchange.exchange.submit(one, "buy", 1, price="1.00")
        await exchange.exchange.submit(two, "buy", 1, price="1.00")
        assert [message["symbol"] for message in await heard(client, 2)] == [one, two]
        answer = await client.ask("unsubscribe", channel="level2", symbols=[one])
        assert answer == {"type": "unsubscribed", "channel": "level2", "symbols": [one]}
        await exchange.exchange.submit(one, "buy", 1, price="1.01")
        await exchange.exchange.submit(two, "buy", 1, price="1.01")
        [only] = await heard(client, 1)
        assert only["symbol"] == two
