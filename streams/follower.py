"""The follower: drives one sink along one shard's event log, from wherever the sink's own store
says it is.

Guarantees: the sink sees every batch once, in order and without gaps; before it goes on, its
running hash is compared with the log's, and a sink with another history is stopped (`ForkError`)
rather than mended."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from domain.batch import START, ConflictError, EventBatch, ForkError, Position, Sink

log = logging.getLogger(__name__)


class EventSource(Protocol):
    """What a follower reads."""

    shard: int

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order."""
        ...

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        ...

    def tail(self) -> Position:
        """The highest complete position."""
        ...


@dataclass(frozen=True)
class FollowerLimits:
    """How much one step may take."""

    batches_max: int = 64
    bytes_max: int = 4_000_000


class Follower:
    """Drives `sink` along `source`. Not thread-safe: one driver at a time."""

    def __init__(self, source: EventSource, sink: Sink, *, limits: FollowerLimits) -> None:
        self.source = source
        self.sink = sink
        self._limits = limits
        self._at: Position | None = None
        self.last_timestamp_ns = 0  # the gateway's, of the last batch applied by `step`

    @property
    def position(self) -> int:
        """The sink's position as last known, 0 before the first step."""
        return self._at.position if self._at is not None else 0

    @property
    def is_lost(self) -> bool:
        """Whether the sink's position must be read again (at the start, after a conflict)."""
        return self._at is None

    def forget(self) -> None:
        """Ask the sink's store again before the next step (after an error)."""
        self._at = None

    def step(self) -> int:
        """Apply the next batches. Returns how many; 0 means caught up.

        Raises ForkError where the sink's history is not the log's; errors of the sink's store pass
        through, and the step may be tried again."""
        if self._at is None:
            self._at = self._sound_position()
            if self._at is None:
                return 0
        batches = self._next(self._at)
        if not batches:
            return 0
        try:
            self._at = self.sink.apply(self.source.shard, batches)
        except ConflictError:
            log.info(
                "%s, shard %d: another instance was quicker", self.sink.name, self.source.shard
            )
            self._at = None
            return 1
        except BaseException:
            self._at = None
            raise
        self.last_timestamp_ns = batches[-1].header.audit_timestamp_ns
        return len(batches)

    def _sound_position(self) -> Position | None:
        """The sink's position, once the log is known to pass through it; None while the log is not
        that far.
        """
        at = self.sink.position(self.source.shard)
        if at == START:
            return at
        if self.source.tail().position < at.position:
            return None
        batch = self.source.at(at.position)
        if batch is None or batch.header.chain != at.chain:
            name = self.sink.name
            raise ForkError(
                f"{name}, shard {self.source.shard}: its position {at.position} is of another "
                f"history than the log's; `crossbook rebuild {name}` makes it anew"
            )
        return at

    def _next(self, at: Position) -> list[EventBatch]:
        batches = self.source.read(at.position, self._limits.batches_max)
        taken: list[EventBatch] = []
        size = 0
        for expected, batch in enumerate(batches, start=at.position + 1):
            if batch.position != expected:
                raise ForkError(
                    f"shard {self.source.shard}: position {expected} is missing in the log"
                )
            size += len(batch.record)
            if taken and size > self._limits.bytes_max:
                break
            taken.append(batch)
        return taken
