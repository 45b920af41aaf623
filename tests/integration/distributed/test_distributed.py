"""A distributed exchange of processes, on a real broker, started once: the `gql` client's queries,
time travel over Kafka's logs and a subscription; the archive of those logs; and schemathesis, which
finds the OpenAPI document as true as embedded."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from gql import Client, gql
from gql.transport.httpx import HTTPXTransport
from gql.transport.websockets import WebsocketsTransport
from typer.testing import CliRunner

from cli.main import app
from cli.servers import EmbeddedPostgres, EmbeddedRedis
from commands.directory.application import Directory, DirectoryApplication
from commands.directory.entries import InstrumentTerms
from commands.directory.postgres import postgres_environment
from projections.archive import Archive
from streams.kafka.connection import KafkaConnection
from streams.kafka.topics import create_topics
from tests.conftest import RECORD_BYTES_MAX
from tests.integration.api.conftest import database
from tests.integration.api.schemathesis_run import UNLIMITED, check_document
from tests.integration.gateway_kafka.processes import Api, Running

SHARDS = 3
START_S = 240.0
WORKERS = ("matching", "redis", "postgres", "directory", "clock")
WAIT_S = 60.0
SYMBOLS = ("AAPL", "MSFT", "NVDA")
BOOK = "sequence bids { price quantity } asks { price quantity }"


@dataclass
class Cluster:
    """What runs, and how to reach its stores."""

    api: Api
    settings: dict[str, str]
    directory: Directory


@pytest.fixture(scope="module")
def cluster(
    kafka_bootstrap: str,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """One API, a worker of each kind, and three instruments, for all of this module."""
    connection = KafkaConnection(kafka_bootstrap, topic_prefix=f"test-{uuid.uuid4().hex[:10]}.")
    create_topics(
        connection,
        SHARDS,
        replication_factor=1,
        min_insync_replicas=1,
        record_bytes_max=RECORD_BYTES_MAX,
    )
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("cluster")
    with database(postgres_server) as dsn:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": connection.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": connection.topic_prefix,
            "POSTGRES_DSN": dsn,
            "REDIS_URL": redis_server.url,
            "SHARDS": str(SHARDS),
            "DATA_DIR": str(folder / "data"),
            "OUTCOME_WAIT_MS": "20000",
            "READ_WAIT_MS": "20000",
            **UNLIMITED,
        }
        api = Api(folder, settings)
        running: list[Running] = [api]
        running += [Running(folder, settings, "worker", name) for name in WORKERS]
        directory = Directory(DirectoryApplication(postgres_environment(dsn)), SHARDS)
        try:
            for symbol in SYMBOLS:
                directory.list_instrument(InstrumentTerms(symbol, 100), by="test")
            api.wait_until_ready(wait_s=START_S)
            yield Cluster(api, settings, directory)
        finally:
            directory.close()
            for each in running:
                each.end()


def key_of(directory: Directory, name: str, *scopes: str) -> str:
    """Open an account; its key."""
    number = directory.create_account(name, by="test").entry.number
    return directory.create_key(number, list(scopes), by="test")[1].text


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


def test_queries_and_subscriptions_over_kafka(cluster: Cluster) -> None:
    api, directory = cluster.api, cluster.directory
    alice, bob = key_of(directory, "alice", "trade"), key_of(directory, "bob", "trade")
    positions = {}
    for symbol in SYMBOLS:
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
        # Orders that came before a shard knew of the account were rejected, and sent once more.
        "{ orders(filter: {states: [PARTIALLY_FILLED]}) { edges { node { orderId leavesQuantity"
        " life { why events { kind position } } } } } }",
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


def archived(cluster: Cluster, folder: Path, *more: str) -> str:
    """Run `crossbook archive`; what it says."""
    named = {f"CROSSBOOK_{name}": value for name, value in cluster.settings.items()}
    found = CliRunner().invoke(app, ["archive", str(folder), *more], env=named)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_archive_is_of_kafkas_log(cluster: Cluster, tmp_path: Path) -> None:
    """Whole, then what is new alone; its trades are those that REST answers."""
    folder = tmp_path / "archive"
    carol = key_of(cluster.directory, "carol", "trade")

    def trade(count: int) -> None:
        for symbol in SYMBOLS:
            for number, side in enumerate(("buy", "sell")):
                order = {"symbol": symbol, "side": side, "quantity": count, "price": "20.00"}
                order["client_order_id"] = f"{count}-{number}"
                cluster.api.wait_for("POST", "/v1/orders", (200, 201), order, key=carol)

    def traded(symbol: str) -> list[tuple[int, int]]:
        told = cluster.api.call("GET", f"/v1/trades/{symbol}?limit=1000").json()["trades"]
        return sorted((int(each["match_number"]), each["quantity"]) for each in told)

    trade(3)
    archived(cluster, folder)
    before = {shard: Archive(folder).position(shard).position for shard in range(SHARDS)}
    trade(5)
    assert len(archived(cluster, folder).splitlines()) == SHARDS
    kept = Archive(folder)
    for shard in range(SHARDS):
        assert kept.position(shard).position > before[shard] > 0
    for symbol in SYMBOLS:
        rows = kept.scan("public/trades", symbol).collect()
        found = sorted(rows.select("match_number", "quantity").rows())
        assert [quantity for _, quantity in found][-2:] == [3, 5]
        assert found == traded(symbol)
    assert " 0 troubles" in archived(cluster, folder, "--verify")


def test_the_document_is_true_over_kafka(cluster: Cluster, tmp_path: Path) -> None:
    key = key_of(cluster.directory, "asked", "read", "trade", "admin")
    cluster.api.wait_for("GET", "/v1/orders", (200,), key=key)
    check_document(f"http://127.0.0.1:{cluster.api.port}", key, tmp_path, examples=1)
