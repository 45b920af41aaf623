"""A distributed exchange of processes: two APIs, matching, Redis, PostgreSQL, two directory workers
and two clocks, on a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.postgres import postgres_environment
from domain.codes import APPLIED, REPEAT
from streams.clock import CLOCK_SESSION
from streams.directory_bookmarks import DIRECTORY_SESSION
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaEventLog
from tests.integration.gateway_kafka.processes import Api, Running

SHARDS = 2
REVOKED_S_MAX = 5.0
WORKERS = ("matching", "redis", "postgres", "directory", "directory", "clock", "clock")


@pytest.fixture
def settings(
    kafka_connection: KafkaConnection, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_connection.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka_connection.topic_prefix,
        "POSTGRES_DSN": postgres_dsn,
        "REDIS_URL": redis_url,
        "SHARDS": str(SHARDS),
        "DATA_DIR": str(tmp_path / "data"),
        "OUTCOME_WAIT_MS": "20000",
        "READ_WAIT_MS": "20000",
    }


@pytest.fixture
def directory(postgres_dsn: str) -> Iterator[Directory]:
    opened = Directory(DirectoryApplication(postgres_environment(postgres_dsn)), SHARDS)
    yield opened
    opened.close()


@pytest.fixture
def apis(settings: dict[str, str], tmp_path: Path) -> Iterator[tuple[Api, Api]]:
    """Two APIs, and all workers beside them."""
    one, other = Api(tmp_path, settings), Api(tmp_path, settings)
    running: list[Running] = [one, other]
    running += [Running(tmp_path, settings, "worker", name) for name in WORKERS]
    yield one, other
    for each in running:
        each.end()


def key_of(directory: Directory, name: str, scope: str) -> tuple[int, str, str]:
    """Open an account: its number, and a key's id and text."""
    number = directory.create_account(name, by="test").entry.number
    _, key = directory.create_key(number, [scope], by="test")
    return number, key.key_id, key.text


def test_an_order_goes_through_one_api_and_is_read_at_the_other(
    apis: tuple[Api, Api], directory: Directory, kafka_connection: KafkaConnection
) -> None:
    one, other = apis
    *_, admin = key_of(directory, "admin", "admin")
    number, key_id, alice = key_of(directory, "alice", "trade")
    for each in apis:
        each.wait_until_ready()
    for symbol in ("AAPL", "MSFT"):
        listing = {"symbol": symbol, "tick_size": "0.01"}
        listed = one.wait_for("POST", "/v1/admin/instruments", (201,), listing, key=admin)
        assert listed.json()["position"]
        order = {
            "symbol": symbol,
            "side": "buy",
            "type": "limit",
            "quantity": 7,
            "price": "10.00",
            "client_order_id": f"first-{symbol}",
        }
        # The other API knows the instrument as soon as its view of the directory does; and an
        # answer that a slow machine cost (503) is asked for again, as clients do.
        sent = other.wait_for("POST", "/v1/orders", (200, 201), order, key=alice)
        position = sent.json()["position"]
        path = f"/v1/books/{symbol}?min_position={position}"
        book = one.call("GET", path, key=alice)
        assert book.status_code == 200, book.text
        assert book.json()["bids"][0]["quantity"] == 7
        read = one.call(
            "GET", f"/v1/orders/{sent.json()['order_id']}?min_position={position}", key=alice
        )
        assert read.status_code == 200, read.text
    revoked = one.call("DELETE", f"/v1/admin/accounts/{number}/keys/{key_id}", key=admin)
    assert revoked.is_success, revoked.text
    revoked_at = time.monotonic()
    other.wait_for("GET", "/v1/orders", (401,), key=alice)
    assert time.monotonic() - revoked_at < REVOKED_S_MAX
    assert [each.stop() for each in apis] == [0, 0]
    events = whole_event_log(kafka_connection)
    judge_system_session(events, CLOCK_SESSION)
    # A tick that comes after a later one is a repeat though nobody told it before; a change never.
    assert judge_system_session(events, DIRECTORY_SESSION) == []


def whole_event_log(connection: KafkaConnection) -> list[tuple[bytes, int, int]]:
    """(session, batch number, status) of every position of shard 0."""
    log = KafkaEventLog(connection, 0)
    found: list[tuple[bytes, int, int]] = []
    while batches := log.read(len(found), 100):
        headers = [batch.header for batch in batches]
        found.extend((each.session, each.batch_number, each.status) for each in headers)
    log.close()
    return found


def judge_system_session(events: list[tuple[bytes, int, int]], session: bytes) -> list[int]:
    """What two workers wrote counts once each, in order; the rest are repeats. Returns the numbers
    that never counted.
    """
    of_session = [each for each in events if each[0] == session]
    applied = [number for _, number, status in of_session if status == APPLIED]
    assert applied, "nothing came"
    assert applied == sorted(set(applied))
    assert {status for *_, status in of_session} <= {APPLIED, REPEAT}
    return sorted({number for _, number, _ in of_session} - set(applied))


def test_an_api_refuses_topics_that_are_not_as_they_must_be(
    settings: dict[str, str], tmp_path: Path
) -> None:
    api = Api(tmp_path, settings | {"SHARDS": "3"})
    assert api.process.wait(60) == 1
    assert "2 partitions for 3 shards" in api.said
    assert "Traceback" not in api.said


def test_an_api_says_which_settings_it_lacks(tmp_path: Path) -> None:
    api = Api(tmp_path, {})
    assert api.process.wait(60) == 2
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "POSTGRES_DSN"):
        assert f"CROSSBOOK_{name}" in api.said
