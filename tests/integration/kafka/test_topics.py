"""Topics are made as the exchange needs them, and refused where they are not."""

from __future__ import annotations

import re
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.kafka.connection import KafkaConnection
from streams.kafka.topics import TopicError, check_topics, create_topics

RECORD_BYTES = 900_000


@pytest.fixture
def connection(kafka_bootstrap: str) -> KafkaConnection:
    """No topics yet."""
    return KafkaConnection(kafka_bootstrap, topic_prefix=f"bare-{uuid.uuid4().hex[:10]}.")


def make(connection: KafkaConnection, shards: int, record_bytes_max: int = RECORD_BYTES) -> None:
    create_topics(
        connection,
        shards,
        replication_factor=1,
        min_insync_replicas=1,
        record_bytes_max=record_bytes_max,
    )


def test_missing_topics_are_refused_by_name(connection: KafkaConnection) -> None:
    with pytest.raises(TopicError) as refused:
        check_topics(connection, 1, record_bytes_max=RECORD_BYTES)
    assert connection.commands_topic in str(refused.value)
    assert connection.events_topic in str(refused.value)
    assert "crossbook topics" in str(refused.value)


def test_topics_are_made_once_and_as_they_must_be(connection: KafkaConnection) -> None:
    make(connection, 2)
    make(connection, 2)
    check_topics(connection, 2, record_bytes_max=RECORD_BYTES)
    with pytest.raises(TopicError, match="2 partitions for 3 shards"):
        make(connection, 3)
    with pytest.raises(TopicError, match=r"max\.message\.bytes"):
        check_topics(connection, 2, record_bytes_max=2_000_000)
    make(connection, 2, record_bytes_max=2_000_000)
    check_topics(connection, 2, record_bytes_max=2_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cleanup.policy", "compact"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "1000000"),
        ("max.message.bytes", "1000"),
        ("min.insync.replicas", "2"),
    ],
)
def test_a_wrong_setting_is_refused_and_can_be_mended(
    connection: KafkaConnection, name: str, value: str
) -> None:
    admin = AdminClient(connection.client())
    right = {"retention.ms": "-1"}
    new = NewTopic(connection.commands_topic, 1, 1, config={**right, name: value})
    for future in admin.create_topics([new]).values():
        future.result(30)
    with pytest.raises(TopicError, match=re.escape(f"{connection.commands_topic} has {name}")):
        check_topics(connection, 1, record_bytes_max=RECORD_BYTES)
    make(connection, 1)
    check_topics(connection, 1, record_bytes_max=RECORD_BYTES)
