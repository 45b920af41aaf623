"""Real servers for the tests: one PostgreSQL, one Redis and one Kafka broker a session; a fresh
database, an emptied Redis or fresh topics a test.

With two workers (`-n 2`), one runs the fault tests in turn and one the tests in WITH_SERVERS, so
that no more than two exchanges share the machine; the rest goes file by file to whoever is free.

A machine without Java or Maven skips what needs a broker; with CI=true that is a failure.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from cli.servers import EmbeddedPostgres, EmbeddedRedis, KafkaServer, kafka_programs

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

    from streams.kafka.connection import KafkaConnection

RECORD_BYTES_MAX = 1_000_000

FAULTS = "tests/faults/"
WITH_SERVERS = ("tests/browser/", "tests/contract/", "tests/integration/")

_numbers = itertools.count(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Which tests one worker runs in turn."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServers(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(FAULTS):
                return FAULTS
            if nodeid.startswith(WITH_SERVERS):
                return "with servers"
            return nodeid.split("::", 1)[0]

    return ByServers(config, log)


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's servers keep their data."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(servers_dir: Path) -> Iterator[EmbeddedPostgres]:
    """The session's PostgreSQL."""
    server = EmbeddedPostgres(servers_dir / "postgres", servers_dir / "run")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """An empty database of its own for each test."""
    name = f"test_{next(_numbers)}"
    admin = postgres_server.dsn_of("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.dsn_of(name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server(servers_dir: Path) -> Iterator[EmbeddedRedis]:
    """The session's Redis."""
    server = EmbeddedRedis(servers_dir / "redis", servers_dir / "run")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An emptied Redis for each test."""
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return redis_server.url


@pytest.fixture(scope="session")
def java_and_maven() -> None:
    """What a broker of our own needs is here; skips, and with CI=true fails, where it is not."""
    lacking = kafka_programs.missing()
    if lacking is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)


@pytest.fixture(scope="session")
def kafka_server(
    java_and_maven: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaServer]:
    """The session's Kafka broker, on ports of its own."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "kafka")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_server: KafkaServer) -> str:
    """The broker's host:port."""
    return kafka_server.bootstrap_servers


@pytest.fixture
def kafka_shards() -> int:
    """Partitions of a test's topics; a test module overrides this."""
    return 3


@pytest.fixture
def kafka_connection(kafka_bootstrap: str, kafka_shards: int) -> KafkaConnection:
    """A connection with a topic prefix of its own, its topics made."""
    from streams.kafka.connection import KafkaConnection
    from streams.kafka.topics import create_topics

    connection = KafkaConnection(kafka_bootstrap, topic_prefix=f"test-{uuid.uuid4().hex[:10]}.")
    create_topics(
        connection,
        kafka_shards,
        replication_factor=1,
        min_insync_replicas=1,
        record_bytes_max=RECORD_BYTES_MAX,
    )
    return connection
