"""`replay`, `explain` and `rebuild` of a distributed exchange: the logs are Kafka's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from commands.directory.application import Directory, DirectoryApplication
from commands.directory.postgres import postgres_environment
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from tests.integration.gateway_kafka.matching import (
    Matching,
    batch_of,
    patient,
    submit_command,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[3]
BATCHES = 40


@pytest.fixture
def environment(
    kafka_connection: KafkaConnection, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> dict[str, str]:
    named = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_connection.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka_connection.topic_prefix,
        "POSTGRES_DSN": postgres_dsn,
        "REDIS_URL": redis_url,
        "SHARDS": "2",
        "DATA_DIR": str(tmp_path / "data"),
    }
    given = {name: value for name, value in os.environ.items() if "CROSSBOOK_" not in name}
    return {**given, **{f"CROSSBOOK_{name}": value for name, value in named.items()}}


@pytest.fixture
def written(kafka_connection: KafkaConnection, matching: Matching) -> int:
    """Orders in shard 0, matched; the last position."""
    connection = patient(kafka_connection)
    commands, events = KafkaCommandLog(connection, 0), KafkaEventLog(connection, 0)
    session = bytes(8) + b"replayed"
    for number in range(1, BATCHES + 1):
        batch = batch_of([submit_command(number)] * 10, session=session, number=number)
        last = commands.append(session, number, batch)
    wait_until(lambda: events.tail().position == last)
    commands.close()
    events.close()
    return last


def crossbook(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def told(environment: dict[str, str], *arguments: str) -> Any:
    done = crossbook(environment, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_replays_verifies_explains_and_rebuilds_from_kafka(
    environment: dict[str, str], postgres_dsn: str, redis_url: str, written: int
) -> None:
    directory = Directory(DirectoryApplication(postgres_environment(postgres_dsn)), 2)
    directory.create_account("alice", by="test")
    directory.close()
    whole = told(environment, "replay", "--verify")
    assert (whole["position"], whole["equal"]) == (written, True)
    assert whole["verify"]["compared"] == written
    part = told(environment, "replay", "--to-position", "10")
    assert part["position"] == 10
    assert part["state_hash"] != whole["state_hash"]
    story = told(environment, "explain", str(10 << 16))
    assert "alice" in json.dumps(story)
    batch = crossbook(environment, "replay", "--print", "10")
    assert json.loads(batch.stdout)["event_batch"]["position"] == 10
    rebuilt = crossbook(environment, "rebuild", "redis")
    assert f"redis, shard 0: built again to position {written:,}" in rebuilt.stdout, rebuilt.stderr
    examined = crossbook(environment, "doctor").stdout
    assert f"shard 0: {written:,} batches, matched to {written:,}" in examined, examined
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() > 0


def test_a_broker_that_is_not_there_is_told_in_a_line(environment: dict[str, str]) -> None:
    environment["CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    done = crossbook(environment, "replay", "--verify")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
