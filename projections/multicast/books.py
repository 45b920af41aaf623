"""Snapshots of a shard's books for listeners that come late, made beside the publisher.

Guarantees: a snapshot is of one position of the event log, and names the sequence of the message
that comes next; the publisher never waits for it. Books are read from an engine snapshot and the
event log when one is asked for, kept for `KEPT_S` after that, and cost nothing otherwise; whoever
asks while one is being made, or within `REUSED_S`, gets that one."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from domain.batch import EventBatch
from domain.exchange import Exchange
from projections.itch.snapshot import SnapshotWriter
from projections.market_data.replica import ShardReplica
from projections.multicast import metrics
from projections.multicast.board import FeedBoard
from projections.multicast.store import FeedStore

log = logging.getLogger(__name__)

KEPT_S: Final = 60.0
REUSED_S: Final = 1.0
READ_BATCHES: Final = 64
ORDERS_A_SLICE: Final = 5_000  # a millisecond or two


class EventLog(Protocol):
    """Where batches are read."""

    def read(self, after: int, limit: int) -> list[EventBatch]:
        """Whole batches after a position, in order."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


# The event log of a shard, and the newest engine that stands at or before a position of it.
OpenLog = Callable[[int], EventLog]
Restore = Callable[[int, int], Exchange]


class SnapshotFailedError(Exception):
    """There is no snapshot now; the message says why."""


@dataclass(frozen=True)
class BookSnapshot:
    """SoupBinTCP sequenced packets, a message each; then the next message of the feed is
    `next_sequence`.
    """

    session: bytes
    next_sequence: int
    chunks: Sequence[bytes]


class SnapshotMaker:
    """Makes the snapshots of one shard, in a thread that lives as long as it is asked."""

    def __init__(
        self, shard: int, folder: Path, board: FeedBoard, open_log: OpenLog, restore: Restore
    ) -> None:
        self._shard = shard
        self._folder = folder
        self._board = board
        self._open_log = open_log
        self._restore = restore
        self._wanted: queue.Queue[Future[BookSnapshot] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._books: _Books | None = None  # of the thread
        self._closed = False

    def request(self) -> Future[BookSnapshot]:
        """A snapshot, soon. The future raises SnapshotFailedError where there is none."""
        wanted: Future[BookSnapshot] = Future()
        with self._lock:
            if self._closed:
                wanted.set_exception(SnapshotFailedError("the publisher stops"))
                return wanted
            self._wanted.put(wanted)
            if self._thread is None:
                name = f"feed-books-{self._shard}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
        return wanted

    def close(self) -> None:
        """Make no more."""
        with self._lock:
            self._closed = True
            self._wanted.put(None)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        made: BookSnapshot | None = None
        made_at = float("-inf")
        try:
            while True:
                wanted = self._next()
                if wanted is None:
                    return
                if made is None or time.monotonic() - made_at > REUSED_S:
                    made = self._make(wanted)
                    made_at = time.monotonic()
                if made is not None and not wanted.done():
                    wanted.set_result(made)
        finally:
            self._forget()

    def _next(self) -> Future[BookSnapshot] | None:
        """The next request; None where none came for a while, and the thread is to end."""
        try:
            return self._wanted.get(timeout=KEPT_S)
        except queue.Empty:
            with self._lock:
                if self._wanted.empty():
                    self._thread = None
                    return None
            return self._wanted.get()

    def _make(self, wanted: Future[BookSnapshot]) -> BookSnapshot | None:
        began = time.monotonic()
        try:
            feed = self._board.get(self._shard)
            if feed is None:
                raise SnapshotFailedError(f"shard {self._shard} is not published here")
            if self._books is None:
                events = self._open_log(self._shard)
                self._books = _Books(self._shard, self._folder, events, self._restore)
            made = self._books.snapshot(feed.session, feed.position, lambda: self._closed)
        except Exception as error:  # noqa: BLE001 - told to whoever asked; the next one may succeed
            log.warning("shard %d: no snapshot of the books: %r", self._shard, error)
            self._forget()
            wanted.set_exception(SnapshotFailedError(str(error)))
            return None
        metrics.SNAPSHOT_SECONDS.labels(str(self._shard)).set(time.monotonic() - began)
        return made

    def _forget(self) -> None:
        """Begin anew at the next request."""
        books, self._books = self._books, None
        if books is not None:
            books.close()


class _Books:
    """One shard's books, as far as the last snapshot needed them. For one thread."""

    def __init__(self, shard: int, folder: Path, events: EventLog, restore: Restore) -> None:
        self._shard = shard
        self._store = FeedStore(folder, shard)
        self._events = events
        self._restore = restore
        self._replica: ShardReplica | None = None

    def snapshot(
        self, session: bytes, position: int, is_closed: Callable[[], bool]
    ) -> BookSnapshot:
        """The books as of `position`, of which every message is published."""
        replica = self._replica
        if replica is None or replica.position > position:
            replica = self._replica = ShardReplica(self._restore(self._shard, position))
        while replica.position < position:
            left = position - replica.position
            batches = self._events.read(replica.position, min(READ_BATCHES, left))
            if not batches or is_closed():
                raise SnapshotFailedError(f"the event log ends at {replica.position}")
            for batch in batches:
                if batch.position <= position:
                    replica.apply(batch.record)
        writer = SnapshotWriter(replica)
        chunks = [writer.begin()]
        while chunk := writer.orders(ORDERS_A_SLICE):
            chunks.append(chunk)
            time.sleep(0)  # whoever waits for the interpreter has it first
        return BookSnapshot(session, self._store.sequence_after(position), chunks)

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()
        self._events.close()
