"""The logs of one shard on Kafka, read only, as `streams.replay_logs` reads those on disk.

Guarantees: nothing is written and no group is joined; what cannot be read raises
`LogUnreadableError`; an event batch that was written several times is read once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from types import TracebackType
from typing import Final, Self

from eventsourcing.persistence import OperationalError, PersistenceError

from domain.batch import EventBatch, SinkError
from domain.wire import WireError
from streams.kafka.connection import KafkaConnection
from streams.kafka.events import KafkaEventLog
from streams.kafka.reader import PartitionReader
from streams.kafka.records import KafkaMessage, decode_key, header_of, offset_of, value_of
from streams.logs import EVENT_TOPIC
from streams.replay_logs import CommandRow, EventRow, LogUnreadableError

PAGE_RECORDS: Final = 512


class _KafkaLog:
    """What both logs share. A broker checks its records' structure by itself."""

    def __init__(self, topic: str, shard: int) -> None:
        self.shard = shard
        self.path = PurePath(f"{topic}[{shard}]")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""

    def complaints(self) -> list[str]:
        """None: records carry checksums of Kafka's own, and a reader meets what they tell."""
        return []

    def loses_its_end(self) -> bool:
        """Never, as far as a reader can tell."""
        return False


class KafkaCommandFile(_KafkaLog):
    """A command log (`streams.replay_logs.CommandLogFile`)."""

    def __init__(self, connection: KafkaConnection, shard: int) -> None:
        super().__init__(connection.commands_topic, shard)
        topic = connection.commands_topic
        self._probe = PartitionReader(connection, topic, shard)
        self._reader = PartitionReader(connection, topic, shard, asking=self._probe)

    def close(self) -> None:
        """Let go of the connections."""
        self._reader.close()
        self._probe.close()

    def end(self) -> int:
        """The last position, 0 where the log is empty."""
        try:
            return self._probe.head()
        except PersistenceError as error:
            raise LogUnreadableError(str(error)) from error

    def read(self, after: int, until: int) -> Iterator[CommandRow]:
        """The rows after a position, in order, up to `until`."""
        while after < until:
            try:
                messages = self._reader.read(after, min(PAGE_RECORDS, until - after))
            except PersistenceError as error:
                raise LogUnreadableError(str(error)) from error
            if not messages:
                return
            yield from map(_command_row, messages)
            after += len(messages)


def _command_row(message: KafkaMessage) -> CommandRow:
    """A record that is not one of ours has no key; its bytes are judged like any other's."""
    session, number = b"", -1
    try:
        originator, number = decode_key(message)
        session = originator.hex().encode()
    except OperationalError:
        pass
    topic = header_of(message, "t") or b""
    return CommandRow(offset_of(message) + 1, session, number, topic, value_of(message))


class KafkaEventFile(_KafkaLog):
    """An event log (`streams.replay_logs.EventLogFile`); a batch is one row, its parts joined."""

    def __init__(self, connection: KafkaConnection, shard: int) -> None:
        super().__init__(connection.events_topic, shard)
        self._log = KafkaEventLog(connection, shard)

    def close(self) -> None:
        """Let go of the connections."""
        self._log.close()

    def end(self) -> int:
        """The last complete position, 0 where the log is empty."""
        try:
            return self._log.tail().position
        except (PersistenceError, SinkError, WireError) as error:
            raise LogUnreadableError(str(error)) from error

    def strangers(self) -> tuple[int, int]:
        """None: a partition is one shard's."""
        return 0, 0

    def read(self, after: int, until: int) -> Iterator[EventRow]:
        """The batches after a position, in order, up to `until`."""
        while after < until:
            try:
                batches = self._log.read(after, min(PAGE_RECORDS, until - after))
            except (PersistenceError, SinkError, WireError) as error:
                raise LogUnreadableError(f"{self.path} past {after}: {error}") from error
            if not batches:
                return
            for batch in batches:
                if batch.position > until:
                    return
                yield EventRow(batch.position, 0, EVENT_TOPIC.encode(), batch.record)
            after = batches[-1].position

    def batch(self, position: int) -> list[bytes]:
        """The batch of one position, as one record; empty where the log has none."""
        found = self._at(position)
        return [] if found is None else [found.record]

    def chain_at(self, position: int) -> bytes | None:
        """The running hash that the log tells at a position, None where it has none there."""
        if position == 0:
            return bytes(32)
        found = self._at(position)
        return None if found is None else found.header.chain

    def _at(self, position: int) -> EventBatch | None:
        try:
            return self._log.at(position)
        except (PersistenceError, SinkError, WireError) as error:
            raise LogUnreadableError(f"{self.path} at {position}: {error}") from error
