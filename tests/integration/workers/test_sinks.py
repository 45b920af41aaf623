"""Sink workers on a real broker: rows and books are those of a fresh projection, however many
instances there are and whatever becomes of them.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import redis

from projections.postgres import PostgresSink
from projections.redis import RedisSink
from streams.kafka.connection import KafkaConnection
from tests.integration.workers.commands import Sender, fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.copies import Copies
from tests.integration.workers.processes import wait_for, wait_until_matched

SHARDS = 2
SINKS = ("redis", "postgres")


@pytest.fixture
def kafka_shards() -> int:
    """Two."""
    return SHARDS


def wait_for_sinks(connection: KafkaConnection, dsn: str, url: str) -> None:
    """Wait until both read models are where the event logs end."""
    books, history = RedisSink(url), PostgresSink(dsn)
    for shard in range(SHARDS):
        head = wait_until_matched(connection, shard)
        for sink in (books, history):
            wait_for(
                f"{sink.name} {shard} at {head}",
                lambda sink=sink, shard=shard, head=head: sink.position(shard).position == head,
            )
    books.close()
    history.close()


def test_two_live_instances_of_each_sink_on_each_shard_count_every_batch_once(
    kafka_connection: KafkaConnection,
    start_worker: StartWorker,
    postgres_dsn: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 60)
    start_worker("matching")
    senders = [Sender(kafka_connection, shard, seed=2) for shard in range(SHARDS)]
    for sender in senders:
        sender.start()
    workers = [start_worker(kind, INSTANCE=f"{kind}-0") for kind in SINKS]
    rivals = [start_worker(f"rival-{kind}") for kind in SINKS]
    for worker in (*workers, *rivals):
        worker.wait_until_says("holds shards [0, 1]")
    for worker in workers:
        worker.kill()
    workers = [start_worker(kind, INSTANCE=f"{kind}-0") for kind in SINKS]
    for sender in senders:
        wait_for("the senders", lambda sender=sender: len(sender.acknowledged) > 400)
        sender.finish()
    wait_for_sinks(kafka_connection, postgres_dsn, redis_url)
    copies = Copies(kafka_connection, SHARDS, tmp_path / "copies")
    rows = copies.judge_history(postgres_dsn)
    deltas = copies.judge_books(redis_url)
    print(rows, deltas)
    assert rows["orders"] > 1_000 and deltas > 1_000
    assert [worker.stop() for worker in (*workers, *rivals)] == [0] * 4


def test_an_empty_redis_is_loaded_from_a_snapshot(
    kafka_connection: KafkaConnection,
    start_worker: StartWorker,
    postgres_dsn: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 150)
    matching = start_worker("matching")
    for shard in range(SHARDS):
        wait_until_matched(kafka_connection, shard)
    assert matching.stop() == 0, "a clean stop takes a snapshot"
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute("SELECT DISTINCT shard FROM snapshots.snapshots").fetchall()
    assert len(rows) == SHARDS

    worker = start_worker("redis")
    for shard in range(SHARDS):
        worker.wait_until_says(f"redis, shard {shard}: loaded the books of position")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 40, seed=5)
    start_worker("matching")
    start_worker("postgres")
    wait_for_sinks(kafka_connection, postgres_dsn, redis_url)
    copies = Copies(kafka_connection, SHARDS, tmp_path / "copies")
    copies.judge_books(redis_url)
    assert copies.judge_snapshots(postgres_dsn) >= SHARDS


def test_a_fork_stops_the_sink_and_is_told(
    kafka_connection: KafkaConnection, start_worker: StartWorker, postgres_dsn: str
) -> None:
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 20)
    start_worker("matching")
    sink = start_worker("postgres")
    history = PostgresSink(postgres_dsn)
    for shard in range(SHARDS):
        wait_for("postgres", lambda shard=shard: history.position(shard).position == 21)
    assert sink.stop() == 0
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE history.sink_positions SET chain = sha256(chain) WHERE shard = 0"
        )
    again = start_worker("postgres")
    again.wait_until_says("postgres, shard 0 stopped")
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 20, seed=9)
    wait_for("the other shard", lambda: history.position(1).position == 41)
    assert history.position(0).position == 21
    assert again.process.poll() is None
    history.close()
