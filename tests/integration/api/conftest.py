"""One exchange a test module, once with one shard and once with three."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from cli.servers import EmbeddedPostgres, EmbeddedRedis
from tests.integration.api.exchange import Exchange, running_exchange

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """asyncio alone: the product runs on nothing else."""
    return "asyncio"


@contextmanager
def database(server: EmbeddedPostgres) -> Iterator[str]:
    """A database that goes when it is left."""
    name = f"api_{next(_numbers)}"
    admin = server.dsn_of("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.dsn_of(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=[1, 3], ids=["1 shard", "3 shards"])
async def exchange(
    request: pytest.FixtureRequest,
    anyio_backend: str,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
) -> AsyncIterator[Exchange]:
    """The module's exchange, with a database and an emptied Redis of its own."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder: Path = tmp_path_factory.mktemp("exchange")
    url = redis_server.url
    with database(postgres_server) as dsn:
        async with running_exchange(folder, dsn, url, request.param) as running:
            yield running
