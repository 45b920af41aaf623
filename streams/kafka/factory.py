"""The `eventsourcing` persistence module over Kafka: `PERSISTENCE_MODULE=streams.kafka`.

Environment: KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPIC, KAFKA_PARTITION (default 0), and the other fields
of `KafkaConnection` in capitals after `KAFKA_`. Nothing is opened before it is used."""

from __future__ import annotations

from typing import Final

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from streams.kafka.connection import VARIABLES, KafkaConnection
from streams.kafka.recorder import KafkaAggregateRecorder, KafkaApplicationRecorder

KAFKA_TOPIC: Final = "KAFKA_TOPIC"
KAFKA_PARTITION: Final = "KAFKA_PARTITION"
_UNTRACKED: Final = (
    "tracking lives in the sinks, each in its own store; a Kafka log has no transaction to share"
)


class KafkaFactory(InfrastructureFactory[TrackingRecorder]):
    """Makes recorders of one partition."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Raises OSError where the environment lacks the servers or the topic."""
        super().__init__(env)
        given = {name: value for name in VARIABLES if (value := self.env.get(name)) is not None}
        topic = self.env.get(KAFKA_TOPIC)
        if topic is None:
            raise OSError(f"{KAFKA_TOPIC} is not set")
        try:
            self._connection = KafkaConnection.from_environment(given)
            self._partition = int(self.env.get(KAFKA_PARTITION) or 0)
        except (KeyError, ValueError) as error:
            raise OSError(f"the environment of {KAFKA_TOPIC} {topic}: {error}") from error
        self._topic = topic
        self._made: list[KafkaAggregateRecorder] = []

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """A recorder of the topic, or, for another purpose, of the topic with that suffix."""
        topic = self._topic if purpose == "events" else f"{self._topic}.{purpose}"
        recorder = KafkaAggregateRecorder(self._connection, topic, self._partition)
        self._made.append(recorder)
        return recorder

    def application_recorder(self) -> ApplicationRecorder:
        """A recorder of the topic that also numbers its events."""
        recorder = KafkaApplicationRecorder(self._connection, self._topic, self._partition)
        self._made.append(recorder)
        return recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[TrackingRecorder] | None = None
    ) -> TrackingRecorder:
        """There is none."""
        raise NotImplementedError(_UNTRACKED)

    def process_recorder(self) -> ProcessRecorder:
        """There is none."""
        raise NotImplementedError(_UNTRACKED)

    def close(self) -> None:
        """Close every recorder made here."""
        for recorder in self._made:
            recorder.close()
