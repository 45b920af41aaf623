"""A worker far behind: Faust is told to go on at the log's end, and its commits go on as well."""

from __future__ import annotations

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka.connection import KafkaConnection
from streams.workers.running import JUMP_RECORDS
from tests.integration.workers.commands import fill
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import judge_events, wait_for, wait_until_matched

BATCHES = 3 * JUMP_RECORDS


@pytest.fixture
def kafka_shards() -> int:
    """One is enough."""
    return 1


def committed(connection: KafkaConnection) -> int:
    """The group's offset in the command log."""
    admin = AdminClient(connection.librdkafka())
    place = TopicPartition(connection.commands_topic, 0)
    asked = ConsumerGroupTopicPartitions(f"{connection.topic_prefix}crossbook-matching", [place])
    found = admin.list_consumer_group_offsets([asked])[asked.group_id].result()
    return int(found.topic_partitions[0].offset)


def test_a_long_log_is_matched_from_the_log_and_faust_goes_on_at_its_end(
    kafka_connection: KafkaConnection, start_worker: StartWorker
) -> None:
    fill(kafka_connection, 0, 5)
    first = start_worker("matching")
    head = wait_until_matched(kafka_connection, 0)
    wait_for("Faust's commits", lambda: committed(kafka_connection) == head)
    assert first.stop() == 0
    fill(kafka_connection, 0, BATCHES, seed=3, size=1)
    worker = start_worker("matching", LOG_LEVEL="DEBUG")
    wait_until_matched(kafka_connection, 0)
    worker.wait_until_says("Faust goes on at offset")
    fill(kafka_connection, 0, 100, seed=2)
    head = wait_until_matched(kafka_connection, 0)
    wait_for("Faust's commits", lambda: committed(kafka_connection) == head)
    assert judge_events(kafka_connection, 0) == 0
    assert worker.stop() == 0
