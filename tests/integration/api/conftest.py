"""One exchange a test module, once with one shard and once with three."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
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


@pytest.fixture(scope="module")
def module_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of the module's own."""
    name = f"api_{next(_numbers)}"
    admin = postgres_server.dsn_of("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.dsn_of(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=[1, 3], ids=["1 shard", "3 shards"])
async def exchange(
    request: pytest.FixtureRequest,
    anyio_backend: str,
    tmp_path_factory: pytest.TempPathFactory,
    module_dsn: str,
    redis_server: EmbeddedRedis,
) -> AsyncIterator[Exchange]:
    """The module's exchange."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder: Path = tmp_path_factory.mktemp("exchange")
    async with running_exchange(folder, module_dsn, redis_server.url, request.param) as running:
        with psycopg.connect(module_dsn, autocommit=True) as connection:
            yield running
            connection.execute("DROP SCHEMA IF EXISTS history CASCADE")
