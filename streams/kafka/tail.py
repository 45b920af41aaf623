"""The newest event batches of all shards, for a process in which several things read them.

Guarantees: one thread and one consumer, however many read; a source never blocks for what the tail
holds or for what is not there yet; what the tail no longer holds is read from the log; memory is
bounded in batches and bytes. A broker that goes away is waited for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from eventsourcing.persistence import OperationalError

from domain.batch import EventBatch, Position
from streams.kafka.assembly import Assembler
from streams.kafka.connection import KafkaConnection
from streams.kafka.events import KafkaEventLog
from streams.kafka.reader import FOLLOWING, consumer_of
from streams.kafka.records import KafkaMessage, decode_stamp, offset_of, value_of

log = logging.getLogger(__name__)

POLL_S: Final = 0.1
POLL_RECORDS: Final = 256
RETRY_S: Final = 0.5
OnNews = Callable[[int, int], None]


class _Ring:
    """The last batches of one shard: contiguous positions up to the newest known."""

    def __init__(self, batches_max: int, bytes_max: int) -> None:
        self._batches_max, self._bytes_max = batches_max, bytes_max
        self._batches: dict[int, EventBatch] = {}
        self._size = 0
        self.first = 1
        self.newest: Position | None = None  # None: not known yet
        self.failure: Exception | None = None

    def begin(self, at: Position) -> None:
        """Nothing is held, and `at` is the newest; what was held before stays if it joins on."""
        if self.newest != at:
            self._batches.clear()
            self._size, self.first = 0, at.position + 1
        self.newest = at

    def add(self, batch: EventBatch) -> None:
        """The next position's batch."""
        self._batches[batch.position] = batch
        self._size += len(batch.record)
        self.newest = batch.at
        while len(self._batches) > self._batches_max or self._size > self._bytes_max:
            if len(self._batches) == 1:
                return
            self._size -= len(self._batches.pop(self.first).record)
            self.first += 1

    def after(self, position: int, limit: int) -> list[EventBatch] | None:
        """Batches after a position; None where only the log can tell."""
        if self.newest is None or position + 1 < self.first:
            return None
        last = min(self.newest.position, position + limit)
        return [self._batches[each] for each in range(position + 1, last + 1)]


class TailSource:
    """One shard's `streams.follower.EventSource`."""

    def __init__(self, shard: int, ring: _Ring, lock: threading.Lock, log_: KafkaEventLog) -> None:
        self.shard = shard
        self._ring, self._lock, self._log = ring, lock, log_

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order; none where there is none yet.

        Raises ForkError where the log holds two histories, and OperationalError, both only where
        the log itself must be read for the first."""
        with self._lock:
            self._check()
            held = self._ring.after(after, limit)
        return held if held is not None else self._log.read(after, limit)

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position. Raises as `read`."""
        with self._lock:
            self._check()
            held = self._ring.after(position - 1, 1)
        if held is not None:
            return held[0] if held else None
        return self._log.at(position)

    def tail(self) -> Position:
        """The highest complete position that has come in. Raises as `read`."""
        with self._lock:
            self._check()
            newest = self._ring.newest
        return newest if newest is not None else self._log.tail()

    def _check(self) -> None:
        if self._ring.failure is not None:
            raise self._ring.failure


class EventTail:
    """Follows every shard's event log from its end. `on_news(shard, position)` is called in its
    thread after each batch, or several, that came in.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        shards: int,
        on_news: OnNews,
        *,
        batches_max: int = 1_024,
        bytes_max: int = 32_000_000,
    ) -> None:
        self._connection = connection
        self._on_news = on_news
        self._lock = threading.Lock()
        self._logs = [KafkaEventLog(connection, shard) for shard in range(shards)]
        self._rings = [_Ring(batches_max, bytes_max) for _ in range(shards)]
        self._assemblers: list[Assembler] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-tail", daemon=True)
        self._thread.start()

    def source(self, shard: int) -> TailSource:
        """Where to read a shard's batches; any number of threads may."""
        return TailSource(shard, self._rings[shard], self._lock, self._logs[shard])

    def close(self) -> None:
        """Stop following and let go of the connections."""
        self._closing.set()
        self._thread.join()
        for each in self._logs:
            each.close()

    def _run(self) -> None:
        quiet = False
        while not self._closing.is_set():
            consumer: Consumer | None = None
            try:
                consumer = self._opened()
                quiet = False
                while not self._closing.is_set():
                    self._take(consumer)
            except (OperationalError, KafkaException) as error:
                if not quiet:
                    log.warning("the event log cannot be followed at present: %s", error)
                quiet = True
            except Exception as error:
                log.critical("the event log cannot be followed: %r", error, exc_info=True)
                self._fail(error)
                return
            finally:
                if consumer is not None:
                    consumer.close()
            self._closing.wait(RETRY_S)

    def _opened(self) -> Consumer:
        """A consumer placed where every shard's log is complete up to a known position."""
        starts: list[TopicPartition] = []
        ends: list[Position] = []
        for each in self._logs:
            at, offset = each.tail_and_offset()
            ends.append(at)
            starts.append(TopicPartition(self._connection.events_topic, each.shard, offset))
        with self._lock:
            for ring, at in zip(self._rings, ends, strict=True):
                ring.begin(at)
        for shard, at in enumerate(ends):
            self._on_news(shard, at.position)
        self._assemblers = [Assembler(at.position) for at in ends]
        consumer = consumer_of(self._connection, FOLLOWING)
        consumer.assign(starts)
        return consumer

    def _take(self, consumer: Consumer) -> None:
        first = consumer.poll(POLL_S)
        if first is None:
            return
        messages: Sequence[KafkaMessage] = [first, *consumer.consume(POLL_RECORDS, 0.0)]
        news: dict[int, int] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            shard = message.partition()
            assert shard is not None
            batch = self._assemblers[shard].add(
                value_of(message), decode_stamp(message).writer, offset_of(message)
            )
            if batch is not None:
                with self._lock:
                    self._rings[shard].add(batch)
                news[shard] = batch.position
        for shard, position in news.items():
            self._on_news(shard, position)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            for ring in self._rings:
                ring.failure = error
        for shard in range(len(self._rings)):
            self._on_news(shard, 0)
