"""Who asks or subscribes too often is told so, with the code and when to come again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.graphql.settings import GraphQLSettings
from api.rates.enforce import Rates, RateSettings
from api.rates.limiter import RateLimiter
from crossbook_client import Crossbook, GraphQLError
from tests.integration.graphql.asking import WAIT_S
from tests.integration.graphql.conftest import SYMBOL
from tests.integration.stream.serving import Served, until

pytestmark = pytest.mark.anyio
QUERY = {"query": "{ account { name } }"}


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Rates(settings=RateSettings(key_requests_per_s=2))
    rates = exchange.exchange.services.rates
    monkeypatch.setattr(rates, "key", few.key)
    # At a stand: however slow the machine is, nothing flows in.
    monkeypatch.setattr(rates, "limiter", RateLimiter(now=lambda: 100.0))
    answers = await asyncio.gather(
        *(exchange.exchange.call("POST", "/graphql", QUERY) for _ in range(12))
    )
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 10
    for answer in refused:
        assert answer.status_code == 429
        [error] = answer.json()["errors"]
        after = int(answer.headers["Retry-After"])
        assert after >= 1
        told = {"code": "rate_limited", "status": 429, "retryAfterS": after}
        assert error["extensions"] == told
    other = await exchange.exchange.call("POST", "/graphql", QUERY, key="bob")
    assert other.json()["data"] == {"account": {"name": "bob"}}, "each key has its own"


@asynccontextmanager
async def opened(served: Served, key: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket that has said who it is."""
    headers = {"X-API-Key": served.exchange.keys[key]}
    address = served.url.replace("http", "ws") + "/graphql"
    async with connect(
        address, subprotocols=["graphql-transport-ws"], additional_headers=headers
    ) as socket:
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket


async def subscribe(socket: ClientConnection, name: str) -> dict[str, Any]:
    """Subscribe; the first message of it."""
    text = f'subscription {{ tradingStates(symbols: ["{SYMBOL}"]) {{ state }} }}'
    message = {"id": name, "type": "subscribe", "payload": {"query": text}}
    await socket.send(json.dumps(message))
    async with asyncio.timeout(WAIT_S):
        while True:
            told: dict[str, Any] = json.loads(await socket.recv())
            if told.get("id") == name:
                return told


async def test_an_account_has_so_many_subscriptions_over_all_its_connections(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = (await exchange.server.config.app.state.graphql.made()).live
    most = replace(GraphQLSettings(), subscriptions_max=4, subscriptions_per_account_max=5)
    monkeypatch.setattr(live, "settings", most)
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(opened(exchange, "alice")) for _ in range(2)
        ]
        for number in range(3):
            assert (await subscribe(first, f"a{number}"))["type"] == "next"
        for number in range(2):
            assert (await subscribe(second, f"b{number}"))["type"] == "next"
        told = await subscribe(second, "b2")
        assert code_in(told) == "too_many_subscriptions"
        other = await stack.enter_async_context(opened(exchange, "bob"))
        assert (await subscribe(other, "c"))["type"] == "next", "each account has its own"
        await first.send('{"id":"a0","type":"complete"}')
        await until(lambda: live.subscription_count == 5)
        assert (await subscribe(second, "b3"))["type"] == "next", "what ended counts no more"
    await until(lambda: live.subscription_count == 0)


def code_in(message: dict[str, Any]) -> str:
    """The code of an `error`, or of a `next` that holds errors."""
    payload = message["payload"]
    errors = payload["errors"] if message["type"] == "next" else payload
    return str(errors[0]["extensions"]["code"])


async def test_the_client_without_await_subscribes(exchange: Served) -> None:
    text = "subscription ($symbol: String!) { quotes(symbols: [$symbol]) { bid { price } } }"

    def heard() -> tuple[list[Any], str]:
        with Crossbook(exchange.url, api_key=exchange.exchange.keys["alice"]) as client:
            told = []
            for message in client.subscribe(text, {"symbol": SYMBOL}):
                told.append(message)
                if len(told) == 2:
                    break
                client.submit(SYMBOL, "buy", 1, price="150.00", time_in_force="ioc")
            with pytest.raises(GraphQLError) as unknown:
                next(iter(client.subscribe(text, {"symbol": "NONE"})))
            return told, unknown.value.reason

    told, reason = await asyncio.to_thread(heard)
    assert all(set(message) == {"quotes"} for message in told)
    assert reason == "unknown_instrument"
