"""Reading one partition: from any offset, in order and without gaps.

Guarantees: `read` returns nothing only where the log held nothing past the offset when it was
asked; every wait is bounded; a partition that lost or skipped records is an error and never a
silent gap."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from eventsourcing.persistence import OperationalError

from streams.kafka.connection import KafkaConnection
from streams.kafka.records import KafkaMessage, offset_of

READER_GROUP: Final = "crossbook-readers"  # required by the client; nothing is ever committed to it
SCAN_RECORDS: Final = 256
# What brokers answer while a topic is new, or another broker takes over.
_PASSING: Final = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_AGAIN_S: Final = 0.02
SCANNING: Final[dict[str, Any]] = {
    "fetch_wait_max_ms": 10,
    "queued_min_messages": 8,
    "queued_max_messages_kbytes": 4_096,
    "fetch_message_max_bytes": 262_144,
}
FOLLOWING: Final[dict[str, Any]] = {
    "fetch_wait_max_ms": 100,
    "queued_min_messages": 1_000,
    "queued_max_messages_kbytes": 16_384,
    "fetch_message_max_bytes": 2_097_152,
}


def consumer_of(connection: KafkaConnection, settings: dict[str, Any]) -> Consumer:
    """A consumer that belongs to no group, commits nothing and never jumps to another offset."""
    return Consumer(
        connection.client(
            group_id=READER_GROUP,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="error",
            fetch_queue_backoff_ms=2,
            fetch_error_backoff_ms=50,
            **settings,
        )
    )


class PartitionReader:
    """Reads one partition, from one thread at a time (it locks). Reads from anywhere are cheap.

    With `asking` it reads ahead instead, for a reader that goes on from where it was, and asks that
    other reader for the head: a broker answers a connection's requests in turn, so a question would
    wait for the end of the fetch that itself waits for news.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        partition: int,
        *,
        asking: PartitionReader | None = None,
    ) -> None:
        self._connection = connection
        self._asking = asking
        self._settings = SCANNING if asking is None else FOLLOWING
        self._topic, self._partition = topic, partition
        self._consumer: Consumer | None = None
        self._next: int | None = None  # the offset that the consumer delivers next
        self._lock = threading.RLock()
        self._closed = False

    def __str__(self) -> str:
        return f"{self._topic}[{self._partition}]"

    def head(self, timeout_s: float | None = None) -> int:
        """The offset that the next record will have; 0 where the log is empty.

        Raises OperationalError where no broker answers in time."""
        if self._asking is not None:
            return self._asking.head(timeout_s)
        with self._lock:
            return self._head(timeout_s or self._connection.read_timeout_s)

    def read(self, offset: int, limit: int, *, wait_s: float | None = None) -> list[KafkaMessage]:
        """Up to `limit` records from `offset` on, in order, as many as are at hand but at least
        one where the log holds any. With `wait_s`: wait so long for one, without asking the broker.

        Raises OperationalError where no broker answers, or where records are missing."""
        with self._lock:
            consumer = self._at(offset)
            messages = consumer.consume(limit, 0.0)
            if not messages:
                if wait_s is None and self.head() <= offset:
                    return []
                first = consumer.poll(self._connection.read_timeout_s if wait_s is None else wait_s)
                if first is None:
                    if wait_s is None:
                        self._forget()
                        raise OperationalError(f"{self}: no record {offset} in time")
                    return []
                messages = [first, *(consumer.consume(limit - 1, 0.0) if limit > 1 else ())]
            self._check(messages, offset)
            self._next = offset + len(messages)
            return messages

    def scan(self, start: int, stop: int) -> Iterator[KafkaMessage]:
        """The records from `start` up to, not including, `stop`. Raises as `read`."""
        try:
            while start < stop:
                messages = self.read(start, min(SCAN_RECORDS, stop - start))
                if not messages:
                    raise OperationalError(f"{self}: records from {start} to {stop} are gone")
                yield from messages
                start += len(messages)
        finally:
            self.rest()

    def rest(self) -> None:
        """Fetch nothing until the next read."""
        with self._lock:
            if self._consumer is not None and self._next is not None:
                self._consumer.unassign()
                self._next = None

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            self._closed = True
            self._forget()

    def _forget(self) -> None:
        consumer, self._consumer, self._next = self._consumer, None, None
        if consumer is not None:
            consumer.close()

    def _opened(self) -> Consumer:
        if self._closed:
            raise OperationalError(f"{self} is closed")
        if self._consumer is None:
            self._consumer = consumer_of(self._connection, self._settings)
        return self._consumer

    def _at(self, offset: int) -> Consumer:
        consumer = self._opened()
        if self._next != offset:
            self._next = None
            consumer.assign([TopicPartition(self._topic, self._partition, offset)])
            self._next = offset
        return consumer

    def _head(self, timeout_s: float) -> int:
        partition = TopicPartition(self._topic, self._partition)
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(0.001, deadline - time.monotonic())
            try:
                found = self._opened().get_watermark_offsets(partition, timeout=left_s)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or left_s < _AGAIN_S:
                    raise OperationalError(f"{self}: {error.args[0]}") from error
                time.sleep(_AGAIN_S)
                continue
            if found is None:
                raise OperationalError(f"{self}: no broker answered in {timeout_s} s")
            return found[1]

    def _check(self, messages: list[KafkaMessage], offset: int) -> None:
        for expected, message in enumerate(messages, start=offset):
            error = message.error()
            if error is not None:
                self._forget()
                raise OperationalError(f"{self} at {expected}: {error}")
            if offset_of(message) != expected:
                self._forget()
                raise OperationalError(
                    f"{self}: record {expected} is missing, the next is {message.offset()}"
                )
