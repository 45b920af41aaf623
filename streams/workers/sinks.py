"""The sink workers: a follower of the event log for each shard that the group gives to it.

Guarantees: as of every follower, exactly-once effects by the position in the sink's own store; any
number of workers of one sink may run, and two on one shard race by compare-and-set; errors of the
store are met by waiting and asking it again, a fork is told and not mended."""

from __future__ import annotations

from collections.abc import Callable

from domain.batch import EventBatch, Sink
from streams.drivers import Pause, SinkDriver, Waker
from streams.follower import Follower, FollowerLimits
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaEventLog
from streams.workers.errors import BROKER_ERRORS
from streams.workers.ring import EventDeliveries, Ring
from streams.workers.shards import Beat, Deliveries
from streams.workers.sources import DeliveredEvents

EventRing = Ring[EventBatch]
MakeSink = Callable[[], Sink]
Prepare = Callable[[Follower], None]


class SinkWork:
    """One shard's follower, with a sink of its own."""

    def __init__(
        self,
        events: KafkaEventLog,
        ring: EventRing,
        sink: Sink,
        *,
        limits: FollowerLimits,
        waker: Waker,
        transient: tuple[type[BaseException], ...],
        prepare: Prepare,
    ) -> None:
        self._events = events
        self._sink = sink
        self._follower = Follower(DeliveredEvents(events, ring), sink, limits=limits)
        self._driver = SinkDriver(self._follower, waker, transient=transient, prepare=prepare)

    def begin(self, beat: Beat) -> None:
        """Nothing: the first step asks the sink's store where to go on."""
        beat(0)

    def turn(self) -> Pause:
        """Take the sink one step further."""
        return self._driver.turn()

    @property
    def position(self) -> int:
        """The sink's position as last known."""
        return self._follower.position

    def end(self, *, clean: bool) -> None:
        """Close the log and the sink's store."""
        self._driver.metrics.close()
        self._events.close()
        close = getattr(self._sink, "close", None)
        if close is not None:
            close()


class Sinking:
    """What the worker of one sink does with its shards."""

    def __init__(
        self,
        connection: KafkaConnection,
        name: str,
        *,
        make_sink: MakeSink,
        prepare: Prepare,
        store_errors: tuple[type[BaseException], ...],
        limits: FollowerLimits,
        waker: Waker,
    ) -> None:
        self.name = name
        self.topic = connection.events_topic
        self.transient = (*BROKER_ERRORS, *store_errors)
        self._connection = connection
        self._make_sink = make_sink
        self._prepare = prepare
        self._limits = limits
        self._waker = waker
        self._heads: dict[int, KafkaEventLog] = {}

    def inbox(self) -> tuple[EventRing, Deliveries]:
        """Where a shard's event batches are delivered."""
        ring: EventRing = Ring()
        return ring, EventDeliveries(ring)

    def open(self, shard: int, ring: EventRing) -> SinkWork:
        """A shard's follower."""
        return SinkWork(
            KafkaEventLog(self._connection, shard),
            ring,
            self._make_sink(),
            limits=self._limits,
            waker=self._waker,
            transient=self.transient,
            prepare=self._prepare,
        )

    def head(self, shard: int) -> int:
        """The last complete position of the event log; for one thread alone."""
        if shard not in self._heads:
            self._heads[shard] = KafkaEventLog(self._connection, shard)
        return self._heads[shard].tail().position
