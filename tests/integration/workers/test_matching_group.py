"""Several matching workers at once, and one that comes back: they share the shards, take over from
each other under load, and resume from a snapshot; no event is missing, other or out of order.
"""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from streams.kafka.connection import KafkaConnection
from tests.integration.workers.commands import Sender, check_journal, fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import judge_events, wait_for, wait_until_matched

SHARDS = 3


@pytest.fixture
def kafka_shards() -> int:
    """Three, to be shared out."""
    return SHARDS


@pytest.fixture
def senders(kafka_connection: KafkaConnection) -> list[Sender]:
    """A sender to each shard, under way."""
    made = []
    for shard in range(SHARDS):
        fill(kafka_connection, shard, 10)
        made.append(Sender(kafka_connection, shard, seed=7))
        made[-1].start()
    return made


def shares(connection: KafkaConnection) -> list[int]:
    """How many shards each member of the matching group holds, fewest first."""
    admin = AdminClient(connection.librdkafka())
    group = f"{connection.topic_prefix}crossbook-matching"
    found = admin.describe_consumer_groups([group], request_timeout=10.0)[group].result()
    return sorted(len(member.assignment.topic_partitions) for member in found.members)


def move_on(connection: KafkaConnection, senders: list[Sender]) -> None:
    """Wait until every shard was matched past what is written now."""
    goals = [len(sender.acknowledged) + 20 for sender in senders]
    for sender, goal in zip(senders, goals, strict=True):
        wait_for("the senders", lambda s=sender, g=goal: len(s.acknowledged) >= g)
        position = sender.acknowledged[goal - 1][0]
        from streams.kafka.logs import KafkaEventLog

        log = KafkaEventLog(connection, sender.shard)
        wait_for("the matchers", lambda log=log, p=position: log.tail().position >= p)
        log.close()


def finish(connection: KafkaConnection, senders: list[Sender]) -> None:
    """Stop sending, wait for the last answer, and judge."""
    for sender in senders:
        sender.finish()
    for sender in senders:
        wait_until_matched(connection, sender.shard)
        assert check_journal(connection, sender) > 0
        repeats = judge_events(connection, sender.shard)
        print(f"shard {sender.shard}: {len(sender.acknowledged)} batches, {repeats} repeats")


def test_workers_share_the_shards_and_join_and_leave_under_load(
    kafka_connection: KafkaConnection, senders: list[Sender], start_worker: StartWorker
) -> None:
    first = start_worker("matching")
    first.wait_until_says("holds shards [0, 1, 2]")
    move_on(kafka_connection, senders)
    second = start_worker("matching")
    wait_for("the group to share", lambda: shares(kafka_connection) == [1, 2])
    move_on(kafka_connection, senders)
    assert first.stop() == 0
    wait_for("the one to hold all", lambda: shares(kafka_connection) == [3])
    move_on(kafka_connection, senders)
    finish(kafka_connection, senders)
    assert second.stop() == 0


def test_two_workers_that_both_hold_every_shard_write_one_history(
    kafka_connection: KafkaConnection, senders: list[Sender], start_worker: StartWorker
) -> None:
    start_worker("matching").wait_until_says("holds shards [0, 1, 2]")
    start_worker("rival").wait_until_says("holds shards [0, 1, 2]")
    for _ in range(3):
        move_on(kafka_connection, senders)
    finish(kafka_connection, senders)


def test_a_static_member_that_was_killed_resumes_from_a_snapshot_without_a_rebalance(
    kafka_connection: KafkaConnection,
    senders: list[Sender],
    start_worker: StartWorker,
    postgres_dsn: str,
) -> None:
    one, two = (start_worker("matching", INSTANCE=name) for name in ("m1", "m2"))
    wait_for("the group to share", lambda: shares(kafka_connection) == [1, 2])
    for _ in range(3):
        move_on(kafka_connection, senders)
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute("SELECT count(*) FROM snapshots.snapshots").fetchone()
    assert rows is not None and rows[0] > 0, "no snapshot was taken"
    times_assigned = two.said.count("holds shards")
    one.kill()
    again = start_worker("matching", INSTANCE="m1")
    move_on(kafka_connection, senders)
    finish(kafka_connection, senders)
    assert two.said.count("holds shards") == times_assigned, "the other one was rebalanced"
    assert again.stop() == 0
