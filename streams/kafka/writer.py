"""Writing one partition: idempotent producer, acks=all, one send at a time.

Guarantees: records of one send lie in the log in order, and, where the writer is `atomic`, next to
each other as one record batch, so all of them or none. A send that fails says which: `NotSentError`
(nothing left this process, and nothing will) or `InDoubtError` (they may lie in the log, or come
there from a broker's receive buffer; the writer itself sends them no more). While no broker is
reachable, sends fail at once; the next one after its return goes through."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from eventsourcing.persistence import DataError, OperationalError

from streams.kafka.connection import KafkaConnection
from streams.kafka.records import HEADERS_BYTES_MAX, KafkaMessage, Record, offset_of

log = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = 1_000_000  # of one record batch, hence of one atomic send
RECORD_BYTES_MAX: Final = 64_000_000  # the topic's own limit is lower: let the broker refuse
ATOMIC_RECORDS_MAX: Final = 5_000
_GATHER_MS: Final = 60_000  # an atomic send is released by flush, not by the linger time
_SLICE_S: Final = 0.02


class NotSentError(OperationalError):
    """Nothing was handed to a broker, and nothing will be."""


class InDoubtError(OperationalError):
    """The records may be in the log."""


class _Delivery:
    """What became of the records of one send."""

    def __init__(self, count: int) -> None:
        self.offsets: list[int] = []
        self.left = count
        self.error: KafkaError | None = None

    def told(self, error: KafkaError | None, message: KafkaMessage) -> None:
        """A record's delivery report, in the order in which they were sent."""
        self.left -= 1
        if error is not None:
            self.error = self.error or error
        else:
            self.offsets.append(offset_of(message))


class PartitionWriter:
    """Appends to one partition; opens its producer with the first send.

    A `patient` one waits as long for a broker that is away as for one that is slow: for a writer
    whose caller has nobody to answer."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        partition: int,
        *,
        atomic: bool,
        patient: bool = False,
    ) -> None:
        self._connection = connection
        self._topic, self._partition = topic, partition
        self._atomic = atomic
        # The first answer takes longest, and nobody knows yet of an outage.
        self._answer_s = connection.read_timeout_s
        self._later_answer_s = connection.answer_timeout_s
        self._down_s = connection.down_timeout_s
        self._delivery_s = connection.delivery_timeout_s
        if patient:
            self._answer_s = self._later_answer_s = connection.patient_timeout_s
            self._down_s = self._delivery_s = connection.patient_timeout_s
        self._producer: Producer | None = None
        self._suspect = True  # the broker is asked before the next send
        self._lock = threading.Lock()
        self._closed = False

    def __str__(self) -> str:
        return f"{self._topic}[{self._partition}]"

    def send(self, records: Sequence[Record]) -> list[int]:
        """Append records and return their offsets once all in-sync replicas have them.

        Raises NotSentError, InDoubtError, or DataError where they are too large, and not written.
        """
        if not records:
            return []
        if self._atomic:
            self._check_size(records)
        with self._lock:
            producer = self._ready()
            delivery = _Delivery(len(records))
            for at, (value, headers) in enumerate(records):
                try:
                    producer.produce(
                        self._topic,
                        value,
                        partition=self._partition,
                        headers=list(headers),
                        on_delivery=delivery.told,
                    )
                except (BufferError, KafkaException) as error:
                    self._abandon()
                    if at == 0:
                        raise NotSentError(f"{self}: {error}") from error
                    raise InDoubtError(f"{self}: {error}") from error
            self._await(producer, delivery)
            return delivery.offsets

    def close(self) -> None:
        """Let go of the connections. What is not delivered yet is given up."""
        with self._lock:
            self._closed = True
            self._abandon()

    def _check_size(self, records: Sequence[Record]) -> None:
        size = sum(len(value) + HEADERS_BYTES_MAX // 8 for value, _ in records)
        if len(records) > 1 and (size > BATCH_BYTES_MAX or len(records) > ATOMIC_RECORDS_MAX):
            raise DataError(f"{len(records)} records of {size} bytes do not fit one record batch")

    def _await(self, producer: Producer, delivery: _Delivery) -> None:
        began = time.monotonic()
        while delivery.left:
            try:
                if self._atomic:
                    producer.flush(_SLICE_S)
                else:
                    producer.poll(_SLICE_S)
            except KafkaException as error:  # the producer gave up for good
                self._abandon()
                raise InDoubtError(f"{self}: {error.args[0]}") from error
            waited_s = time.monotonic() - began
            too_long_s = self._down_s if self._suspect else self._delivery_s
            if delivery.left and waited_s > too_long_s:
                self._abandon()
                raise InDoubtError(f"{self}: not delivered in {waited_s:.2f} s")
        if delivery.error is not None:
            self._abandon()
            if delivery.error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not delivery.offsets:
                raise DataError(f"{self}: {delivery.error}")  # now, and however often it is sent
            raise InDoubtError(f"{self}: {delivery.error}")
        self._suspect = False

    def _ready(self) -> Producer:
        """The producer, once a broker is known to lead the partition."""
        if self._closed:
            raise NotSentError(f"{self} is closed")
        try:
            if self._producer is None:
                self._suspect = True
                self._producer = Producer(self._settings())
            self._producer.poll(0)
        except KafkaException as error:
            self._abandon()
            raise NotSentError(f"{self}: {error.args[0]}") from error
        if self._suspect:
            self._check_leader(self._producer)
            self._suspect = False
        return self._producer

    def _settings(self) -> dict[str, object]:
        settings = self._connection.client(
            enable_idempotence=True,
            acks="all",
            linger_ms=_GATHER_MS if self._atomic else 0,
            message_timeout_ms=2 * _GATHER_MS,
            batch_size=BATCH_BYTES_MAX,
            batch_num_messages=ATOMIC_RECORDS_MAX,
            message_max_bytes=RECORD_BYTES_MAX,
            compression_type="none",
            retry_backoff_ms=20,
            retry_backoff_max_ms=200,
        )
        return {**settings, "error_cb": self._trouble}

    def _check_leader(self, producer: Producer) -> None:
        try:
            found = producer.list_topics(timeout=self._answer_s)
        except KafkaException as error:
            self._answer_s = self._later_answer_s
            raise NotSentError(f"{self}: no broker answers: {error.args[0]}") from error
        self._answer_s = self._later_answer_s
        topic = found.topics.get(self._topic)
        if topic is None or self._partition not in topic.partitions:
            raise NotSentError(f"{self} does not exist")
        if topic.partitions[self._partition].leader < 0:
            raise NotSentError(f"{self} has no leader at present")

    def _trouble(self, error: KafkaError) -> None:
        """A client's error; called from within poll and flush."""
        self._suspect = True
        if error.fatal():
            log.error("%s: the producer gave up: %s", self, error)

    def _abandon(self) -> None:
        """Send nothing more of what was not delivered, and begin anew with another producer."""
        producer, self._producer = self._producer, None
        self._suspect = True
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True, blocking=False)
            threading.Thread(target=_discard, args=(producer,), daemon=True).start()


def _discard(producer: Producer) -> None:
    """Closing waits for the client's threads; nobody needs to wait with it."""
    producer.flush(1.0)
    producer.close()
