"""The two logs of a shard on Kafka: the counterparts of `streams.logs`, with the same methods.

Command log: one record is one CommandBatch, appended and read through the `eventsourcing`
library's Application; position = offset + 1. Event log: `streams.kafka.events`."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent

from streams.kafka.connection import KafkaConnection
from streams.kafka.events import KafkaEventLog as KafkaEventLog
from streams.kafka.factory import KAFKA_PARTITION, KAFKA_TOPIC
from streams.kafka.recorder import KafkaApplicationRecorder
from streams.logs import COMMAND_TOPIC


class ShardLog(Application[UUID]):
    """One shard's log: one partition, so that nothing else takes its notification ids."""

    name = "commands"


class KafkaCommandLog:
    """The command log of one shard; any number of gateways append, each in sessions of its own.

    Nothing is connected before the first call that needs it; reading opens no producer."""

    def __init__(self, connection: KafkaConnection, shard: int) -> None:
        self.shard = shard
        environment = {
            "PERSISTENCE_MODULE": "streams.kafka",
            KAFKA_TOPIC: connection.commands_topic,
            KAFKA_PARTITION: str(shard),
            **connection.environment(),
        }
        self._app = ShardLog(env=environment)
        self._recorder = cast(KafkaApplicationRecorder, self._app.recorder)

    def __str__(self) -> str:
        return str(self._recorder)

    def append(self, session: bytes, batch_number: int, batch: bytes) -> int:
        """Make a CommandBatch durable; returns its position.

        Raises IntegrityError where this log wrote the session's number before, PersistenceError
        where Kafka did not take it, or did not say; then `position_of` tells which."""
        event = StoredEvent(UUID(bytes=session), batch_number, COMMAND_TOPIC, batch)
        ids = self._recorder.insert_events([event])
        assert ids is not None
        return ids[0]

    def position_of(self, session: bytes, batch_number: int) -> int | None:
        """Where a session's batch lies; None where it is not in the log and, after a failed append
        of it here, never will be.

        Raises PersistenceError where nobody can know that, or no broker answers."""
        return self._recorder.position_of(UUID(bytes=session), batch_number)

    def last_batch_number(self, session: bytes) -> int:
        """The session's highest batch number in the log, 0 where it has none. Looks through the
        log from its end, so only a session that lately wrote is found fast.
        """
        found = self._recorder.select_events(UUID(bytes=session), desc=True, limit=1)
        return found[0].originator_version if found else 0

    def head(self) -> int:
        """The last position, 0 where the log is empty."""
        return self._recorder.max_notification_id() or 0

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (position, batch) pairs after a position, in order: as many as are at
        hand, at least one where the log holds any.
        """
        return [(row.id, row.state) for row in self._recorder.read(after, limit)]

    def rest(self) -> None:
        """Fetch nothing until the next read, which then takes a moment longer."""
        self._recorder.rest()

    def close(self) -> None:
        """Let go of the connections."""
        self._app.close()
