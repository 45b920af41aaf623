"""The matching worker: a matcher for each shard that the group gives to it.

Guarantees: at every assignment the matcher is made anew from the newest sound snapshot, replays
silently to the event log's highest complete position, answers the rest of the command log at once,
and then follows; group offsets decide nothing. Any number of workers may run; two that believe to
hold one shard write the same bytes, which readers count once."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from streams.drivers import GO_ON, MatcherDriver, Pause, Unheard
from streams.kafka.connection import KafkaConnection
from streams.kafka.logs import KafkaCommandLog, KafkaEventLog
from streams.matcher import Matcher, MatcherLimits, Snapshots
from streams.workers.errors import BROKER_ERRORS
from streams.workers.pipeline import PipelinedEvents
from streams.workers.ring import CommandDeliveries, Ring
from streams.workers.shards import Beat, Deliveries
from streams.workers.sources import DeliveredCommands

log = logging.getLogger(__name__)

CATCH_UP_SAYS_EVERY_S: Final = 5.0
# A round trip to the broker ends each step, so a step under load takes more than a file's does.
STEP_RECORDS_MAX: Final = 256

CommandRing = Ring[tuple[int, bytes]]


class MatchingWork:
    """One shard's matcher over its two logs."""

    def __init__(
        self,
        commands: KafkaCommandLog,
        events: KafkaEventLog,
        ring: CommandRing,
        *,
        limits: MatcherLimits,
        snapshots: Snapshots | None,
    ) -> None:
        self._commands = commands
        self._events = events
        self._pipeline = PipelinedEvents(events, name=f"events-{events.shard}")
        self._matcher = Matcher(
            DeliveredCommands(commands, ring), self._pipeline, snapshots=snapshots, limits=limits
        )
        self._driver = MatcherDriver([self._matcher], Unheard())

    def begin(self, beat: Beat) -> None:
        """Restore and replay, to where the event log ends."""
        said_at = time.monotonic()

        def progress(position: int) -> None:
            nonlocal said_at
            beat(position)
            if time.monotonic() - said_at > CATCH_UP_SAYS_EVERY_S:
                said_at = time.monotonic()
                log.info("shard %d: replaying: position %d", self._matcher.shard, position)

        beat(0)
        self._matcher.recover(progress)
        beat(self.position)

    def turn(self) -> Pause:
        """Answer what is there, up to a bound. Once this asks to wait, all is in the event log."""
        pause = self._driver.turn()
        if pause is not GO_ON:
            self._pipeline.settle()
        return pause

    @property
    def position(self) -> int:
        """The last position answered."""
        return self._matcher.exchange.position

    def end(self, *, clean: bool) -> None:
        """Keep a snapshot, at a clean end, and close the logs."""
        self._pipeline.close()
        if clean and self._matcher.dirty_commands:
            self._matcher.save_snapshot(wait=True)
        self._matcher.metrics.close()
        self._commands.close()
        self._events.close()


class Matching:
    """What a matching worker does with its shards."""

    transient = BROKER_ERRORS

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        limits: MatcherLimits,
        snapshots: Snapshots | None,
        name: str = "matching",
    ) -> None:
        self.name = name
        self.topic = connection.commands_topic
        self._connection = connection
        self._limits = replace(limits, read_batches_max=STEP_RECORDS_MAX)
        self._snapshots = snapshots
        self._heads: dict[int, KafkaCommandLog] = {}

    def inbox(self) -> tuple[CommandRing, Deliveries]:
        """Where a shard's commands are delivered."""
        ring: CommandRing = Ring()
        return ring, CommandDeliveries(ring)

    def open(self, shard: int, ring: CommandRing) -> MatchingWork:
        """A shard's matcher, not recovered yet."""
        return MatchingWork(
            KafkaCommandLog(self._connection, shard),
            KafkaEventLog(self._connection, shard),
            ring,
            limits=self._limits,
            snapshots=self._snapshots,
        )

    def head(self, shard: int) -> int:
        """The last position of the command log; for one thread alone."""
        if shard not in self._heads:
            self._heads[shard] = KafkaCommandLog(self._connection, shard)
        return self._heads[shard].head()
