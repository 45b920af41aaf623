"""The logs as a worker reads them: what Faust delivered where it is what comes next, else the log.

Guarantees: the same rows as the log itself, in order and without gaps; the log is asked only when
something is known or suspected to lie there, and while Faust brings everything it fetches nothing
ahead."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from domain.batch import EventBatch, Position
from streams.follower import EventSource
from streams.workers.ring import Ring

T = TypeVar("T")


class Rows(Protocol[T]):
    """A log that can be read from a position on."""

    def read(self, after: int, limit: int) -> list[T]:
        """Up to `limit` rows after a position."""
        ...

    def rest(self) -> None:
        """Fetch nothing until the next read."""
        ...


class Events(EventSource, Rows[EventBatch], Protocol):
    """An event log."""


class Commands(Rows[tuple[int, bytes]], Protocol):
    """A command log."""

    shard: int


class _Delivered(Generic[T]):
    def __init__(self, log: Rows[T], ring: Ring[T]) -> None:
        self._log = log
        self._ring = ring

    def read(self, after: int, limit: int) -> list[T]:
        """Up to `limit` rows after a position, in order."""
        taken = self._ring.take(after, limit)
        if taken:
            return taken
        number = self._ring.wants_look(after)
        if not number:
            return []
        rows = self._log.read(after, limit)
        if not rows:
            self._ring.looked(number)
            self._log.rest()
        return rows


class DeliveredCommands(_Delivered[tuple[int, bytes]]):
    """A command log with what was delivered of it (`CommandSource` of a matcher)."""

    def __init__(self, log: Commands, ring: Ring[tuple[int, bytes]]) -> None:
        super().__init__(log, ring)
        self.shard = log.shard


class DeliveredEvents(_Delivered[EventBatch]):
    """An event log with what was delivered of it (`EventSource` of a follower)."""

    def __init__(self, log: Events, ring: Ring[EventBatch]) -> None:
        super().__init__(log, ring)
        self._events = log
        self.shard = log.shard

    def at(self, position: int) -> EventBatch | None:
        """The batch of one position."""
        return self._events.at(position)

    def tail(self) -> Position:
        """The highest complete position."""
        return self._events.tail()
