"""One exchange a test module, with its API on a real socket."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis

from cli.servers import EmbeddedPostgres, EmbeddedRedis
from tests.integration.api.exchange import running_exchange
from tests.integration.stream.serving import Served, served

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """asyncio alone: the product runs on nothing else."""
    return "asyncio"


@contextmanager
def database(server: EmbeddedPostgres) -> Iterator[str]:
    """A database that goes when it is left."""
    name = f"stream_{next(_numbers)}"
    admin = server.dsn_of("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.dsn_of(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def shards() -> int:
    """A module may say otherwise."""
    return 1


@pytest.fixture(scope="module")
async def exchange(
    anyio_backend: str,
    shards: int,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
) -> AsyncIterator[Served]:
    """The module's exchange, with a database and an emptied Redis of its own."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("stream")
    with database(postgres_server) as dsn:
        async with (
            running_exchange(folder, dsn, redis_server.url, shards) as running,
            served(running) as serving,
        ):
            yield serving
