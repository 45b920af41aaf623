"""What Faust delivered of one shard and its follower has not taken yet.

Guarantees: never waits and never grows past its bounds (the oldest give way: the log has them);
what is taken is contiguous; a reader that lacks something is told to look into the log."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Generic, TypeVar

from domain.batch import EventBatch
from domain.wire import NewerVersionError, WireError, decode_event_header

T = TypeVar("T")

RECORDS_MAX: Final = 4_096
BYTES_MAX: Final = 32_000_000


class Ring(Generic[T]):
    """The newest (position, payload) of a shard. One thread offers, one takes.

    `news` is set whenever there may be something to take or to look for."""

    def __init__(self, *, records_max: int = RECORDS_MAX, bytes_max: int = BYTES_MAX) -> None:
        assert records_max > 0 and bytes_max > 0
        self.news = threading.Event()
        self.room = threading.Event()
        self.room.set()
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._held: deque[tuple[int, T, int]] = deque()
        self._bytes = 0
        self._seen = 0
        self._looks_asked = 1  # nothing is known yet: begin with the log
        self._looks_done = 0
        self._lock = threading.Lock()
        self.taken_at = 0.0

    def offer(self, position: int, payload: T, size_bytes: int) -> None:
        """Hold one delivered batch; one at or below the newest is a repeat and is dropped."""
        with self._lock:
            if position <= self._seen:
                return
            self._seen = position
            self._held.append((position, payload, size_bytes))
            self._bytes += size_bytes
            while len(self._held) > self._records_max or (
                self._bytes > self._bytes_max and len(self._held) > 1
            ):
                self._drop_first()
            if len(self._held) * 2 > self._records_max or self._bytes * 2 > self._bytes_max:
                self.room.clear()
        self.news.set()

    def look(self) -> None:
        """Have the follower read the log itself, to its end, before it waits again."""
        with self._lock:
            self._looks_asked += 1
        self.news.set()

    def take(self, after: int, limit: int) -> list[T]:
        """Up to `limit` contiguous payloads from the position behind `after` on."""
        taken: list[T] = []
        with self._lock:
            while self._held and self._held[0][0] <= after:
                self._drop_first()
            expected = after + 1
            while self._held and self._held[0][0] == expected and len(taken) < limit:
                taken.append(self._held[0][1])
                self._drop_first()
                expected += 1
            if taken:
                self.taken_at = time.monotonic()
            if len(self._held) * 2 <= self._records_max and self._bytes * 2 <= self._bytes_max:
                self.room.set()
        return taken

    def wants_look(self, after: int) -> int:
        """A number other than 0 where the log may hold more than `after`; give it to `looked`."""
        with self._lock:
            if self._seen > after or self._looks_asked != self._looks_done:
                return self._looks_asked
            return 0

    def looked(self, number: int) -> None:
        """The log was read to its end since `number` was given."""
        with self._lock:
            self._looks_done = max(self._looks_done, number)

    @property
    def newest(self) -> int:
        """The highest position delivered, 0 before the first."""
        return self._seen

    def _drop_first(self) -> None:
        _, _, size_bytes = self._held.popleft()
        self._bytes -= size_bytes


class CommandDeliveries:
    """Makes batches of the records of a command log: a record's position is its offset + 1."""

    def __init__(self, ring: Ring[tuple[int, bytes]]) -> None:
        self._ring = ring

    def deliver(self, offset: int, record: bytes) -> None:
        """Take over one record."""
        position = offset + 1
        self._ring.offer(position, (position, record), len(record))


class EventDeliveries:
    """Joins the records of an event log to whole batches.

    Repeats (a slower matcher's) are dropped; what does not join sends the follower to the log."""

    def __init__(self, ring: Ring[EventBatch]) -> None:
        self._ring = ring
        self._parts: list[bytes] = []
        self._position = 0

    def deliver(self, offset: int, record: bytes) -> None:
        """Take over one record."""
        try:
            header = decode_event_header(record)
            if header.position <= self._ring.newest:
                return
            if header.part != (len(self._parts) if header.position == self._position else 0):
                self._parts.clear()
                self._ring.look()
                return
            if header.part == 0:
                self._parts.clear()
            self._position = header.position
            self._parts.append(record)
            if not header.last:
                return
            batch = EventBatch.of_parts(self._parts)
        except (WireError, NewerVersionError):
            # Reading the log meets the same record, and its error is the one to stop at.
            self._parts.clear()
            self._ring.look()
            return
        self._parts = []
        self._ring.offer(batch.position, batch, len(batch.record))
