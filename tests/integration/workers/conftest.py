"""Workers that end with their test; what they said is shown where it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.kafka.connection import KafkaConnection
from tests.integration.workers.processes import WorkerProcess

LINES_SHOWN = 40

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(
    tmp_path: Path,
    kafka_connection: KafkaConnection,
    kafka_shards: int,
    postgres_dsn: str,
    redis_url: str,
) -> Iterator[StartWorker]:
    """Starts workers: the kind, and further settings."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_connection.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka_connection.topic_prefix,
        "POSTGRES_DSN": postgres_dsn,
        "REDIS_URL": redis_url,
        "SHARDS": str(kafka_shards),
        "SNAPSHOT_COMMANDS": "2000",
    }
    started: list[WorkerProcess] = []

    def start(kind: str, **settings: str) -> WorkerProcess:
        worker = WorkerProcess(tmp_path, kind, environment, **settings)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()
        lines = [line for line in worker.said.splitlines() if "undecodable" not in line]
        print("\n".join([f"--- {worker.kind} {worker.process.pid}", *lines[-LINES_SHOWN:]]))
