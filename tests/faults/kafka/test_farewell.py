"""A worker that stops while its broker does not answer."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cli.servers import KafkaServer
from streams.kafka.connection import KafkaConnection
from streams.workers.running import FAUST_STOP_S, SHARDS_STOP_S
from tests.integration.workers.commands import fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import wait_until_matched

GRACE_S = 3.0  # for a read under way and Python's own end
# A matcher has events under way, which it waits for; a sink only reads.
LIMIT_S = {"matching": SHARDS_STOP_S + FAUST_STOP_S, "redis": FAUST_STOP_S}


@pytest.fixture
def kafka_shards() -> int:
    """One is enough."""
    return 1


@pytest.fixture
def kafka_bootstrap(own_broker: KafkaServer) -> str:
    """Of the broker that a test may stop."""
    return own_broker.bootstrap_servers


@pytest.mark.parametrize("kind", LIMIT_S)
def test_a_worker_does_not_wait_for_a_broker_that_does_not_answer(
    kind: str,
    own_broker: KafkaServer,
    kafka_connection: KafkaConnection,
    start_worker: StartWorker,
) -> None:
    fill(kafka_connection, 0, 5)
    worker = start_worker("matching", INSTANCE="matching-1", LOG_LEVEL="INFO")
    wait_until_matched(kafka_connection, 0)
    if kind != "matching":
        worker = start_worker(kind, INSTANCE=f"{kind}-1", LOG_LEVEL="INFO")
        worker.wait_until_says("holds shards [0]")
    fill(kafka_connection, 0, 5)  # Faust has something to commit
    pid = own_broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.0)  # Faust has a request under way that is not answered
        began = time.monotonic()
        assert worker.stop() == 0
        took_s = time.monotonic() - began
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"{kind}: stopped" in worker.said
    assert took_s < LIMIT_S[kind] + GRACE_S
