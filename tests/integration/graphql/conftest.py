"""One exchange a test module, on a real socket, with orders in it."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis

from cli.servers import EmbeddedPostgres, EmbeddedRedis
from tests.integration.api.exchange import Exchange, running_exchange
from tests.integration.stream.serving import Served, served

_numbers = itertools.count(1)
SYMBOL = "AAPL"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """asyncio alone: the product runs on nothing else."""
    return "asyncio"


@contextmanager
def database(server: EmbeddedPostgres) -> Iterator[str]:
    """A database that goes when it is left."""
    name = f"graphql_{next(_numbers)}"
    admin = server.dsn_of("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.dsn_of(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def exchange(
    anyio_backend: str,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
) -> AsyncIterator[Served]:
    """Two shards, two traders and some hundred orders of every kind."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("graphql")
    with database(postgres_server) as dsn:
        async with (
            running_exchange(folder, dsn, redis_server.url, 2) as running,
            served(running) as serving,
        ):
            await trade(running, seed=7)
            yield serving


async def trade(exchange: Exchange, seed: int, batches: int = 12) -> None:
    """Orders of both accounts in two symbols, in batches, so that many commands share a
    position."""
    rng = random.Random(seed)
    for number in range(batches):
        key = ("alice", "bob")[number % 2]
        commands = [_command(rng, number, index) for index in range(20)]
        answer = await exchange.call("POST", "/v1/orders/batch", {"commands": commands}, key=key)
        assert answer.status_code == 200, answer.text


def _command(rng: random.Random, number: int, index: int) -> dict[str, object]:
    symbol = rng.choice((SYMBOL, "MSFT"))
    if rng.random() < 0.2 and index:
        client = f"s{number}-{rng.randrange(index)}"
        return {"op": "cancel", "symbol": symbol, "client_order_id": client}
    price = 100 + rng.randrange(-8, 9) / 100
    kind = "ioc" if rng.random() < 0.15 else "gtc"
    return {
        "op": "submit",
        "symbol": symbol,
        "side": rng.choice(("buy", "sell")),
        "type": "limit",
        "price": f"{price:.2f}",
        "quantity": rng.randrange(1, 60),
        "time_in_force": kind,
        "client_order_id": f"s{number}-{index}",
    }
