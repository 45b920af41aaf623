"""Matching workers on a real broker: whatever becomes of the workers, the event log is what a fresh
run of the command log gives.
"""

from __future__ import annotations

import pytest

from streams.kafka.connection import KafkaConnection
from tests.integration.workers.commands import fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import judge_events, wait_until_matched

BATCHES = 120


@pytest.fixture(params=[1, 3])
def kafka_shards(request: pytest.FixtureRequest) -> int:
    """One shard, and three."""
    return int(request.param)


def test_matches_what_was_there_and_what_comes_and_stops_in_order(
    kafka_connection: KafkaConnection, kafka_shards: int, start_worker: StartWorker
) -> None:
    shards = range(kafka_shards)
    for shard in shards:
        fill(kafka_connection, shard, BATCHES)
    worker = start_worker("matching", INSTANCE="m1")
    for shard in shards:
        wait_until_matched(kafka_connection, shard)
    for shard in shards:
        fill(kafka_connection, shard, BATCHES, seed=2)
    for shard in shards:
        wait_until_matched(kafka_connection, shard)
    assert worker.listens_on() == [], "a worker listens nowhere"
    assert worker.stop() == 0
    repeats = [judge_events(kafka_connection, shard) for shard in shards]
    assert sum(repeats) == 0
    assert worker.said.count("is undecodable") == 2 * kafka_shards * (BATCHES // 50)
