"""The gateway of one API process of the distributed mode: writes to Kafka, learns outcomes from the
event log. Any number of them share the logs.

Guarantees: nothing here blocks the event loop; a write that Kafka has not answered within a second
is answered all the same, with what is known of it, and further ones are refused until it has; once
Kafka is back, so are writes, without a restart; an outcome reaches the gateway that wrote the
batch, because every gateway reads every event batch and keeps those of its own sessions."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eventsourcing.persistence import PersistenceError

from commands.sequencer import Limits, Sequencer
from domain.batch import EventBatch
from domain.codes import APPLIED, REPEAT
from streams.directory_bookmarks import DIRECTORY_SESSION
from streams.gateway import POLL_S, GatewayLimits, GatewayShard, LogGateway
from streams.kafka.connection import KafkaConnection
from streams.kafka.event_reader import EventReader
from streams.kafka.logs import KafkaCommandLog
from streams.kafka.tail import EventTail
from streams.redis_wake import RedisWakeListener

log = logging.getLogger(__name__)

WRITE_WAIT_S: Final = 0.8
HEADS_EVERY_S: Final = 1.0
# Slices of event batches that were read and wait for the event loop.
SLICES_WAITING_MAX: Final = 8

OnDirectory = Callable[[int, int, int], None]


@dataclass(frozen=True)
class _Connected:
    """What a gateway has opened, and the ends of both logs of each shard."""

    logs: Sequence[KafkaCommandLog]
    tail: EventTail
    news: threading.Event
    ends: Sequence[tuple[int, int]]


def _connect(connection: KafkaConnection, shards: int) -> _Connected:
    """Blocks. Raises PersistenceError where Kafka does not answer."""
    news = threading.Event()
    logs = [KafkaCommandLog(connection, shard) for shard in range(shards)]
    tail = EventTail(connection, shards, lambda _shard, _position: news.set())
    # The event log's end first: what is written meanwhile is lag, not a log behind itself.
    matched = [tail.source(shard).tail().position for shard in range(shards)]
    heads = [each.head() for each in logs]
    return _Connected(logs, tail, news, list(zip(heads, matched, strict=True)))


class KafkaGateway(LogGateway):
    """A gateway on Kafka logs: sequencers' threads, a thread that follows the event log, and wakes
    over Redis that tell how far the sinks got. Made by `open`.

    `on_directory(shard, notification_id, position)` is told of every directory batch that was
    matched.
    """

    def __init__(
        self,
        connected: _Connected,
        *,
        limits: GatewayLimits,
        batching: Limits,
        on_directory: OnDirectory,
    ) -> None:
        self._connected = connected
        self._on_directory = on_directory
        self._slices = threading.Semaphore(SLICES_WAITING_MAX)
        self._heads_at = 0.0
        self._heads_known = True
        self._sequencers = [
            Sequencer(each, limits=batching, on_written=lambda _position: None)
            for each in connected.logs
        ]
        own = [
            GatewayShard(each, sequencer, connected.tail.source(each.shard), ends)
            for each, sequencer, ends in zip(
                connected.logs, self._sequencers, connected.ends, strict=True
            )
        ]
        wait_s = WRITE_WAIT_S if limits.write_wait_s is None else limits.write_wait_s
        bounded = replace(limits, write_wait_s=wait_s)
        super().__init__(own, limits=bounded, tell=lambda _shard, _position: None)
        self._reader = EventReader(
            [shard.events for shard in own],
            [shard.matched for shard in own],
            connected.news,
            batches_max=limits.read_batches_max,
            deliver=self._deliver,
        )
        self._reader.start()
        self._wakes: RedisWakeListener | None = None
        self.poller = self._loop.create_task(self.poll(), name="gateway")

    @staticmethod
    async def open(
        connection: KafkaConnection,
        shards: int,
        *,
        redis_url: str,
        limits: GatewayLimits,
        batching: Limits,
        on_directory: OnDirectory = lambda _shard, _notification_id, _position: None,
    ) -> KafkaGateway:
        """Connect and follow. Raises PersistenceError where Kafka does not answer."""
        connected = await asyncio.to_thread(_connect, connection, shards)
        gateway = KafkaGateway(
            connected, limits=limits, batching=batching, on_directory=on_directory
        )
        gateway._listen(redis_url, connection.topic_prefix)
        return gateway

    def _listen(self, redis_url: str, prefix: str) -> None:
        def on_wake(topic: str, shard: int, position: int) -> None:
            self._loop.call_soon_threadsafe(self.hear, [(topic, shard, position)])

        self._wakes = RedisWakeListener(redis_url, prefix, ["api"], on_wake)

    # --- learning ---------------------------------------------------------------------------------

    def _deliver(self, shard: int, batches: list[EventBatch]) -> None:
        """From the reader's thread: hand a slice to the event loop, which bounds how many wait."""
        self._slices.acquire()
        try:
            self._loop.call_soon_threadsafe(self._taken, shard, batches)
        except RuntimeError:
            log.warning("the event loop closed before event batches of shard %d", shard)

    def _taken(self, shard: int, batches: list[EventBatch]) -> None:
        self._slices.release()
        self._take(shard, batches)

    def _take(self, shard: int, batches: Sequence[EventBatch]) -> None:
        super()._take(shard, batches)
        for batch in batches:
            header = batch.header
            if header.session == DIRECTORY_SESSION and header.status in (APPLIED, REPEAT):
                self._on_directory(shard, header.batch_number, header.position)

    def _read(self, shard: int) -> None:
        """The event log is read in a thread."""
        self._connected.news.set()

    async def poll(self) -> None:
        """Look now and then without a wake: at the ends of the command logs too, which other
        gateways move. Runs until cancelled; raises what the event log cannot be followed for.
        """
        while True:
            await asyncio.sleep(POLL_S)
            if self._reader.failure is not None:
                raise self._reader.failure
            for shard in range(len(self._shards)):
                self._take(shard, ())
            if time.monotonic() - self._heads_at > HEADS_EVERY_S:
                await asyncio.to_thread(self._look_at_heads)
                self._heads_at = time.monotonic()

    def _look_at_heads(self) -> None:
        try:
            for own in self._shards:
                own.head = max(own.head, own.commands.head())
        except PersistenceError as error:
            if self._heads_known:
                log.warning("the end of the command log is not known: %s", error)
            self._heads_known = False
        else:
            self._heads_known = True

    async def close(self) -> None:
        """Write what waits, then release everything."""
        self.poller.cancel()
        for sequencer in self._sequencers:
            await sequencer.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._wakes is not None:
            self._wakes.close()
        self._slices.release(SLICES_WAITING_MAX)
        self._reader.close()
        self._connected.tail.close()
        for each in self._connected.logs:
            each.close()
