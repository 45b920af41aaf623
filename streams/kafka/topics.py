"""The two topics: made by `create_topics`, and checked at each start by `check_topics`.

Guarantees: a process that passed the check writes to topics with the right number of partitions,
which are never compacted nor expired, and take its largest record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stub exports too little
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams.kafka.connection import KafkaConnection
from streams.kafka.records import HEADERS_BYTES_MAX

ADMIN_TIMEOUT_S: Final = 15.0
BATCH_OVERHEAD_BYTES: Final = 512
# A writer's batch may hold several records up to this size, whatever a single record's limit is.
MESSAGE_BYTES_MIN: Final = 1_048_588
MEND: Final = "`crossbook topics` makes missing topics and mends their settings"


class TopicError(Exception):
    """The topics are not as the exchange needs them; the message says how to mend them."""


def _settings(min_insync_replicas: int, record_bytes_max: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "min.insync.replicas": str(min_insync_replicas),
        "max.message.bytes": str(_message_bytes(record_bytes_max)),
        "unclean.leader.election.enable": "false",
        "message.timestamp.type": "CreateTime",
    }


def _message_bytes(record_bytes_max: int) -> int:
    return max(MESSAGE_BYTES_MIN, record_bytes_max + HEADERS_BYTES_MAX + BATCH_OVERHEAD_BYTES)


def create_topics(
    connection: KafkaConnection,
    shards: int,
    *,
    replication_factor: int,
    min_insync_replicas: int,
    record_bytes_max: int,
) -> None:
    """Make what is missing and set the topics' settings; nothing changes where all is right.

    Raises TopicError where the cluster refuses, or a topic has another number of partitions: that
    is never changed by itself, for shards are part of the exchange's history."""
    admin = AdminClient(connection.client())
    wanted = _settings(min_insync_replicas, record_bytes_max)
    new = [
        NewTopic(topic, shards, replication_factor, config=wanted)
        for topic in (connection.commands_topic, connection.events_topic)
    ]
    for topic, future in admin.create_topics(new, request_timeout=ADMIN_TIMEOUT_S).items():
        try:
            future.result(ADMIN_TIMEOUT_S)
        except TimeoutError as error:
            raise TopicError(f"topic {topic} cannot be made: no broker answers") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"topic {topic} cannot be made: {error.args[0]}") from error
            _set_up(admin, topic, wanted)
    _await_leaders(admin, [each.topic for each in new])
    check_topics(connection, shards, record_bytes_max=record_bytes_max)


def _await_leaders(admin: AdminClient, topics: Sequence[str]) -> None:
    """A broker hears of a new topic a little after the controller has made it."""
    deadline = time.monotonic() + ADMIN_TIMEOUT_S
    while time.monotonic() < deadline:
        found = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        present = [found[topic].partitions.values() for topic in topics if topic in found]
        led = [bool(each) and all(one.leader >= 0 for one in each) for each in present]
        if len(led) == len(topics) and all(led):
            return
        time.sleep(0.02)
    raise TopicError(f"no broker leads {' and '.join(topics)} within {ADMIN_TIMEOUT_S:.0f} s")


def _set_up(admin: AdminClient, topic: str, wanted: dict[str, str]) -> None:
    present = _present(admin, topic)
    if all(present.get(name) == value for name, value in wanted.items()):
        return
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in wanted.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        try:
            future.result(ADMIN_TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            raise TopicError(f"topic {topic} cannot be set up: {error!r}") from error


def check_topics(connection: KafkaConnection, shards: int, *, record_bytes_max: int) -> None:
    """Raises TopicError, which names everything that is wrong and the command that mends it."""
    admin = AdminClient(connection.client())
    wrong: list[str] = []
    for topic in (connection.commands_topic, connection.events_topic):
        wrong.extend(_faults(admin, topic, shards, record_bytes_max))
    if wrong:
        raise TopicError("; ".join(wrong) + f". {MEND}")


def _faults(admin: AdminClient, topic: str, shards: int, record_bytes_max: int) -> Sequence[str]:
    try:
        found = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics.get(topic)
    except KafkaException as error:
        raise TopicError(f"no Kafka broker answers: {error.args[0]}") from error
    if found is None:
        return [f"topic {topic} does not exist"]
    wrong: list[str] = []
    if len(found.partitions) != shards:
        wrong.append(f"topic {topic} has {len(found.partitions)} partitions for {shards} shards")
    present = _present(admin, topic)
    for name, needed in (
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
    ):
        if present.get(name) != needed:
            wrong.append(f"topic {topic} has {name}={present.get(name)}, not {needed}")
    replicas = min((len(each.replicas) for each in found.partitions.values()), default=0)
    insync = int(present.get("min.insync.replicas", "1"))
    if insync > replicas:
        wrong.append(f"topic {topic} has min.insync.replicas={insync}, but {replicas} replicas")
    if replicas > 2 and insync < 2:
        wrong.append(f"topic {topic} has min.insync.replicas={insync}: one replica's disk decides")
    room = int(present.get("max.message.bytes", "0"))
    if room < _message_bytes(record_bytes_max):
        wrong.append(
            f"topic {topic} has max.message.bytes={room}, below {_message_bytes(record_bytes_max)}"
        )
    return wrong


def _present(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (future,) = admin.describe_configs([resource]).values()
    try:
        entries: Any = future.result(ADMIN_TIMEOUT_S)
    except KafkaException as error:
        raise TopicError(f"the settings of topic {topic} cannot be read: {error!r}") from error
    return {name: entry.value for name, entry in entries.items()}
