"""GraphQL over a distributed exchange of processes, on a real broker: the `gql` client's queries,
time travel over Kafka's logs, and a subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.httpx import HTTPXTransport
from gql.transport.websockets import WebsocketsTransport

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.entries import InstrumentTerms
from commands.directory.postgres import postgres_environment
from streams.kafka.connection import KafkaConnection
from tests.integration.gateway_kafka.processes import Api, Running

SHARDS = 3
WORKERS = ("matching", "redis", "postgres", "directory", "clock")
WAIT_S = 60.0
BOOK = "sequence bids { price quantity } asks { price quantity }"


@pytest.fixture
def kafka_shards() -> int:
    return SHARDS


@pytest.fixture
def api(
    kafka_connection: KafkaConnection, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> Iterator[Api]:
    """One API, and a worker of each kind."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_connection.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka_connection.topic_prefix,
        "POSTGRES_DSN": postgres_dsn,
        "REDIS_URL": redis_url,
        "SHARDS": str(SHARDS),
        "DATA_DIR": str(tmp_path / "data"),
        "OUTCOME_WAIT_MS": "20000",
        "READ_WAIT_MS": "20000",
    }
    running: list[Running] = [Api(tmp_path, settings)]
    running += [Running(tmp_path, settings, "worker", name) for name in WORKERS]
    assert isinstance(running[0], Api)
    yield running[0]
    for each in running:
        each.end()


def key_of(directory: Directory, name: str, scope: str) -> str:
    """Open an account; its key."""
    number = directory.create_account(name, by="test").entry.number
    return directory.create_key(number, [scope], by="test")[1].text


def ask(api: Api, text: str, key: str | None = None) -> Any:
    """The data of a query."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{api.port}/graphql"
    with Client(transport=HTTPXTransport(url=url, headers=headers, timeout=WAIT_S)) as session:
        return session.execute(gql(text))


async def first_of(api: Api, text: str) -> Any:
    """The first message of a subscription."""
    transport = WebsocketsTransport(url=f"ws://127.0.0.1:{api.port}/graphql")
    async with asyncio.timeout(WAIT_S), Client(transport=transport) as session:
        return await anext(session.subscribe(gql(text)))


def test_queries_and_subscriptions_over_kafka(api: Api, postgres_dsn: str) -> None:
    directory = Directory(DirectoryApplication(postgres_environment(postgres_dsn)), SHARDS)
    alice, bob = key_of(directory, "alice", "trade"), key_of(directory, "bob", "trade")
    for symbol in ("AAPL", "MSFT", "NVDA"):
        directory.list_instrument(InstrumentTerms(symbol, 100), by="test")
    directory.close()
    api.wait_until_ready()
    positions = {}
    for symbol in ("AAPL", "MSFT", "NVDA"):
        for key, side, quantity in ((alice, "buy", 9), (bob, "sell", 4)):
            order = {"symbol": symbol, "side": side, "quantity": quantity, "price": "10.00"}
            order["client_order_id"] = f"{symbol}-{side}"
            sent = api.wait_for("POST", "/v1/orders", (200, 201), order, key=key)
            positions[symbol] = sent.json()["position"]
    for symbol, position in positions.items():
        now = ask(api, f'{{ book(symbol: "{symbol}", minPosition: "{position}") {{ {BOOK} }} }}')[
            "book"
        ]
        assert now["bids"] == [{"price": "10.0000", "quantity": 5}]
        then = ask(
            api, f'{{ book(symbol: "{symbol}", asOf: {{sequence: "3"}}) {{ {BOOK} isPast }} }}'
        )["book"]
        assert then["bids"] == [{"price": "10.0000", "quantity": 9}] and then["isPast"]
        steps = ask(
            api,
            f'{{ bookSteps(symbol: "{symbol}", after: "3") {{ steps {{ sequence'
            " trades { quantity } levels { quantity } } } }",
        )["bookSteps"]["steps"]
        assert [step["trades"] for step in steps] == [[{"quantity": 4}]]
        assert steps[-1]["sequence"] == now["sequence"]
    orders = ask(
        api,
        "{ orders { edges { node { orderId leavesQuantity life {"
        " why events { kind position } } } } } }",
        alice,
    )["orders"]["edges"]
    assert len(orders) == 3
    for edge in orders:
        kinds = {event["kind"] for event in edge["node"]["life"]["events"]}
        # A slow machine's 503 has an order sent once more.
        assert kinds - {"order_repeated"} == {"order_accepted", "order_executed"}
    status = ask(api, "{ status { mode ready shards { shard lagBatches } } }")["status"]
    assert status["mode"] == "distributed" and len(status["shards"]) == SHARDS
    fields = "... on BookSnapshot { bids { quantity } }"
    text = f'subscription {{ bookDeltas(symbol: "MSFT") {{ {fields} }} }}'
    told = asyncio.run(first_of(api, text))
    assert told["bookDeltas"]["bids"] == [{"quantity": 5}]
