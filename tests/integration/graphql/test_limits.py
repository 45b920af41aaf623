"""What is too large is refused, at once and with its own code, over HTTP and the WebSocket."""

from __future__ import annotations

import json
import time

import pytest
from graphql import get_introspection_query
from websockets.asyncio.client import connect

from tests.integration.graphql.asking import ask
from tests.integration.stream.serving import Served

pytestmark = pytest.mark.anyio
REFUSED_S_MAX = 0.1


def nested(count: int) -> str:
    """Fragments that double at each level: 2**count fields, in a few hundred tokens."""
    parts = [f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count)]
    return "{ ...f0 }" + " ".join(parts) + f" fragment f{count} on Query {{ status {{ ready }} }}"


def deep(levels: int) -> str:
    """Introspection apart, what nests: an order's instrument's … there is no cycle, so fragments
    of brackets."""
    return "{ " + "book { " * levels + "sequence" + " }" * (levels + 1)


TOO_LARGE = {
    "too_many_fields": nested(60),
    "too_deep": deep(13),
    "too_deep, past the parser": deep(990),
    "too_many_aliases": "{ " + " ".join(f"a{n}: status {{ ready }}" for n in range(31)) + " }",
    "too_many_aliases, by repeating": "{ " + "status { ready } " * 40 + "}",
    "too_many_tokens": "{ " + "__typename " * 2_100 + "}",
    "too_long": "{ __typename } #" + " " * 40_000,
    "too_costly": '{ book(symbol: "AAPL", depth: 1000) { bids { price quantity orderCount }'
    " asks { price quantity orderCount } orders(first: 1000) { orderId } } }",
    "page_too_large": '{ trades(symbol: "AAPL", first: 501) { edges { cursor } } }',
    "syntax_error": "{ status { ready }",
    "invalid_query": "{ nothing }",
}


async def code_over_http(served: Served, query: str) -> str:
    answer = await served.exchange.client.post("/graphql", json={"query": query})
    assert answer.status_code == 200
    return str(answer.json()["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_what_is_too_large_is_refused_at_once(exchange: Served, name: str) -> None:
    code = name.partition(",")[0]
    query = TOO_LARGE[name]
    took = []
    for _ in range(5):
        began = time.thread_time()  # of this process's work, whatever else the machine does
        assert await code_over_http(exchange, query) == code
        took.append(time.thread_time() - began)
    assert min(took) < REFUSED_S_MAX


async def test_a_websocket_goes_on_after_a_refusal(exchange: Served) -> None:
    address = exchange.url.replace("http", "ws") + "/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        for name in ("too_many_fields", "too_many_tokens", "too_deep, past the parser"):
            message = {"id": name[:60], "type": "subscribe", "payload": {"query": TOO_LARGE[name]}}
            await socket.send(json.dumps(message))
            told = json.loads(await socket.recv())
            assert (told["type"], told["id"]) == ("error", name[:60])
            assert told["payload"][0]["extensions"]["code"] == name.partition(",")[0]
        query = {"query": "{ status { mode } }"}
        await socket.send(json.dumps({"id": "q", "type": "subscribe", "payload": query}))
        assert json.loads(await socket.recv())["payload"]["data"]["status"]["mode"] == "embedded"


@pytest.mark.parametrize(
    "text", ["[]", '"x"', '{"type": 1}', '{"type": "subscribe", "id": 5}', "nonsense", "[" * 5_000]
)
async def test_what_is_no_message_ends_that_connection_alone(exchange: Served, text: str) -> None:
    address = exchange.url.replace("http", "ws") + "/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        await socket.send(text)
        await socket.wait_closed()
    assert socket.close_code == 4400
    assert await ask(exchange, "{ __typename }") == {"__typename": "Query"}


async def test_introspection_is_within_the_limits(exchange: Served) -> None:
    found = await ask(exchange, get_introspection_query())
    assert found["__schema"]["queryType"]["name"] == "Query"


async def test_subscriptions_are_capped_by_connection(exchange: Served) -> None:
    address = exchange.url.replace("http", "ws") + "/graphql"
    most = exchange.exchange.services.graphql_settings.subscriptions_max
    query = {"query": 'subscription { tradingStates(symbols: ["AAPL"]) { state } }'}
    codes = []
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        for number in range(most + 5):
            if number % 40 == 39:  # not beyond the rate of messages
                import asyncio

                await asyncio.sleep(1)
            message = {"id": str(number), "type": "subscribe", "payload": query}
            await socket.send(json.dumps(message))
        while len(codes) < 5:
            told = json.loads(await socket.recv())
            if told["type"] == "error":
                codes.append(told["payload"][0]["extensions"]["code"])
    assert codes == ["too_many_subscriptions"] * 5
